//! Clients of a Unix socket. Each is a source of its own.

use super::answer::refused;
use super::conversation::{Conversation, Step, Stream};
use super::{CLIENTS_MAX, Methods, RpcError};
use crate::event_loop::{AddError, Cause, EventLoop, Interest, Next, OnFailure, Ready, Settings, SourceId, Tick};
use myelon_process::listen::{AcceptError, Credentials, Listener};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::error::Error;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

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

impl EventLoop {
    /// Serves JSON-RPC 2.0 on a Unix socket: a line is a request or a batch, for one of `methods`. The page of
    /// [`json_rpc`](super) has the rules, and [`Methods`] an example.
    ///
    /// Each client is a source of its own, with these settings, and is described by its process and its user. It is
    /// removed when it has gone. Removing this source ends listening, and no client.
    ///
    /// A process that may not connect is a failure of this source ([`AcceptError`]). If the operating system refuses to
    /// accept, that is one as well, and the listener tries again after 100 ms.
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
        let connected = Rc::new(());
        let handler = move |event_loop: &mut EventLoop, listener: &mut Listener, _: Ready| {
            let (stream, who) = match listener.accept() {
                Ok(Some(client)) => client,
                Ok(None) => return Ok(Next::Drained),
                Err(AcceptError::Os(error)) => {
                    event_loop.accept_later(error);
                    return Ok(Next::Pause);
                }
                Err(refused) => {
                    methods.count(|counts| counts.clients_refused += 1);
                    return Err(Box::<dyn Error>::from(refused));
                }
            };
            if Rc::strong_count(&connected) > CLIENTS_MAX {
                methods.count(|counts| counts.clients_refused += 1);
                let why = format!("{CLIENTS_MAX} clients are connected; try again later");
                // If there is no room, the client learns it from the end of the stream.
                let _ = { stream }.write(&refused(RpcError::new(RpcError::TOO_MANY_CLIENTS, why)));
                return Ok(Next::More);
            }
            methods.count(|counts| counts.clients += 1);
            event_loop.add_client(stream, who, methods.clone(), &of_clients, Rc::clone(&connected))?;
            Ok(Next::More)
        };
        self.add(listener, Interest::Readable, settings, handler)
    }

    /// Tells why the listener whose handler runs cannot accept, and resumes it later.
    fn accept_later(&mut self, error: io::Error) {
        let Some(listener) = self.current else { return };
        self.fail(listener, &Cause::Error(error.into()), OnFailure::Pause);
        let again = move |event_loop: &mut EventLoop, _: Tick| event_loop.resume(listener).map(drop);
        self.add_timer(TRY_AGAIN, "a listener that could not accept tries again", again);
    }

    fn add_client(
        &mut self,
        stream: UnixStream,
        who: Credentials,
        methods: Methods,
        settings: &Settings,
        connected: Rc<()>,
    ) -> Result<SourceId, AddError> {
        let mut conversation = Conversation::new(methods);
        let mut waits_for_room = false;
        let handler = move |event_loop: &mut EventLoop, stream: &mut UnixStream, ready: Ready| {
            let _is_counted = &connected;
            let mut step = conversation.step(event_loop, stream)?;
            // A client that has closed its side is not called again for the lines that are read already.
            while ready.hang_up && !ready.readable && step == Step::More {
                if event_loop.stopped() {
                    return Ok(Next::Remove);
                }
                step = conversation.step(event_loop, stream)?;
            }
            // Room comes as an edge, so the interest changes only when what is waited for does.
            let for_room = step == Step::Room;
            if std::mem::replace(&mut waits_for_room, for_room) != for_room
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
