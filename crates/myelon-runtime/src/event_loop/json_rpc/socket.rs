//! Clients of a Unix socket. Each is a source of its own.

use super::answer::refused;
use super::conversation::{Conversation, Step, Stream};
use super::{CLIENTS_MAX, Methods, RpcError, SILENCE_MAX};
use crate::event_loop::{
    AddError, Cause, EventLoop, Interest, Next, OnFailure, Ready, Settings, SourceId, SourceState, Tick,
};
use myelon_process::listen::{AcceptError, Credentials, Listener};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::Cell;
use std::error::Error;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// When a listener tries again that could not accept, for example because the process has no descriptors left.
const TRY_AGAIN: Duration = Duration::from_millis(100);

impl Stream for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (len, _) = rustix::io::retry_on_intr(|| recv(&*self, &mut *buffer, RecvFlags::DONTWAIT))?;
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Without the flag a client that has gone would be a SIGPIPE.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(rustix::io::retry_on_intr(|| send(&*self, bytes, flags))?)
    }
}

/// The last line for a client. If there is no room for it, the client learns it from the end of the stream.
fn goodbye(mut stream: UnixStream, why: String) {
    let _ = stream.write(&refused(RpcError::new(RpcError::TOO_MANY_CLIENTS, why)));
}

/// What a listener knows of a client.
struct Place {
    client: Cell<Option<SourceId>>,
    /// When the client connected, or its last request was served.
    heard: Cell<Instant>,
    waits_for_room: Cell<bool>,
}

impl Place {
    fn new(now: Instant) -> Self {
        Self { client: Cell::new(None), heard: Cell::new(now), waits_for_room: Cell::new(false) }
    }
}

/// The clients of one listener. Each keeps its place, and some may have gone.
#[derive(Default)]
struct Places(Vec<Weak<Place>>);

impl Places {
    fn are_taken(&mut self) -> bool {
        self.0.retain(|place| place.strong_count() > 0);
        self.0.len() >= CLIENTS_MAX
    }

    /// The client that has sent no request for the longest time, if that is too long. What a client that does not wait
    /// has sent is not known.
    fn longest_silent(&self, event_loop: &EventLoop) -> Option<Rc<Place>> {
        let waits = |id| event_loop.entries.get(id).is_some_and(|entry| entry.state == SourceState::Waiting);
        let waiting = self.0.iter().filter_map(Weak::upgrade).filter(|place| place.client.get().is_some_and(waits));
        let longest = waiting.min_by_key(|place| place.heard.get())?;
        (event_loop.now().saturating_duration_since(longest.heard.get()) >= SILENCE_MAX).then_some(longest)
    }
}

impl EventLoop {
    /// Serves JSON-RPC 2.0 on a Unix socket: a line is a request or a batch, for one of `methods`. The page of
    /// [`json_rpc`](super) has the rules, and [`Methods`] an example.
    ///
    /// Each client is a source of its own, with these settings, and is described by its process and its user. It is
    /// removed when it has gone. Removing this source ends listening, and no client.
    ///
    /// A process that may not connect is a failure of this source ([`AcceptError`]). If the operating system refuses to
    /// accept, that is one as well, and the listener tries again after 100 ms, unless it is
    /// [paused](EventLoop::pause) meanwhile.
    ///
    /// # Errors
    /// See [`AddError`]. The socket is removed then.
    pub fn add_json_rpc(
        &mut self,
        listener: Listener,
        methods: Methods,
        settings: impl Into<Settings>,
    ) -> Result<SourceId, AddError> {
        let settings = settings.into();
        let of_clients = settings.clone();
        let mut places = Places::default();
        let handler = move |event_loop: &mut EventLoop, listener: &mut Listener, _: Ready| {
            let (stream, who) = match listener.accept() {
                Ok(Some(client)) => client,
                Ok(None) => return Ok(Next::Drained),
                Err(AcceptError::Os(error)) => {
                    event_loop.accept_later(error);
                    return Ok(Next::Again);
                }
                Err(refused) => {
                    methods.count(|counts| counts.clients_refused += 1);
                    return Err(Box::<dyn Error>::from(refused));
                }
            };
            if places.are_taken() {
                let Some(silent) = places.longest_silent(event_loop) else {
                    methods.count(|counts| counts.clients_refused += 1);
                    goodbye(stream, format!("{CLIENTS_MAX} clients are connected; try again later"));
                    return Ok(Next::More);
                };
                methods.count(|counts| counts.clients_silent += 1);
                event_loop.close_silent(&silent);
            }
            methods.count(|counts| counts.clients += 1);
            let place = Rc::new(Place::new(event_loop.now()));
            places.0.push(Rc::downgrade(&place));
            let client = event_loop.add_client(stream, who, methods.clone(), &of_clients, Rc::clone(&place))?;
            place.client.set(Some(client));
            Ok(Next::More)
        };
        self.add(listener, Interest::Readable, settings, handler)
    }

    /// Tells why the listener whose handler runs cannot accept, and lets it wait until it tries again.
    fn accept_later(&mut self, error: io::Error) {
        let Some(listener) = self.current else { return };
        self.hold(listener);
        self.fail(listener, &Cause::Error(error.into()), OnFailure::Pause);
        let again = move |event_loop: &mut EventLoop, _: Tick| event_loop.release(listener).map(drop);
        self.add_timer(TRY_AGAIN, "a listener that could not accept tries again", again);
    }

    /// Removes a client for a new one.
    fn close_silent(&mut self, place: &Place) {
        let Some(stream) = place.client.get().and_then(|client| self.take::<UnixStream>(client)) else { return };
        // A part of an answer is no line yet.
        if !place.waits_for_room.get() {
            let seconds = SILENCE_MAX.as_secs();
            goodbye(stream, format!("no request came for {seconds} s, and another client needs the place"));
        }
    }

    fn add_client(
        &mut self,
        stream: UnixStream,
        who: Credentials,
        methods: Methods,
        settings: &Settings,
        place: Rc<Place>,
    ) -> Result<SourceId, AddError> {
        let mut conversation = Conversation::new(methods);
        let handler = move |event_loop: &mut EventLoop, stream: &mut UnixStream, ready: Ready| {
            let served_before = conversation.served();
            let mut step = conversation.step(event_loop, stream)?;
            // A client that has closed its side is not called again for the lines that are read already.
            while ready.hang_up && !ready.readable && step == Step::More {
                if event_loop.stopped() {
                    return Ok(Next::Remove);
                }
                step = conversation.step(event_loop, stream)?;
            }
            if conversation.served() != served_before {
                // Read now: a method may have taken longer than a client may be silent.
                place.heard.set(event_loop.clock.now());
            }
            // Room comes as an edge, so the interest changes only when what is waited for does.
            let for_room = step == Step::Room;
            if place.waits_for_room.replace(for_room) != for_room
                && let Some(client) = event_loop.current
            {
                // Not `Writable` alone: then a client that has closed its side only would be gone.
                event_loop.set_interest(client, if for_room { Interest::Both } else { Interest::Readable })?;
            }
            Ok::<_, io::Error>(match step {
                Step::More => Next::More,
                Step::Input | Step::Room => Next::Drained,
                Step::Over => Next::Remove,
            })
        };
        let description = format!("{}: process {} of user {}", settings.description, who.pid, who.uid);
        let mut settings = settings.clone().on_failure(OnFailure::Remove);
        settings.description = description.into();
        self.add(stream, Interest::Readable, settings, handler)
    }
}
