//! The methods that every server has.

use super::{Methods, Params, RpcError};
use crate::event_loop::{EventLoop, LoopHandle, SourceReport};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn add(methods: &Methods) {
    let dump = |handle: &LoopHandle| Value::from(handle.dump());
    let sources = |handle: &LoopHandle| handle.sources().iter().map(source).collect();
    let asks = |ask: fn(&LoopHandle)| {
        move |handle: &LoopHandle| {
            ask(handle);
            Value::Null
        }
    };
    add_one(methods, "dump", "what the loop waits for and has done, as text", dump);
    add_one(methods, "sources", "what the loop waits for and has done, as data", sources);
    let about = "asks the loop to call the sources that run at a safe point";
    add_one(methods, "quiesce", about, asks(LoopHandle::request_quiesce));
    add_one(methods, "quit", "ends the loop when what is ready is served", asks(LoopHandle::quit));
    add_one(methods, "exit", "ends the loop at once", asks(LoopHandle::exit));

    let all = methods.downgrade();
    add_one(methods, "methods", "the methods, and what each is for", move |_| {
        let one = |(name, about)| json!({ "name": name, "about": about });
        all().map(|methods| methods.list().into_iter().map(one).collect()).unwrap_or_default()
    });
    let all = methods.downgrade();
    add_one(methods, "counts", "what clients have asked for so far", move |_| json!(all().map(|all| all.counts())));
}

fn add_one(methods: &Methods, name: &str, about: &str, answer: impl Fn(&LoopHandle) -> Value + 'static) {
    methods.add(name, about, move |event_loop: &mut EventLoop, params: Params| {
        params.none()?;
        Ok::<_, RpcError>(answer(&event_loop.handle))
    });
}

fn source(report: &SourceReport) -> Value {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "id": report.id.to_string(),
        "kind": report.kind.to_string(),
        "description": report.description,
        "state": report.state.to_string(),
        "calls": report.calls,
        "failures": report.failures,
        "total_ns": nanos(report.total),
        "worst_ns": nanos(report.worst),
        "running_for_ns": report.running_for.map(nanos),
        "due_in_ns": report.due_in.map(nanos),
        "last_error": report.last_error,
    })
}
