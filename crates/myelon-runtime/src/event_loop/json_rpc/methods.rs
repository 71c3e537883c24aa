//! The methods that clients may call, and what was called.

use super::{RpcError, built_in};
use crate::event_loop::EventLoop;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

pub(super) type Call = Rc<RefCell<dyn FnMut(&mut EventLoop, Params) -> Result<Value, RpcError>>>;

struct Method {
    about: String,
    call: Call,
}

#[derive(Default)]
struct Inner {
    methods: RefCell<BTreeMap<String, Method>>,
    counts: Cell<RpcCounts>,
}

/// The methods that clients may call. A clone has the same ones and the same [counts](Self::counts), so a socket and a
/// pair of FIFOs can share them.
///
/// A method runs in the loop's thread as a part of the handler of its client, so it must not block. It gets the loop,
/// and may add and remove sources. A panic is answered with an error, counted, and told to the hook of
/// [`EventLoop::on_failure`].
///
/// ```
/// use myelon_process::listen::{Access, Listener};
/// use myelon_runtime::event_loop::EventLoop;
/// use myelon_runtime::event_loop::json_rpc::{Methods, Params, RpcError};
/// use std::io::{BufRead, BufReader, Write};
/// use std::os::unix::net::UnixStream;
///
/// # let directory = std::env::temp_dir().join(format!("myelon-doc-methods-{}", std::process::id()));
/// # let path = directory.join("console");
/// let methods = Methods::new();
/// let mut level = 3;
/// methods.add("log_level", "sets the level of the log, and returns the old one", move |_, params: Params| {
///     let (new,): (u8,) = params.parse()?;
///     if new > 5 {
///         return Err(RpcError::invalid_params("a level is at most 5"));
///     }
///     Ok(std::mem::replace(&mut level, new))
/// });
///
/// let mut event_loop = EventLoop::new()?;
/// event_loop.add_json_rpc(Listener::bind(&path, Access::Owner)?, methods.clone(), "console")?;
///
/// let mut client = UnixStream::connect(&path)?;
/// client.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"log_level\",\"params\":[5]}\n")?;
/// while methods.counts().requests == 0 {
///     event_loop.turn(std::time::Duration::MAX)?; // a server calls `run`
/// }
/// let mut answer = String::new();
/// BufReader::new(client).read_line(&mut answer)?;
/// assert_eq!(answer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":3}\n");
/// # drop(event_loop);
/// # std::fs::remove_dir(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Methods(Rc<Inner>);

impl Default for Methods {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.methods.borrow().keys()).finish()
    }
}

impl Methods {
    /// Those that every server has; the page of [`json_rpc`](super) lists them.
    pub fn new() -> Self {
        let methods = Self::empty();
        built_in::add(&methods);
        methods
    }

    /// None, also not those that end the loop.
    pub fn empty() -> Self {
        Self(Rc::default())
    }

    /// Adds a method. `about` says what it is for; `methods` shows it. What `method` returns becomes JSON as serde does
    /// it: `()` is `null`.
    ///
    /// # Panics
    /// There is a method of that name, or the name begins with `rpc.`, which JSON-RPC keeps for itself.
    pub fn add<T, F>(&self, name: impl Into<String>, about: impl Into<String>, mut method: F)
    where
        T: Serialize,
        F: FnMut(&mut EventLoop, Params) -> Result<T, RpcError> + 'static,
    {
        let name = name.into();
        assert!(!name.starts_with("rpc."), "the name `{name}` is kept for JSON-RPC itself");
        let call = move |event_loop: &mut EventLoop, params| {
            serde_json::to_value(method(event_loop, params)?).map_err(RpcError::internal)
        };
        let method = Method { about: about.into(), call: Rc::new(RefCell::new(call)) };
        let mut methods = self.0.methods.borrow_mut();
        assert!(!methods.contains_key(&name), "there is a method `{name}` already");
        methods.insert(name, method);
    }

    /// What clients have asked for so far, through all that has these methods.
    pub fn counts(&self) -> RpcCounts {
        self.0.counts.get()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut RpcCounts)) {
        let mut counts = self.0.counts.get();
        change(&mut counts);
        self.0.counts.set(counts);
    }

    pub(super) fn get(&self, name: &str) -> Option<Call> {
        self.0.methods.borrow().get(name).map(|method| Rc::clone(&method.call))
    }

    /// Each name, and what it is for.
    pub(super) fn list(&self) -> Vec<(String, String)> {
        self.0.methods.borrow().iter().map(|(name, method)| (name.clone(), method.about.clone())).collect()
    }

    /// For a method that needs these methods, and must not keep them alive.
    pub(super) fn downgrade(&self) -> impl Fn() -> Option<Self> + use<> {
        let weak = Rc::downgrade(&self.0);
        move || weak.upgrade().map(Self)
    }
}

/// What clients have asked for, and what they got.
///
/// ```
/// use myelon_runtime::event_loop::json_rpc::{Methods, RpcCounts};
///
/// let RpcCounts { requests, errors, .. } = Methods::new().counts();
/// assert_eq!((requests, errors), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RpcCounts {
    /// Clients that have connected to a socket and were served.
    pub clients: u64,
    /// Clients that were not served: of another user, or too many.
    pub clients_refused: u64,
    /// Clients that had sent no request for [`SILENCE_MAX`](super::SILENCE_MAX), and lost their place to a new one.
    pub clients_silent: u64,
    /// Lines that were not blank.
    pub lines: u64,
    /// Lines that were longer than [`LINE_BYTES_MAX`](super::LINE_BYTES_MAX).
    pub lines_too_long: u64,
    /// Lines that were batches.
    pub batches: u64,
    /// Requests with an id, also those that have failed.
    pub requests: u64,
    /// Requests without id, also those that have failed.
    pub notifications: u64,
    /// What was no JSON or no request, requests and notifications that have failed, and answers that were too large.
    pub errors: u64,
    /// Methods that have panicked.
    pub panics: u64,
}

/// What a client gives to a method.
///
/// ```
/// use myelon_runtime::event_loop::json_rpc::{Methods, RpcError, Params};
///
/// #[derive(serde::Deserialize)]
/// struct Drain {
///     worker: u32,
///     within_ms: Option<u64>,
/// }
///
/// Methods::new().add("drain", "lets a worker finish", |_, params: Params| {
///     let Drain { worker, within_ms } = params.parse()?; // {"worker":3} or [3,500]
///     Ok::<_, RpcError>(format!("worker {worker} within {within_ms:?}"))
/// });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Params(pub(super) Option<Value>);

impl Params {
    /// As a value of `T`: an object for a struct with named fields, a list for a tuple. Without params, `T` is what
    /// `null` means.
    ///
    /// # Errors
    /// -32602 for the client, with what serde says.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, RpcError> {
        let is_missing = self.0.is_none();
        serde_json::from_value(self.0.unwrap_or_default()).map_err(|error| match is_missing {
            true => RpcError::invalid_params(format_args!("params are missing: {error}")),
            false => RpcError::invalid_params(error),
        })
    }

    /// For a method that takes none; an empty list or object is none.
    ///
    /// # Errors
    /// -32602 for the client: there are some.
    pub fn none(self) -> Result<(), RpcError> {
        match self.0 {
            Some(Value::Array(params)) if !params.is_empty() => {}
            Some(Value::Object(params)) if !params.is_empty() => {}
            _ => return Ok(()),
        }
        Err(RpcError::invalid_params("this method takes no params"))
    }
}
