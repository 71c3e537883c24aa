//! Why a request has failed, as the client gets it.

use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// Why a method cannot answer. The client gets the code, the message and the data.
///
/// Codes from -32768 to -32000 are JSON-RPC's own; a method of yours takes others, or [`invalid_params`] and
/// [`internal`].
///
/// ```
/// use myelon_runtime::event_loop::json_rpc::RpcError;
///
/// let error = RpcError::new(1, "worker 3 is draining").with_data(["worker", "3"]);
/// assert_eq!(error.to_string(), "worker 3 is draining (1)");
/// let error = std::fs::read("/nowhere").map_err(RpcError::internal).unwrap_err();
/// assert_eq!(error.code(), -32603);
/// ```
///
/// [`invalid_params`]: Self::invalid_params
/// [`internal`]: Self::internal
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RpcError {
    code: i64,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl RpcError {
    pub(super) const PARSE: i64 = -32700;
    pub(super) const INVALID_REQUEST: i64 = -32600;
    pub(super) const NO_METHOD: i64 = -32601;
    const INVALID_PARAMS: i64 = -32602;
    const INTERNAL: i64 = -32603;
    pub(super) const TOO_MANY_CLIENTS: i64 = -32000;

    /// An error with a code of your own.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The params are not those that the method takes (-32602).
    pub fn invalid_params(why: impl fmt::Display) -> Self {
        Self::new(Self::INVALID_PARAMS, why.to_string())
    }

    /// The method has failed (-32603).
    pub fn internal(why: impl fmt::Display) -> Self {
        Self::new(Self::INTERNAL, why.to_string())
    }

    /// Adds what a program that gets the error can use. Data that cannot be JSON, such as a map whose keys are no
    /// strings, is left out.
    #[must_use]
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok();
        self
    }

    /// The code.
    pub fn code(&self) -> i64 {
        self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}
