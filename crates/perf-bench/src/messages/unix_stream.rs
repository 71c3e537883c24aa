//! A Unix stream socket, both ends spinning: every system has it, and it shows the cost of the kernel's part.
//!
//! The socket has an abstract name, so there is no file to remove, and the kernel's default buffers. A message is its
//! length in eight bytes and its bytes, written with one call. One read takes what is there, which may be many
//! messages.

use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use super::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::Stop;

/// The carrier.
pub(crate) enum UnixStreams {}

/// What a message begins with: its length.
const HEADER_BYTES: usize = size_of::<u64>();

/// The least that a receiver can take at once: a system call should bring many short messages.
const BUFFER_BYTES_MIN: usize = 64 * 1024;

impl Carrier for UnixStreams {
    const NAME: &'static str = "Unix stream";

    type Sender<'s> = StreamSender;
    type Receiver<'s> = StreamReceiver;

    fn create(link: &Link<'_>) -> Result<StreamSender, Stop> {
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(link.name())?)?;
        Ok(StreamSender { listener, stream: None, buffer: Vec::new() })
    }

    fn attach(link: &Link<'_>) -> Result<StreamReceiver, Stop> {
        let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(link.name())?)?;
        stream.set_nonblocking(true)?;
        let buffer = vec![0; BUFFER_BYTES_MIN.max(HEADER_BYTES + link.message_bytes())];
        Ok(StreamReceiver { stream, buffer, filled: 0 })
    }
}

/// The end that writes.
pub(crate) struct StreamSender {
    listener: UnixListener,
    /// `None` until the receiver has been [joined](Sender::join).
    stream: Option<UnixStream>,
    buffer: Vec<u8>,
}

impl Sender for StreamSender {
    fn join(&mut self) -> Result<(), Stop> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        let stream = self.stream.as_mut().ok_or_else(|| Stop::Failed("no receiver has joined".into()))?;
        self.buffer.clear();
        self.buffer.extend_from_slice(&(message.len() as u64).to_ne_bytes());
        self.buffer.extend_from_slice(message);
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The end that reads.
pub(crate) struct StreamReceiver {
    stream: UnixStream,
    /// Room for a whole message at least.
    buffer: Vec<u8>,
    /// How much of the buffer has something in it: the beginning of a message.
    filled: usize,
}

impl StreamReceiver {
    /// Shows all whole messages of the buffer and keeps what is left of it. Returns how many there were.
    fn show(&mut self, mut read: impl FnMut(&[u8])) -> usize {
        let (mut rest, mut count) = (&self.buffer[..self.filled], 0);
        while let Some((header, bytes)) = rest.split_first_chunk() {
            let Some((message, next)) = bytes.split_at_checked(u64::from_ne_bytes(*header) as usize) else { break };
            read(message);
            (rest, count) = (next, count + 1);
        }
        let left = rest.len();
        // The beginning of a long message is there already, again and again, until all of it is.
        if count > 0 {
            self.buffer.copy_within(self.filled - left..self.filled, 0);
        }
        self.filled = left;
        count
    }
}

impl Receiver for StreamReceiver {
    fn poll(&mut self, read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Err(Stop::Failed("the sender has closed its end".into())),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(self.show(read) > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_ends_within_a_message_keeps_its_beginning() {
        let (mut there, stream) = UnixStream::pair().unwrap();
        let mut receiver = StreamReceiver { stream, buffer: vec![0; 64], filled: 0 };
        let mut sent = Vec::new();
        for message in [&b"one"[..], b"three"] {
            sent.extend_from_slice(&(message.len() as u64).to_ne_bytes());
            sent.extend_from_slice(message);
        }
        let (first, rest) = sent.split_at(sent.len() - 3);
        let mut received = Vec::new();
        there.write_all(first).unwrap();
        receiver.receive(|message| received.push(message.to_vec())).unwrap();
        assert_eq!(received, [b"one"]);
        there.write_all(rest).unwrap();
        receiver.receive(|message| received.push(message.to_vec())).unwrap();
        assert_eq!(received, [&b"one"[..], b"three"]);
    }

    #[test]
    fn a_sender_that_has_gone_is_an_error() {
        let (there, stream) = UnixStream::pair().unwrap();
        drop(there);
        let mut receiver = StreamReceiver { stream, buffer: vec![0; 64], filled: 0 };
        assert!(receiver.receive(|_| {}).is_err());
    }
}
