//! JSON-RPC with real sockets, FIFOs and processes (R-72 to R-75, R-90).

use crate::command_fifo::Place;
use crate::{failures, settle, watchdog};
use myelon_process::listen::{Access, Fifo, Listener};
use myelon_runtime::event_loop::json_rpc::{
    ANSWER_BYTES_MAX, CLIENTS_MAX, LINE_BYTES_MAX, Methods, Params, RpcCounts, RpcError, SILENCE_MAX,
};
use myelon_runtime::event_loop::{EventLoop, LoopHandle, RunEnd, SourceId, SourceState};
use myelon_runtime::testing::VirtualClock;
use rustix::fs::OFlags;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::fork::alone;
use testkit::process::{Respawn, is_victim, say};
use testkit::watchdog::{PATIENCE, Watchdog, eventually};
use testkit::{skip, test_name};

/// The variable with a path.
const PATH: &str = "MYELON_RUNTIME_TEST_PATH";

/// A user that owns nothing here.
const STRANGER: u32 = 65534;

/// What a server has to say when it has ended.
#[derive(Debug)]
struct Ended {
    end: RunEnd,
    counts: RpcCounts,
    failures: Vec<String>,
}

/// A loop in a thread of its own, with a socket at `console` and the methods that a test adds.
struct Server {
    place: Place,
    handle: LoopHandle,
    thread: JoinHandle<Ended>,
    _watchdog: Watchdog,
}

impl Server {
    fn new() -> Self {
        Self::with(|_, _, _| ())
    }

    fn with(setup: impl FnOnce(&mut EventLoop, &Methods, &PathBuf) + Send + 'static) -> Self {
        let place = Place::new();
        let folder = place.path("");
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut event_loop = EventLoop::new().unwrap();
            let failures = failures(&mut event_loop);
            let methods = Methods::new();
            methods.add("echo", "returns its params", |_, params: Params| params.parse::<Value>());
            methods.add("fail", "fails", |_, _| Err::<(), _>(RpcError::new(7, "as asked").with_data([1, 2])));
            methods.add("panic", "panics", |_, _| -> Result<(), RpcError> { panic!("as asked") });
            methods.add("long", "a text of that length", |_, params: Params| {
                let (len,): (usize,) = params.parse()?;
                Ok("x".repeat(len))
            });
            let listener = Listener::bind(folder.join("console"), Access::Owner).unwrap();
            event_loop.add_json_rpc(listener, methods.clone(), "console").unwrap();
            setup(&mut event_loop, &methods, &folder);
            tell.send(event_loop.handle()).unwrap();
            let end = event_loop.run().unwrap();
            let failures = failures.borrow().clone();
            Ended { end, counts: methods.counts(), failures }
        });
        let handle = told.recv().unwrap();
        Self { place, handle, thread, _watchdog: watchdog("a server of JSON-RPC") }
    }

    fn client(&self) -> Client {
        Client::new(UnixStream::connect(self.place.path("console")).unwrap())
    }

    fn clients(&self) -> usize {
        let described = |description: &str| description.starts_with("console: process");
        self.handle.sources().iter().filter(|source| described(&source.description)).count()
    }

    fn end(self) -> Ended {
        self.handle.quit();
        self.thread.join().unwrap()
    }
}

struct Client {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Client {
    fn new(stream: UnixStream) -> Self {
        let answers = BufReader::new(stream.try_clone().unwrap());
        Self { stream, answers }
    }

    fn send(&mut self, line: impl AsRef<[u8]>) {
        let line = [line.as_ref(), b"\n"].concat();
        self.stream.write_all(&line).unwrap();
    }

    /// The next answer; `None` at the end of the stream.
    fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
    }

    fn ask(&mut self, line: impl AsRef<[u8]>) -> Value {
        self.send(line);
        self.answer().expect("an answer")
    }

    /// The result of a method that works.
    fn call(&mut self, method: &str, params: Value) -> Value {
        let mut request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        if params.is_null() {
            request.as_object_mut().unwrap().remove("params");
        }
        let mut answer = self.ask(request.to_string());
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(1)), "{answer}");
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].take()
    }
}

fn code(answer: &Value) -> i64 {
    assert!(answer["result"].is_null(), "{answer}");
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn each_kind_of_mistake_has_its_code_and_the_client_is_served_on() {
    let server = Server::new();
    let mut client = server.client();
    for (line, id, expected) in [
        (r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, json!(null), -32700),
        ("D", json!(null), -32700),
        ("\u{fffd}\u{1F980}", json!(null), -32700),
        ("1", json!(null), -32600),
        (r#""dump""#, json!(null), -32600),
        (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, json!(null), -32600),
        (r#"{"jsonrpc": "2.0", "id": 3, "method": "dump", "params": "bar"}"#, json!(3), -32600),
        (r#"{"jsonrpc": "1.0", "id": 4, "method": "dump"}"#, json!(4), -32600),
        (r#"{"id": 5, "method": "dump"}"#, json!(5), -32600),
        (r#"{"jsonrpc": "2.0", "id": [6], "method": "dump"}"#, json!(null), -32600),
        (r#"{"jsonrpc": "2.0", "id": true, "method": "dump"}"#, json!(null), -32600),
        (r#"{"jsonrpc": "2.0", "id": 7}"#, json!(7), -32600),
        (r#"{"jsonrpc": "2.0", "id": 8, "method": "foobar"}"#, json!(8), -32601),
        (r#"{"jsonrpc": "2.0", "id": 9, "method": "dump", "params": [1]}"#, json!(9), -32602),
        (r#"{"jsonrpc": "2.0", "id": 10, "method": "long", "params": {"no": 1}}"#, json!(10), -32602),
        (r#"{"jsonrpc": "2.0", "id": 11, "method": "long"}"#, json!(11), -32602),
        (r#"{"jsonrpc": "2.0", "id": 12, "method": "panic"}"#, json!(12), -32603),
        (r#"{"jsonrpc": "2.0", "id": 13, "method": "fail"}"#, json!(13), 7),
    ] {
        let answer = client.ask(line);
        assert_eq!((&answer["id"], code(&answer)), (&id, expected), "{line}: {answer}");
    }
    client.send(b"\xff\xfe\0");
    assert_eq!(code(&client.answer().unwrap()), -32700);
    assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":1,"method":"fail"}"#)["error"]["data"], json!([1, 2]));
    assert_eq!(client.call("echo", json!(["still", "there"])), json!(["still", "there"]));
    let ended = server.end();
    assert_eq!((ended.counts.errors, ended.counts.panics), (20, 1));
    assert_eq!(ended.failures.len(), 1, "{:?}", ended.failures);
    assert!(ended.failures[0].ends_with("the handler panicked: method `panic`: as asked"), "{:?}", ended.failures);
}

#[test]
fn an_id_comes_back_as_it_was_sent() {
    let server = Server::new();
    let mut client = server.client();
    for id in
        ["1", "-9223372036854775808", "18446744073709551615", "0.1", "1.7976931348623157e308", "null", r#""a\u0000b""#]
    {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"quiesce"}}"#);
        let expected: Value = serde_json::from_str(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":null}}"#)).unwrap();
        assert_eq!(client.ask(line), expected);
    }
    server.end();
}

#[test]
fn a_notification_has_no_answer_also_if_it_fails() {
    let server = Server::new();
    let mut client = server.client();
    for method in ["quiesce", "fail", "panic", "nothing"] {
        client.send(json!({"jsonrpc": "2.0", "method": method}).to_string());
    }
    assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":"last","method":"quiesce"}"#)["id"], "last");
    let counts = server.end().counts;
    assert_eq!((counts.notifications, counts.requests, counts.errors, counts.panics), (4, 1, 3, 1));
}

#[test]
fn a_batch_is_answered_in_one_line_and_its_notifications_are_not() {
    let server = Server::new();
    let mut client = server.client();
    let batch = json!([
        {"jsonrpc": "2.0", "method": "echo", "params": [1], "id": "1"},
        {"jsonrpc": "2.0", "method": "quiesce"},
        1,
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "fail"},
        {"jsonrpc": "2.0", "method": "echo", "params": {"a": 2}, "id": 9},
    ]);
    let answers = client.ask(batch.to_string());
    let answers = answers.as_array().unwrap();
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!("1"), json!(null), json!(null), json!("5"), json!(9)]);
    assert_eq!((&answers[0]["result"], &answers[4]["result"]), (&json!([1]), &json!({"a": 2})));
    assert_eq!([&answers[1], &answers[2], &answers[3]].map(code), [-32600, -32600, -32601]);

    assert_eq!(code(&client.ask("[]")), -32600);
    assert_eq!(client.ask("[1,2]").as_array().unwrap().len(), 2);
    assert_eq!(code(&client.ask(r#"[{"jsonrpc":"2.0","method":"echo","id":1},"#)), -32700);
    // Only notifications: no line at all.
    client.send(r#"[{"jsonrpc":"2.0","method":"quiesce"},{"jsonrpc":"2.0","method":"fail"}]"#);
    assert_eq!(client.call("echo", json!([])), json!([]));
    assert_eq!(server.end().counts.batches, 3);
}

// R-72, R-73
#[test]
fn the_methods_that_every_server_has_show_the_loop_and_reach_it() {
    let (tell, told) = mpsc::channel();
    let server = Server::with(move |event_loop, _, _| {
        event_loop.add_at_safe_point(PATIENCE, "a safe point", move |_: &mut EventLoop| tell.send("stopped").unwrap());
        event_loop.add_timer(Duration::from_secs(3600), "an hour", |_: &mut EventLoop, _| ());
    });
    let mut client = server.client();
    let dump = client.call("dump", json!(null));
    assert!(dump.as_str().unwrap().contains("an hour; due in"), "{dump}");
    let sources = client.call("sources", json!([]));
    let of = |description: &str| {
        let found = sources.as_array().unwrap().iter().find(|source| source["description"] == description);
        found.unwrap_or_else(|| panic!("no `{description}` in {sources}"))
    };
    assert_eq!((&of("an hour")["kind"], &of("an hour")["calls"]), (&json!("timer"), &json!(0)));
    assert!(of("an hour")["due_in_ns"].as_u64().unwrap() > 3_000_000_000_000);
    let ours = of(&format!("console: process {} of user {}", std::process::id(), rustix::process::geteuid().as_raw()));
    assert_eq!(ours["state"], "running");
    assert!(ours["running_for_ns"].is_u64() && ours["id"].is_string(), "{ours}");
    assert_eq!(client.call("quiesce", json!({})), Value::Null);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "stopped");
    let methods = client.call("methods", json!(null));
    let names: Vec<_> = methods.as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap()).collect();
    let expected = ["counts", "dump", "echo", "exit", "fail", "long", "methods", "panic", "quiesce", "quit", "sources"];
    assert_eq!(names, expected);
    assert!(methods[0]["about"].as_str().is_some_and(|about| !about.is_empty()));
    assert_eq!(client.call("counts", json!(null))["requests"], 5);
    server.end();
}

// R-74
#[test]
fn quit_is_answered_and_the_lines_that_have_arrived_are_served() {
    let server = Server::new();
    let mut client = server.client();
    let line = |id, method| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\"}}\n");
    client.stream.write_all((line(1, "quit") + &line(2, "quiesce")).as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap()["id"], 1);
    assert_eq!(client.answer().unwrap()["id"], 2);
    assert_eq!(server.thread.join().unwrap().end, RunEnd::Quit { drained: true });
    assert_eq!(client.answer(), None);
}

// R-75
#[test]
fn exit_is_answered_and_nothing_after_it_is_served() {
    let server = Server::new();
    let mut client = server.client();
    client.stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"exit\"}\n{\"id\":2}\n").unwrap();
    assert_eq!(client.answer().unwrap()["id"], 1);
    assert_eq!(server.thread.join().unwrap().end, RunEnd::Exit);
    let mut rest = Vec::new();
    let read = client.answers.read_to_end(&mut rest);
    // What was not read when the server closed the stream makes it a reset.
    assert!(rest.is_empty() && read.is_ok_and(|len| len == 0) || rest.is_empty(), "{rest:?}");
}

// R-39: a full channel refuses calls, and no command of an operator.
#[test]
fn a_loop_whose_channel_is_full_obeys_its_operator() {
    let (tell, told) = mpsc::channel();
    let server = Server::with(move |event_loop, methods, _| {
        let handle = event_loop.handle();
        methods.add("fill", "fills the channel of calls", move |_, _| {
            while handle.call(|_| ()).is_ok() {}
            tell.send(()).unwrap();
            Ok(())
        });
    });
    let mut client = server.client();
    client
        .stream
        .write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"fill\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"quit\"}\n")
        .unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.thread.join().unwrap().end, RunEnd::Quit { drained: true });
}

#[test]
fn a_line_of_the_limit_is_served_and_a_longer_one_is_answered_and_skipped() {
    let server = Server::new();
    let mut client = server.client();
    let padded = |len: usize| {
        let line = r#"{"jsonrpc":"2.0","id":1,"method":"quiesce""#;
        format!("{line}{}}}", " ".repeat(len - line.len() - 1))
    };
    assert_eq!(client.ask(padded(LINE_BYTES_MAX))["id"], 1);
    assert_eq!(code(&client.ask(padded(LINE_BYTES_MAX + 1))), -32600);
    assert_eq!(client.call("echo", json!(["next"])), json!(["next"]));
    // It is answered before its end, and once.
    client.stream.write_all(&vec![b'['; 3 * LINE_BYTES_MAX]).unwrap();
    assert_eq!(code(&client.answer().unwrap()), -32600);
    client.stream.write_all(&vec![b'x'; 3 * LINE_BYTES_MAX]).unwrap();
    client.send("");
    assert_eq!(client.call("echo", json!(["next"])), json!(["next"]));
    let counts = server.end().counts;
    assert_eq!((counts.lines_too_long, counts.lines, counts.errors), (2, 5, 2));
}

#[test]
fn an_answer_that_is_too_large_is_an_error_and_a_batch_has_one_limit() {
    let server = Server::new();
    let mut client = server.client();
    assert_eq!(client.call("long", json!([ANSWER_BYTES_MAX / 2])).as_str().unwrap().len(), ANSWER_BYTES_MAX / 2);
    let request = |id: u32, len: usize| json!({"jsonrpc": "2.0", "id": id, "method": "long", "params": [len]});
    let answer = client.ask(request(1, ANSWER_BYTES_MAX).to_string());
    assert_eq!((&answer["id"], code(&answer)), (&json!(1), -32603));
    let third = ANSWER_BYTES_MAX / 3;
    let batch = json!([request(1, third), request(2, third), request(3, third), request(4, 10)]);
    let answers = client.ask(batch.to_string());
    let lens: Vec<_> = answers.as_array().unwrap().iter().map(|one| one["result"].as_str().map(str::len)).collect();
    assert_eq!(lens, [Some(third), Some(third), None, Some(10)]);
    assert_eq!(code(&answers[2]), -32603);
    server.end();
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_costs_one_answer() {
    const REQUESTS: u64 = 200;
    let server = Server::new();
    let (mut idle, mut other) = (server.client(), server.client());
    let mut writer = idle.stream.try_clone().unwrap();
    // 100 MB of answers, and more requests than the kernel keeps.
    let sends = std::thread::spawn(move || {
        for id in 0..REQUESTS {
            let padding = " ".repeat(10_000);
            writeln!(writer, r#"{{"jsonrpc":"2.0","id":{id},"method":"long","params":[500000]{padding}}}"#).unwrap();
        }
    });
    let served = |other: &mut Client| other.call("counts", json!(null))["lines"].as_u64().unwrap();
    let mut before = 0;
    // It has stopped when another client is served twice and this one is not.
    eventually("the server stops reading", PATIENCE, || {
        let now = served(&mut other);
        let stopped = now == before + 1 && now > 1;
        before = now;
        stopped
    })
    .unwrap();
    assert!(before < 100, "{before} lines were served");
    assert!(!sends.is_finished(), "the kernel stops its writes");
    for id in 0..REQUESTS {
        let answer = idle.answer().unwrap();
        assert_eq!((&answer["id"], answer["result"].as_str().unwrap().len()), (&json!(id), 500_000));
    }
    sends.join().unwrap();
    assert_eq!(other.call("echo", json!([])), json!([]));
    drop((idle, other));
    eventually("both clients are gone", PATIENCE, || server.clients() == 0).unwrap();
    let ended = server.end();
    assert!(ended.failures.is_empty(), "{:?}", ended.failures);
}

#[test]
fn a_client_that_closes_its_side_gets_all_answers_also_for_a_line_without_end() {
    let server = Server::new();
    let mut client = server.client();
    for id in 0..50 {
        client.send(json!({"jsonrpc": "2.0", "id": id, "method": "long", "params": [100_000]}).to_string());
    }
    client.stream.write_all(br#"{"jsonrpc":"2.0","id":50,"method":"quiesce"}"#).unwrap();
    client.stream.shutdown(Shutdown::Write).unwrap();
    for id in 0..=50 {
        assert_eq!(client.answer().unwrap()["id"], id);
    }
    assert_eq!(client.answer(), None);
    eventually("the client is removed", PATIENCE, || server.clients() == 0).unwrap();
    server.end();
}

#[test]
fn a_client_that_vanishes_before_its_answer_disturbs_nothing() {
    let server = Server::new();
    for _ in 0..20 {
        let mut client = server.client();
        client.send(json!({"jsonrpc": "2.0", "id": 1, "method": "long", "params": [1_000_000]}).to_string());
        client.send("half of a ");
    }
    eventually("all clients are removed", PATIENCE, || server.clients() == 0).unwrap();
    assert_eq!(server.client().call("echo", json!([])), json!([]));
    let ended = server.end();
    assert!(ended.failures.is_empty(), "{:?}", ended.failures);
}

#[test]
fn several_clients_are_served_at_once_each_in_its_order() {
    const CLIENTS: usize = 8;
    let server = Server::new();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = server.client();
            scope.spawn(move || {
                for round in 0..200 {
                    client
                        .send(json!({"jsonrpc": "2.0", "id": round, "method": "echo", "params": [number]}).to_string());
                }
                for round in 0..200 {
                    let answer = client.answer().unwrap();
                    assert_eq!((&answer["id"], &answer["result"]), (&json!(round), &json!([number])));
                }
            });
        }
    });
    let counts = server.end().counts;
    assert_eq!((counts.clients, counts.requests, counts.errors), (CLIENTS as u64, 200 * CLIENTS as u64, 0));
}

#[test]
fn one_client_too_many_is_told_so_and_another_one_has_its_place_when_one_goes() {
    let server = Server::new();
    let mut clients: Vec<_> = (0..CLIENTS_MAX).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| drop(client.call("echo", json!([]))));
    let mut late = server.client();
    assert_eq!(code(&late.answer().unwrap()), -32000);
    assert_eq!(late.answer(), None);
    clients.pop();
    eventually("a place is free", PATIENCE, || server.clients() == CLIENTS_MAX - 1).unwrap();
    server.client().call("echo", json!([]));
    assert_eq!(server.end().counts.clients_refused, 1);
}

/// A listener in the test's own thread, on a clock that the test moves.
struct Served {
    event_loop: EventLoop,
    clock: VirtualClock,
    methods: Methods,
    place: Place,
}

impl Served {
    fn new() -> Self {
        let (place, clock) = (Place::new(), VirtualClock::new());
        let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
        let methods = Methods::new();
        methods.add("long", "a long text", |_, _| Ok("x".repeat(1_000_000)));
        let listener = Listener::bind(place.path("console"), Access::Owner).unwrap();
        event_loop.add_json_rpc(listener, methods.clone(), "console").unwrap();
        Self { event_loop, clock, methods, place }
    }

    fn client(&mut self) -> Client {
        let client = Client::new(UnixStream::connect(self.place.path("console")).unwrap());
        settle(&mut self.event_loop);
        client
    }

    /// A client that the loop has described last.
    fn client_and_source(&mut self) -> (Client, SourceId) {
        let before = self.event_loop.handle().sources().into_iter().map(|source| source.id).collect::<Vec<_>>();
        let client = self.client();
        let sources = self.event_loop.handle().sources();
        let new = sources.iter().find(|source| !before.contains(&source.id)).expect("a client is a source");
        (client, new.id)
    }

    fn send(&mut self, client: &mut Client, line: &str) {
        client.send(line);
        settle(&mut self.event_loop);
    }
}

const ECHO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"counts"}"#;

#[test]
fn a_client_that_is_silent_for_the_limit_loses_its_place_to_a_new_one() {
    let _watchdog = watchdog("silent clients");
    let mut served = Served::new();
    let second = Duration::from_secs(1);
    let mut clients: Vec<_> = (0..CLIENTS_MAX).map(|_| served.client()).collect();
    // Bytes that are no whole line, blank lines and silence are the same.
    clients[0].send("   ");
    clients[1].stream.write_all(&ECHO.as_bytes()[..10]).unwrap();
    served.clock.advance(second);
    for client in &mut clients[3..] {
        served.send(client, ECHO);
        assert!(client.answer().is_some());
    }
    served.clock.advance(SILENCE_MAX - 2 * second);
    let mut early = served.client();
    assert_eq!(code(&early.answer().unwrap()), -32000);
    assert_eq!(served.methods.counts().clients_refused, 1);

    // The first three have now been silent for the limit, and the others for a second less.
    served.clock.advance(second);
    for closed in 1..=3 {
        let mut new = served.client();
        served.send(&mut new, ECHO);
        assert!(new.answer().unwrap()["error"].is_null());
        clients.push(new);
        let counts = served.methods.counts();
        assert_eq!((counts.clients_silent, counts.clients), (closed, (CLIENTS_MAX as u64) + closed));
    }
    for client in &mut clients[..3] {
        assert_eq!(code(&client.answer().unwrap()), -32000);
        assert_eq!(client.answer(), None, "its stream is closed");
    }
    let mut late = served.client();
    assert_eq!(code(&late.answer().unwrap()), -32000, "no other client is silent for the limit");
    for client in &mut clients[3..] {
        served.send(client, ECHO);
        assert!(client.answer().unwrap()["error"].is_null());
    }
    assert_eq!(served.methods.counts().clients_refused, 2);
}

#[test]
fn the_longest_silent_client_loses_its_place_first_and_none_does_while_there_is_room() {
    let _watchdog = watchdog("silent clients");
    let mut served = Served::new();
    let mut clients: Vec<_> = (0..CLIENTS_MAX - 1)
        .map(|_| {
            let client = served.client();
            served.clock.advance(Duration::from_millis(1));
            client
        })
        .collect();
    served.send(&mut clients[0], ECHO);
    assert!(clients[0].answer().is_some());
    served.clock.advance(2 * SILENCE_MAX);
    clients.push(served.client());
    assert_eq!(served.methods.counts().clients_silent, 0, "there was a place");
    served.client();
    assert_eq!(served.methods.counts().clients_silent, 1);
    assert_eq!(code(&clients[1].answer().unwrap()), -32000);
}

#[test]
fn a_client_that_does_not_read_its_answer_is_silent_and_its_stream_ends_within_the_answer() {
    let _watchdog = watchdog("a client that does not read");
    let mut served = Served::new();
    let mut deaf = served.client();
    served.send(&mut deaf, r#"{"jsonrpc":"2.0","id":1,"method":"long"}"#);
    let mut others: Vec<_> = (1..CLIENTS_MAX).map(|_| served.client()).collect();
    served.clock.advance(SILENCE_MAX);
    others.iter_mut().for_each(|client| served.send(client, ECHO));
    served.client();
    assert_eq!(served.methods.counts().clients_silent, 1);
    let mut text = String::new();
    deaf.answers.read_to_string(&mut text).unwrap();
    assert!(text.len() < 1_000_000 && text.ends_with('x'), "no line is written into another one");
}

#[test]
fn a_client_that_the_program_has_paused_keeps_its_place() {
    let _watchdog = watchdog("a paused client");
    let mut served = Served::new();
    let (mut paused, source) = served.client_and_source();
    let mut others: Vec<_> = (1..CLIENTS_MAX).map(|_| served.client()).collect();
    assert!(served.event_loop.pause(source));
    served.send(&mut paused, ECHO);
    served.clock.advance(SILENCE_MAX);
    others.iter_mut().for_each(|client| served.send(client, ECHO));
    assert_eq!(code(&served.client().answer().unwrap()), -32000);
    assert!(served.event_loop.resume(source).unwrap());
    settle(&mut served.event_loop);
    assert!(paused.answer().unwrap()["error"].is_null());
}

#[test]
fn a_method_may_do_anything_to_the_loop_also_remove_its_own_client() {
    let server = Server::with(|_, methods, _| {
        let all = methods.clone();
        methods.add("add", "adds a method", move |event_loop, _| {
            all.add("added", "was added", |_, _| Ok("new"));
            event_loop.add_timer(Duration::from_secs(3600), "added by a method", |_: &mut EventLoop, _| ());
            Ok(())
        });
        methods.add("leave", "removes its own client", |event_loop, _| {
            let client = event_loop.current().unwrap();
            Ok(event_loop.remove(client))
        });
    });
    let mut client = server.client();
    client.call("add", json!(null));
    assert_eq!(client.call("added", json!(null)), "new");
    assert!(server.handle.dump().contains("added by a method"));
    // Its answer is sent before it goes.
    assert_eq!(client.call("leave", json!(null)), true);
    assert_eq!(client.answer(), None);
    server.client().call("echo", json!([]));
    server.end();
}

#[test]
fn a_name_is_given_once_and_never_begins_like_one_of_the_protocol() {
    let methods = Methods::empty();
    assert_eq!(format!("{methods:?}"), "{}");
    methods.add("one", "one", |_, _| Ok(1));
    for name in ["one", "rpc.discover"] {
        let add = std::panic::AssertUnwindSafe(|| methods.add(name, "again", |_, _| Ok(2)));
        assert!(std::panic::catch_unwind(add).is_err(), "{name}");
    }
    assert_eq!(format!("{methods:?}"), r#"{"one"}"#);
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_asks() {
    if !is_victim() {
        return;
    }
    match UnixStream::connect(std::env::var_os(PATH).unwrap()) {
        Ok(stream) => {
            let mut client = Client::new(stream);
            // It may be closed already.
            let _ = client.stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"exit\"}\n");
            let mut line = String::new();
            let _ = client.answers.read_line(&mut line);
            say(&format!("ANSWER {line:?}"));
        }
        Err(error) => say(&format!("NOT {:?}", error.kind())),
    }
}

#[test]
fn a_process_of_another_user_is_refused_told_and_counted() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can start a process of another user");
    }
    let server = Server::new();
    let path = server.place.path("console");
    let stranger = || Respawn::test(test_name!(victim_that_asks)).env(PATH, &path).as_user(STRANGER).spawn();
    stranger().wait_line("NOT PermissionDenied");
    // The modes are widened; who connects is looked at as well.
    Place::set_mode(path.parent().unwrap(), 0o711);
    Place::set_mode(&path, 0o666);
    assert_eq!(stranger().wait_line("ANSWER"), "ANSWER \"\"");
    assert_eq!(server.client().call("echo", json!([])), json!([]));
    let ended = server.end();
    assert_eq!(ended.counts.clients_refused, 1);
    assert_eq!(ended.failures.len(), 1);
    assert!(
        ended.failures[0].contains(&format!("of user {STRANGER} and group {STRANGER} may not connect")),
        "{ended:?}"
    );
}

#[test]
#[ignore = "runs as a victim"]
fn victim_with_a_server() {
    if !is_victim() {
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    let listener = Listener::bind(std::env::var_os(PATH).unwrap(), Access::Owner).unwrap();
    event_loop.add_json_rpc(listener, Methods::new(), "console").unwrap();
    say("READY");
    say(&format!("{:?}", event_loop.run().unwrap()));
}

#[test]
fn a_server_is_commanded_from_another_process_and_replaces_a_killed_one() {
    let place = Place::new();
    let path = place.path("console");
    let server = || Respawn::test(test_name!(victim_with_a_server)).env(PATH, &path).spawn();
    let mut first = server();
    first.wait_line("READY");
    assert!(Listener::bind(&path, Access::Owner).is_err(), "two servers at one path");
    let mut client = Client::new(UnixStream::connect(&path).unwrap());
    assert!(client.call("dump", json!(null)).as_str().unwrap().contains("console: process"));
    first.kill_and_reap();
    assert_eq!(client.answer(), None);
    let mut second = server();
    second.wait_line("READY");
    Client::new(UnixStream::connect(&path).unwrap()).call("quit", json!(null));
    second.wait_line("Quit { drained: true }");
    assert!(second.wait_exit(PATIENCE).success());
    assert!(!path.exists());
}

#[test]
fn a_process_without_descriptors_tells_it_and_serves_the_client_later() {
    alone(|| {
        let place = Place::new();
        let mut event_loop = EventLoop::new().unwrap();
        let told = failures(&mut event_loop);
        let listener = Listener::bind(place.path("console"), Access::Owner).unwrap();
        event_loop.add_json_rpc(listener, Methods::new(), "console").unwrap();
        let mut client = UnixStream::connect(place.path("console")).unwrap();
        client.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"quit\"}\n").unwrap();
        drop(without_descriptors(&mut event_loop));
        assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
        let told = told.borrow();
        assert!(told.len() == 1 && told[0].starts_with("console: Too many open files"), "{told:?}");
        let mut answer = String::new();
        BufReader::new(client).read_line(&mut answer).unwrap();
        assert_eq!(answer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}\n");
    });
}

/// A listener that could not accept, because there are no descriptors, until the answer is dropped.
fn without_descriptors(event_loop: &mut EventLoop) -> Vec<File> {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = Some(64);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/proc/self/stat") {
        taken.push(file);
    }
    while !tries_again(event_loop) {
        event_loop.turn(Duration::ZERO).unwrap();
    }
    taken
}

fn tries_again(event_loop: &EventLoop) -> bool {
    let again = "a listener that could not accept tries again";
    event_loop.handle().sources().iter().any(|source| source.description == again)
}

fn state(event_loop: &EventLoop, id: SourceId) -> SourceState {
    event_loop.report(id).expect("it is not removed").state
}

#[test]
fn a_listener_that_was_paused_after_it_could_not_accept_waits_for_its_resume() {
    alone(|| {
        let place = Place::new();
        let mut event_loop = EventLoop::builder().clock(VirtualClock::new()).build().unwrap();
        let methods = Methods::new();
        let listener = Listener::bind(place.path("console"), Access::Owner).unwrap();
        let listener = event_loop.add_json_rpc(listener, methods.clone(), "console").unwrap();
        let _client = UnixStream::connect(place.path("console")).unwrap();
        let taken = without_descriptors(&mut event_loop);
        assert_eq!(state(&event_loop, listener), SourceState::Paused);
        assert!(event_loop.pause(listener));
        drop(taken);
        while tries_again(&event_loop) {
            event_loop.turn(Duration::MAX).unwrap();
        }
        settle(&mut event_loop);
        assert_eq!((state(&event_loop, listener), methods.counts().clients), (SourceState::Paused, 0));
        assert!(event_loop.resume(listener).unwrap());
        settle(&mut event_loop);
        assert_eq!(methods.counts().clients, 1);
    });
}

/// A server with a pair of FIFOs.
fn with_fifos() -> (Server, PathBuf, PathBuf) {
    let server = Server::with(|event_loop, methods, folder| {
        let (input, output) = (Fifo::create(folder.join("in")).unwrap(), Fifo::create(folder.join("out")).unwrap());
        event_loop.add_json_rpc_fifos(input, output, methods.clone(), "by files").unwrap();
    });
    let (input, output) = (server.place.path("in"), server.place.path("out"));
    (server, input, output)
}

// R-90
#[test]
fn a_shell_talks_through_a_pair_of_fifos() {
    let (server, input, output) = with_fifos();
    let script = r#"
        exec 3< "$2"
        echo '{"jsonrpc":"2.0","id":1,"method":"echo","params":["of a shell"]}' > "$1"
        read -r answer <&3
        echo "$answer"
        echo 'garbage' > "$1"
        read -r answer <&3
        echo "$answer"
    "#;
    let shell = std::process::Command::new("sh").args(["-c", script, "sh"]).args([&input, &output]).output().unwrap();
    let text = String::from_utf8(shell.stdout).unwrap();
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": 1, "result": ["of a shell"]}));
    assert_eq!(code(&answers[1]), -32700);
    // The shell has gone, and the next writer is served.
    let mut answers = BufReader::new(File::open(&output).unwrap());
    std::fs::write(&input, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"quit\"}\n").unwrap();
    let mut answer = String::new();
    answers.read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":null}\n");
    assert_eq!(server.thread.join().unwrap().end, RunEnd::Quit { drained: true });
    assert!(!input.exists() && !output.exists());
}

#[test]
fn the_limit_of_a_line_holds_for_fifos() {
    let (server, input, output) = with_fifos();
    let mut answers = BufReader::new(File::open(&output).unwrap());
    let mut requests = OpenOptions::new().write(true).open(&input).unwrap();
    requests.write_all(&vec![b'x'; 5 * LINE_BYTES_MAX]).unwrap();
    requests.write_all(b"\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"quiesce\"}\n").unwrap();
    let mut lines = (&mut answers).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert_eq!(code(&lines.next().unwrap()), -32600);
    assert_eq!(lines.next().unwrap()["id"], 2);
    assert_eq!(server.end().counts.lines_too_long, 1);
}

#[test]
fn answers_that_no_process_reads_wait_in_the_fifo_and_requests_wait_for_them() {
    const REQUESTS: u64 = 100;
    let (server, input, output) = with_fifos();
    let requests = std::thread::spawn(move || {
        let mut requests = OpenOptions::new().write(true).open(&input).unwrap();
        for id in 0..REQUESTS {
            let padding = " ".repeat(2000);
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"long\",\"params\":[20000]{padding}}}\n");
            requests.write_all(line.as_bytes()).unwrap();
        }
    });
    let waits = || server.handle.sources().iter().any(|source| source.description == "by files: room for answers");
    eventually("the answers wait for room", PATIENCE, waits).unwrap();
    // Others are served meanwhile.
    assert!(server.client().call("counts", json!(null))["requests"].as_u64().unwrap() < REQUESTS);
    let mut answers = BufReader::new(File::open(&output).unwrap()).lines();
    for id in 0..REQUESTS {
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!((&answer["id"], answer["result"].as_str().unwrap().len()), (&json!(id), 20_000));
    }
    requests.join().unwrap();
    eventually("no answer waits", PATIENCE, || !waits()).unwrap();
    let ended = server.end();
    assert!(ended.failures.is_empty(), "{:?}", ended.failures);
}

#[test]
fn requests_by_a_fifo_that_was_paused_while_answers_wait_for_room_wait_for_its_resume() {
    let _watchdog = watchdog("a paused FIFO");
    let place = Place::new();
    let mut event_loop = EventLoop::new().unwrap();
    let methods = Methods::new();
    methods.add("long", "a long text", |_, _| Ok("x".repeat(200_000)));
    let (input, output) = (Fifo::create(place.path("in")).unwrap(), Fifo::create(place.path("out")).unwrap());
    let input = event_loop.add_json_rpc_fifos(input, output, methods.clone(), "by files").unwrap();
    let request = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"long\"}\n";
    std::fs::write(place.path("in"), request.repeat(2)).unwrap();
    settle(&mut event_loop);
    assert_eq!((state(&event_loop, input), methods.counts().requests), (SourceState::Paused, 1));
    assert!(event_loop.pause(input));
    let mut answers = BufReader::new(
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(place.path("out")).unwrap(),
    );
    let mut read = 0;
    let mut read_what_is_there = |event_loop: &mut EventLoop| loop {
        settle(event_loop);
        match answers.read(&mut [0; 65536]) {
            Ok(len) => read += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return read,
            Err(error) => panic!("{error}"),
        }
    };
    let before_the_resume = read_what_is_there(&mut event_loop);
    assert_eq!((state(&event_loop, input), methods.counts().requests), (SourceState::Paused, 1));
    assert!(before_the_resume < 200_000);
    assert!(event_loop.resume(input).unwrap());
    assert!(read_what_is_there(&mut event_loop) > 400_000);
    assert_eq!(methods.counts().requests, 2);
}

#[test]
fn lines_that_were_read_before_the_answers_had_to_wait_are_served_without_further_input() {
    let (server, input, output) = with_fifos();
    let request =
        |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "long", "params": [50_000]}).to_string() + "\n";
    std::fs::write(&input, (0..20).map(request).collect::<String>()).unwrap();
    let waits = || server.handle.sources().iter().any(|source| source.description == "by files: room for answers");
    eventually("the answers wait for room", PATIENCE, waits).unwrap();
    let mut answers = BufReader::new(File::open(&output).unwrap()).lines();
    for id in 0..20 {
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], id);
    }
    server.end();
}

#[test]
fn a_rate_limit_delays_lines_that_were_read_already_and_loses_none() {
    let place = Place::new();
    let mut event_loop = EventLoop::builder().clock(VirtualClock::new()).build().unwrap();
    let methods = Methods::new();
    let settings = myelon_runtime::event_loop::Settings::new("console").rate_limit(2, Duration::from_secs(1));
    let listener = Listener::bind(place.path("console"), Access::Owner).unwrap();
    event_loop.add_json_rpc(listener, methods.clone(), settings).unwrap();
    let mut client = Client::new(UnixStream::connect(place.path("console")).unwrap());
    let _watchdog = watchdog("a client with a rate limit");
    let before = event_loop.now();
    (0..10).for_each(|_| client.send(r#"{"jsonrpc":"2.0","id":1,"method":"quiesce"}"#));
    while methods.counts().requests < 10 {
        event_loop.turn(Duration::MAX).unwrap();
    }
    assert!(event_loop.now() - before >= Duration::from_secs(4));
}

#[test]
fn a_paused_client_is_served_on_when_it_is_resumed() {
    let server = Server::with(|event_loop, methods, _| {
        let handle = event_loop.handle();
        methods.add("pause", "pauses its own client for a moment", move |event_loop, _| {
            let client = event_loop.current().unwrap();
            event_loop.pause(client);
            let resume = move |event_loop: &mut EventLoop, _| event_loop.resume(client).map(drop);
            event_loop.add_timer(Duration::from_millis(1), "resumes the client", resume);
            Ok(handle.statistics().turns > 0)
        });
    });
    let mut client = server.client();
    let line = |id, method| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\"}}\n");
    client.stream.write_all((line(1, "pause") + &line(2, "quiesce")).as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap()["id"], 1);
    assert_eq!(client.answer().unwrap()["id"], 2);
    server.end();
}

#[test]
fn notifications_of_a_client_that_has_gone_are_served() {
    let server = Server::new();
    let mut client = server.client();
    (0..100).for_each(|_| client.send(r#"{"jsonrpc":"2.0","method":"quiesce"}"#));
    client.stream.write_all(br#"{"jsonrpc":"2.0","method":"quit"}"#).unwrap();
    drop(client);
    let ended = server.thread.join().unwrap();
    assert_eq!((ended.end, ended.counts.notifications), (RunEnd::Quit { drained: true }, 101));
}

#[test]
fn bytes_of_any_kind_are_answered_with_lines_of_json() {
    use proptest::prelude::*;
    let server = Server::new();
    let line = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        "[\\[\\]{}\":,a-z0-9 ]{0,40}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            r#"{"jsonrpc":"2.0","id":1,"method":"echo","params":[]}"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"quiesce"},3]"#,
            r#"{"jsonrpc":"2.0","method":"panic"}"#,
            "\r",
        ])
        .prop_map(|line| line.as_bytes().to_vec()),
    ];
    let lines = prop::collection::vec(line, 0..12);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) };
    proptest!(config, |(lines in lines)| {
        let mut client = server.client();
        for line in lines {
            client.send(line);
        }
        client.send(r#"{"jsonrpc":"2.0","id":"the last","method":"quiesce"}"#);
        client.stream.shutdown(Shutdown::Write).unwrap();
        let mut last = None;
        while let Some(answer) = client.answer() {
            let answers = answer.as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
            for answer in answers {
                prop_assert!(answer["jsonrpc"] == "2.0" && answer.get("id").is_some(), "{}", answer);
                prop_assert!(answer.get("result").is_some() != answer.get("error").is_some(), "{}", answer);
            }
            last = Some(answer);
        }
        prop_assert_eq!(last, Some(json!({"jsonrpc": "2.0", "id": "the last", "result": null})));
    });
    server.end();
}

#[test]
fn a_stream_that_is_reset_is_the_end_of_a_client_and_no_failure() {
    let server = Server::new();
    let mut client = server.client();
    client.send(r#"{"jsonrpc":"2.0","id":1,"method":"echo","params":[]}"#);
    // It goes without reading its answer, which is a reset for the server.
    eventually("its answer has arrived", PATIENCE, || {
        client.stream.set_nonblocking(true).unwrap();
        let peeked = rustix::net::recv(&client.stream, &mut [0; 1], rustix::net::RecvFlags::PEEK);
        peeked.map_err(|error| assert_eq!(std::io::Error::from(error).kind(), ErrorKind::WouldBlock)).is_ok()
    })
    .unwrap();
    drop(client);
    eventually("the client is removed", PATIENCE, || server.clients() == 0).unwrap();
    let ended = server.end();
    assert!(ended.failures.is_empty(), "{:?}", ended.failures);
}
