//! The client at a terminal: one request, or one for each line.

use super::Failure;
use super::client::{CallError, Client};
use serde_json::Value;
use std::io::{BufRead, Write};

pub(crate) fn ask(path: &str, method: &str, params: Option<&str>) -> Result<(), Failure> {
    print_answer(&Client::connect(path)?.call(method, params)?);
    Ok(())
}

/// A text as it is, anything else as JSON of several lines. It does not matter if the reader has gone.
fn print_answer(answer: &Value) {
    let text = answer.as_str().map_or_else(|| format!("{answer:#}"), |text| text.trim_end().to_owned());
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line that fails is told, and the next one is asked.
pub(crate) fn ask_each_line(path: &str) -> Result<(), Failure> {
    let mut client = Client::connect(path)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (method, params) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if method.is_empty() {
            continue;
        }
        match client.call(method, Some(params).filter(|params| !params.trim().is_empty())) {
            Ok(answer) => print_answer(&answer),
            Err(error @ (CallError::Connect { .. } | CallError::Stream(_))) => return Err(error.into()),
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}
