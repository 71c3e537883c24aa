//! ZeroMQ 4.3.4 (crate zmq 0.10.0, which brings its source): a pair of push and pull sockets over ipc.
//!
//! One I/O thread in each process shares the process's one cpu with the thread that sends or receives. Both threads
//! block, so that neither starves the other. High-water marks hold as many messages as the links of all others. The
//! socket has an abstract name, so there is no file.

use zmq::{Context, Message, Socket, SocketType};

use crate::messages::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::Stop;

/// The carrier.
pub(crate) enum PushPull {}

/// A message that is not delivered when an end is dropped is discarded.
const LINGER_MS: i32 = 0;

impl Carrier for PushPull {
    const NAME: &'static str = "ZeroMQ 4.3.4 ipc";
    const WAIT: Option<&'static str> = Some("block");
    const HAS_THREADS: bool = true;

    type Sender<'s> = Pusher;
    type Receiver<'s> = Puller;

    fn create(link: &Link<'_>) -> Result<Pusher, Stop> {
        let (context, socket) = socket(SocketType::PUSH).map_err(unavailable)?;
        let bind = || {
            socket.set_sndhwm(link.depth() as i32)?;
            socket.bind(&endpoint(link))
        };
        bind().map_err(unavailable)?;
        Ok(Pusher { socket, _context: context })
    }

    fn attach(link: &Link<'_>) -> Result<Puller, Stop> {
        let (context, socket) = socket(SocketType::PULL).map_err(unavailable)?;
        let connect = || {
            socket.set_rcvhwm(link.depth() as i32)?;
            socket.connect(&endpoint(link))
        };
        connect().map_err(unavailable)?;
        Ok(Puller { socket, _context: context, message: Message::new() })
    }
}

fn endpoint(link: &Link<'_>) -> String {
    format!("ipc://@{}", link.name())
}

fn socket(kind: SocketType) -> zmq::Result<(Context, Socket)> {
    let context = Context::new();
    let socket = context.socket(kind)?;
    socket.set_linger(LINGER_MS)?;
    Ok((context, socket))
}

fn unavailable(error: zmq::Error) -> Stop {
    Stop::Unavailable(error.to_string())
}

fn failed(error: zmq::Error) -> Stop {
    Stop::Failed(error.to_string())
}

/// The end that pushes. A context waits for its sockets, so it is declared, and dropped, after them.
pub(crate) struct Pusher {
    socket: Socket,
    _context: Context,
}

impl Sender for Pusher {
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.socket.send(message, 0).map_err(failed)
    }
}

/// The end that pulls.
pub(crate) struct Puller {
    socket: Socket,
    _context: Context,
    message: Message,
}

impl Receiver for Puller {
    fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        self.socket.recv(&mut self.message, 0).map_err(failed)?;
        read(&self.message);
        Ok(true)
    }
}
