//! Any bytes from a client of JSON-RPC, in pieces of any size: each answer is a line of JSON, and the answers do not
//! depend on the pieces.
#![no_main]

use fuzz::Decisions;
use libfuzzer_sys::fuzz_target;
use myelon_runtime::event_loop::EventLoop;
use myelon_runtime::event_loop::json_rpc::{Methods, Params, RpcError, fuzzing};
use serde_json::Value;
use std::cell::RefCell;

thread_local! {
    static LOOP: RefCell<EventLoop> = RefCell::new(EventLoop::new().expect("there are two descriptors"));
}

/// Methods whose answers depend on their params alone.
fn methods() -> Methods {
    let methods = Methods::empty();
    methods.add("e", "returns its params", |_, params: Params| params.parse::<Value>());
    methods.add("n", "takes none", |_, params: Params| params.none());
    methods.add("p", "takes a number and a text", |_, params: Params| params.parse::<(u8, String)>());
    methods.add("f", "fails", |_, _| Err::<(), _>(RpcError::internal("as asked")));
    methods
}

fn check(answer: &Value) {
    assert_eq!(answer["jsonrpc"], "2.0");
    assert!(answer.get("result").is_some() != answer.get("error").is_some(), "{answer}");
    let id = &answer["id"];
    assert!(answer.get("id").is_some() && (id.is_null() || id.is_string() || id.is_number()), "{answer}");
}

fuzz_target!(|input: &[u8]| {
    let mut decisions = Decisions::new(input);
    // A run of one byte makes a line that is too long, which the input itself is too short for.
    let run = match decisions.byte() {
        0..16 => fuzzing::LONGEST - 16 + usize::from(decisions.byte()),
        _ => 0,
    };
    let filler = decisions.byte();
    let cuts: Vec<_> = (0..decisions.below(6)).map(|_| decisions.below(usize::from(u16::MAX))).collect();
    let (start, end) = decisions.rest().split_at(decisions.rest().len() / 2);
    let bytes = [start, &vec![filler; run], end].concat();
    let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
    LOOP.with_borrow_mut(|event_loop| {
        let answers = fuzzing::answers(event_loop, &methods(), pieces);
        assert_eq!(answers, fuzzing::answers(event_loop, &methods(), [&*bytes]));
        let text = String::from_utf8(answers).expect("answers are text");
        for line in text.lines() {
            match serde_json::from_str(line).expect("an answer is JSON") {
                Value::Array(batch) => batch.iter().for_each(check),
                answer => check(&answer),
            }
        }
    });
});
