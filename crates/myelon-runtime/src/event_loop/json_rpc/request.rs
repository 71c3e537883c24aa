//! A line as requests: a pure function of its bytes.

use super::{Params, RpcError};
use serde_json::{Map, Value};

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    /// `None`: a notification.
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Params,
}

/// What is no request.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    /// That of the request, if it has one; else null.
    pub(super) id: Value,
    pub(super) error: RpcError,
}

/// What is in a line.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    One(Result<Request, Refusal>),
    /// At least one.
    Batch(Vec<Result<Request, Refusal>>),
}

pub(super) fn parse(line: &[u8]) -> Message {
    let refused = |code, why: String| Message::One(Err(Refusal { id: Value::Null, error: RpcError::new(code, why) }));
    match serde_json::from_slice(line) {
        Ok(Value::Array(requests)) if requests.is_empty() => {
            refused(RpcError::INVALID_REQUEST, "a batch without a request".into())
        }
        Ok(Value::Array(requests)) => Message::Batch(requests.into_iter().map(request).collect()),
        Ok(value) => Message::One(request(value)),
        // The parser's place begins with the line, which is always the first.
        Err(error) => refused(RpcError::PARSE, format!("no JSON: {error}")),
    }
}

fn request(value: Value) -> Result<Request, Refusal> {
    let Value::Object(mut members) = value else {
        return Err(invalid(Value::Null, "a request is an object"));
    };
    let id = match members.remove("id") {
        None => None,
        Some(id @ (Value::String(_) | Value::Number(_) | Value::Null)) => Some(id),
        Some(_) => return Err(invalid(Value::Null, "the id is a string, a number or null")),
    };
    match method_and_params(members) {
        Ok((method, params)) => Ok(Request { id, method, params }),
        Err(why) => Err(invalid(id.unwrap_or_default(), why)),
    }
}

fn method_and_params(mut members: Map<String, Value>) -> Result<(String, Params), &'static str> {
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err("the member `jsonrpc` is \"2.0\"");
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return Err("the member `method` is a string");
    };
    match members.remove("params") {
        None => Ok((method, Params(None))),
        Some(params @ (Value::Array(_) | Value::Object(_))) => Ok((method, Params(Some(params)))),
        Some(_) => Err("the member `params` is an array or an object"),
    }
}

fn invalid(id: Value, why: &str) -> Refusal {
    Refusal { id, error: RpcError::new(RpcError::INVALID_REQUEST, format!("no request: {why}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Any value that a client may send, with the members of a request among its names.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            prop::sample::select(vec!["2.0", "dump", "", "\u{1F980}\n\0\""]).prop_map(Value::from),
        ];
        let name = prop::sample::select(vec!["jsonrpc", "id", "method", "params", "other"]);
        leaf.prop_recursive(3, 24, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone().prop_map(String::from), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// What the specification says of one request, by its own words.
    fn is_request(value: &Value) -> bool {
        let Some(members) = value.as_object() else { return false };
        members.get("jsonrpc") == Some(&json!("2.0"))
            && members.get("method").is_some_and(Value::is_string)
            && members.get("params").is_none_or(|params| params.is_array() || params.is_object())
            && members.get("id").is_none_or(|id| id.is_string() || id.is_number() || id.is_null())
    }

    proptest! {
        #[test]
        fn a_request_is_what_the_specification_calls_one_and_keeps_its_id(value in value()) {
            let line = value.to_string().into_bytes();
            prop_assert!(!line.contains(&b'\n'));
            let (requests, parsed) = match (value, parse(&line)) {
                (Value::Array(requests), Message::Batch(parsed)) => (requests, parsed),
                (Value::Array(requests), Message::One(Err(refusal))) => {
                    prop_assert!(requests.is_empty() && refusal.error.code() == RpcError::INVALID_REQUEST);
                    return Ok(());
                }
                (request, Message::One(parsed)) => (vec![request], vec![parsed]),
                (value, parsed) => panic!("{value} became {parsed:?}"),
            };
            prop_assert_eq!(requests.len(), parsed.len());
            for (request, parsed) in requests.iter().zip(parsed) {
                prop_assert_eq!(is_request(request), parsed.is_ok(), "{}", request);
                match parsed {
                    Ok(parsed) => prop_assert_eq!(request.get("id"), parsed.id.as_ref()),
                    Err(refusal) => {
                        let id = request.get("id").filter(|id| id.is_string() || id.is_number());
                        prop_assert_eq!(refusal.id, id.cloned().unwrap_or_default());
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_requests_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            match (serde_json::from_slice::<Value>(&bytes), parse(&bytes)) {
                (Err(_), Message::One(Err(refusal))) => prop_assert_eq!(refusal.error.code(), RpcError::PARSE),
                (Err(_), parsed) => panic!("{parsed:?}"),
                (Ok(_), _) => {}
            }
        }
    }

    #[test]
    fn a_line_that_is_nested_too_deeply_is_no_json() {
        let deep = "[".repeat(100_000);
        assert!(
            matches!(parse(deep.as_bytes()), Message::One(Err(refusal)) if refusal.error.code() == RpcError::PARSE)
        );
    }
}
