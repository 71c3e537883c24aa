//! A client of JSON-RPC lines: a socket, and one request after the other.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The server does not run, or belongs to another user.
    #[error("no server can be reached at `{}`: {source}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    /// The params are no JSON.
    #[error("params are a list or an object of JSON, such as [5]: {0}")]
    Params(serde_json::Error),
    /// The server says why it does not do it.
    #[error("error {code}: {message}")]
    Refused { code: i64, message: String },
    /// The stream has failed.
    #[error("the server does not answer: {0}")]
    Stream(#[from] io::Error),
}

/// A connection to a server.
pub(crate) struct Client {
    requests: UnixStream,
    answers: BufReader<UnixStream>,
    last_id: u64,
}

impl Client {
    pub(crate) fn connect(path: impl AsRef<Path>) -> Result<Self, CallError> {
        let path = path.as_ref();
        let requests =
            UnixStream::connect(path).map_err(|source| CallError::Connect { path: path.to_owned(), source })?;
        let answers = BufReader::new(requests.try_clone()?);
        Ok(Self { requests, answers, last_id: 0 })
    }

    /// Calls a method and waits for its answer. `params` are JSON.
    pub(crate) fn call(&mut self, method: &str, params: Option<&str>) -> Result<Value, CallError> {
        self.last_id += 1;
        let mut request = json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method });
        if let Some(params) = params {
            request["params"] = serde_json::from_str(params).map_err(CallError::Params)?;
        }
        // One line, in one call.
        self.requests.write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(CallError::Stream(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut answer: Value = serde_json::from_str(&line).map_err(io::Error::from)?;
        match answer.get("error") {
            None => Ok(answer["result"].take()),
            Some(error) => Err(CallError::Refused {
                code: error["code"].as_i64().unwrap_or(0),
                message: error["message"].as_str().unwrap_or("without a message").to_owned(),
            }),
        }
    }
}
