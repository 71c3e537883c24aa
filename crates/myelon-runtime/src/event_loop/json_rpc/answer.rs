//! A line that was received, and the line that answers it.

use super::lines::{LINE_BYTES_MAX, Line};
use super::request::{Message, Refusal, Request, parse};
use super::{ANSWER_BYTES_MAX, Methods, RpcError};
use crate::event_loop::turn::contained;
use crate::event_loop::{Cause, EventLoop, OnFailure};
use serde::Serialize;
use serde_json::Value;

/// One answer, as it is sent.
#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'static str,
    id: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
}

fn encoded(id: &Value, outcome: &Result<Value, RpcError>) -> Vec<u8> {
    let (result, error) = (outcome.as_ref().ok(), outcome.as_ref().err());
    let answer = Answer { jsonrpc: "2.0", id, result, error };
    serde_json::to_vec(&answer).expect("the keys of a value are strings, and memory can be written")
}

/// The line for a client that is not served.
pub(super) fn refused(error: RpcError) -> Vec<u8> {
    let mut line = encoded(&Value::Null, &Err(error));
    line.push(b'\n');
    line
}

/// Does what a line asks for. The answer is a line with its end; nothing if there is none to give.
pub(super) fn serve(event_loop: &mut EventLoop, methods: &Methods, line: Line<'_>) -> Vec<u8> {
    methods.count(|counts| counts.lines += 1);
    let message = match line {
        Line::Whole(line) => parse(line),
        Line::TooLong => {
            methods.count(|counts| counts.lines_too_long += 1);
            let why = format!("a line is at most {LINE_BYTES_MAX} bytes; this one is skipped");
            let error = RpcError::new(RpcError::INVALID_REQUEST, why);
            Message::One(Err(Refusal { id: Value::Null, error }))
        }
    };
    let mut answers = Vec::new();
    match message {
        Message::One(request) => {
            answer(event_loop, methods, request, &mut answers);
        }
        Message::Batch(requests) => {
            methods.count(|counts| counts.batches += 1);
            answers.push(b'[');
            for request in requests {
                if answer(event_loop, methods, request, &mut answers) {
                    answers.push(b',');
                }
            }
            match answers.pop() {
                // There were only notifications.
                Some(b'[') | None => {}
                Some(_) => answers.push(b']'),
            }
        }
    }
    if !answers.is_empty() {
        answers.push(b'\n');
    }
    answers
}

/// Does what one request asks for and adds its answer, if it has one.
fn answer(
    event_loop: &mut EventLoop,
    methods: &Methods,
    request: Result<Request, Refusal>,
    answers: &mut Vec<u8>,
) -> bool {
    let (id, outcome) = match request {
        Err(refusal) => (Some(refusal.id), Err(refusal.error)),
        Ok(request) => {
            methods.count(|counts| match request.id {
                Some(_) => counts.requests += 1,
                None => counts.notifications += 1,
            });
            let id = request.id.clone();
            (id, call(event_loop, methods, request))
        }
    };
    let mut is_error = outcome.is_err();
    if let Some(id) = &id {
        let mut encoded_answer = encoded(id, &outcome);
        if answers.len() + encoded_answer.len() > ANSWER_BYTES_MAX {
            let len = encoded_answer.len();
            let why = format!(
                "the method was called, but its answer of {len} bytes is too large: a line of answers has at most \
                 {ANSWER_BYTES_MAX}"
            );
            is_error = true;
            encoded_answer = encoded(id, &Err(RpcError::internal(why)));
        }
        answers.append(&mut encoded_answer);
    }
    methods.count(|counts| counts.errors += u64::from(is_error));
    id.is_some()
}

fn call(event_loop: &mut EventLoop, methods: &Methods, request: Request) -> Result<Value, RpcError> {
    let Request { method, params, .. } = request;
    let Some(call) = methods.get(&method) else {
        let why = format!("there is no method `{method}`; `methods` lists them");
        return Err(RpcError::new(RpcError::NO_METHOD, why));
    };
    contained(|| (call.borrow_mut())(event_loop, params)).unwrap_or_else(|payload| {
        methods.count(|counts| counts.panics += 1);
        let cause = match Cause::of_panic(&*payload) {
            Cause::Panic(text) => Cause::Panic(format!("method `{method}`: {text}")),
            cause => cause,
        };
        if let Some(client) = event_loop.current {
            event_loop.fail(client, &cause, OnFailure::Keep);
        }
        Err(RpcError::internal("the method panicked"))
    })
}
