//! What is said on one stream: lines are read, served and answered, one line at a time.
//!
//! While an answer is not sent, no line is served and nothing is read. So a client that does not read its answers costs
//! one of them, and the kernel stops its writes.

use super::Methods;
use super::answer::serve;
use super::lines::Lines;
use crate::event_loop::EventLoop;
use std::io::{self, ErrorKind};

/// How much one call reads.
const READ_BYTES: usize = 16 * 1024;

/// What a client that is idle may keep of the memory for its answers.
const KEPT_BYTES: usize = 64 * 1024;

/// A stream that does not block.
pub(super) trait Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// What the conversation waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: there may be more to do.
    More,
    /// Something to read.
    Input,
    /// Room for the rest of an answer.
    Room,
    /// The client has gone, or it has sent all and got all.
    Over,
}

pub(super) struct Conversation {
    methods: Methods,
    lines: Lines,
    answer: Vec<u8>,
    sent: usize,
    /// How many lines were served.
    served: u64,
    /// Whether the client sends nothing more.
    ended: bool,
}

impl Conversation {
    pub(super) fn new(methods: Methods) -> Self {
        Self { methods, lines: Lines::default(), answer: Vec::new(), sent: 0, served: 0, ended: false }
    }

    pub(super) fn served(&self) -> u64 {
        self.served
    }

    /// Serves one line.
    pub(super) fn step(&mut self, event_loop: &mut EventLoop, stream: &mut impl Stream) -> io::Result<Step> {
        match self.step_or_error(event_loop, stream) {
            // It does not wait for its answers any more.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(Step::Over),
            step => step,
        }
    }

    fn step_or_error(&mut self, event_loop: &mut EventLoop, stream: &mut impl Stream) -> io::Result<Step> {
        if !self.send(stream)? {
            return Ok(Step::Room);
        }
        if self.serve_next(event_loop) {
            return Ok(if self.send(stream)? { Step::More } else { Step::Room });
        }
        if self.ended {
            return Ok(Step::Over);
        }
        let mut bytes = [0; READ_BYTES];
        match stream.read(&mut bytes) {
            Ok(len) => {
                self.ended = len == 0;
                self.lines.push(&bytes[..len]);
                Ok(Step::More)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Step::Input),
            Err(error) => Err(error),
        }
    }

    /// Whether there was a line.
    fn serve_next(&mut self, event_loop: &mut EventLoop) -> bool {
        let mut line = self.lines.next();
        if line.is_none() && self.ended {
            line = self.lines.finish();
        }
        let Some(line) = line else { return false };
        self.answer = serve(event_loop, &self.methods, line);
        self.served += 1;
        true
    }

    /// Whether the whole answer is sent.
    fn send(&mut self, stream: &mut impl Stream) -> io::Result<bool> {
        while self.sent < self.answer.len() {
            match stream.write(&self.answer[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.answer.clear();
        self.answer.shrink_to(KEPT_BYTES);
        self.sent = 0;
        Ok(true)
    }
}
