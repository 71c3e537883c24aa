//! Any frames, in any order: messages within the limit or faults, never a panic, and whole messages are received again
//! afterwards.
//!
//! An arbitrary header is refused at its first number, so most frames here are the expected next frame with one number
//! changed.
#![no_main]

use fuzz::Decisions;
use libfuzzer_sys::fuzz_target;
use myelon::transport::reassembly::{Pushed, Reassembler};
use myelon::transport::{FrameHeader, FrameShape};

/// The longest message that the fuzzed receiver accepts.
const LIMIT_BYTES: usize = 1000;

/// The message that the frames pretend to belong to.
#[derive(Default)]
struct Pretended {
    index: u16,
    msg_id: u32,
    total: u64,
    sent: u64,
}

impl Pretended {
    /// The next correct frame; if it is the first of a message, its prefix is in `data`.
    fn next(&mut self, shape: FrameShape, decisions: &mut Decisions<'_>, data: &mut [u8]) -> FrameHeader {
        let capacity = shape.data_bytes as u64;
        let prefix = 8_usize.next_multiple_of(shape.payload_align) as u64;
        if self.sent >= self.total {
            *self =
                Self { index: 0, msg_id: self.msg_id.wrapping_add(1), total: decisions.below(1200) as u64, sent: 0 };
            data[..8].copy_from_slice(&(self.total - self.total.min(prefix)).to_le_bytes());
        }
        let len = (self.total - self.sent).min(capacity);
        self.sent += len;
        let is_last = self.sent >= self.total;
        let flags = u8::from(self.index == 0) | u8::from(is_last) << 1;
        let header = FrameHeader { len: len as u32, kind: 0, flags, index: self.index, msg_id: self.msg_id };
        self.index = self.index.wrapping_add(1);
        header
    }
}

fuzz_target!(|input: &[u8]| {
    let mut decisions = Decisions::new(input);
    let align = [1, 16][decisions.below(2)];
    let shape = FrameShape { data_bytes: 32 + decisions.below(64), payload_align: align };
    let mut reassembler = Reassembler::new(shape, LIMIT_BYTES);
    let mut pretended = Pretended::default();
    let mut data = vec![0; shape.data_bytes];
    while !decisions.is_over() {
        let mut header = pretended.next(shape, &mut decisions, &mut data);
        match decisions.byte() % 16 {
            0 => header.len = decisions.word(header.len.into()) as u32,
            1 => header.flags = decisions.byte(),
            2 => header.index = decisions.word(header.index.into()) as u16,
            3 => header.msg_id = decisions.word(header.msg_id.into()) as u32,
            4 => data[..8].copy_from_slice(&decisions.word(pretended.total).to_le_bytes()),
            5 => pretended.sent = pretended.total,
            6 => data.truncate(decisions.below(shape.data_bytes + 1)),
            _ => {}
        }
        let copied = decisions.below(2) == 0 && push_ahead(&mut reassembler, header, &data);
        if let Some(pushed) = push(&mut reassembler, header, &data)
            && copied
        {
            assert!(matches!(pushed, Pushed::More | Pushed::Joined(_)), "copied ahead, and {pushed:?}");
        }
        data.resize(shape.data_bytes, 0);
    }
    let good = FrameHeader { len: 9, kind: 1, flags: 3, index: 0, msg_id: 5 };
    assert!(matches!(push(&mut reassembler, good, &data), Some(Pushed::Single(..))), "the stream did not go on");
});

/// Pushes a frame as one that may still be written, and undoes that. Returns whether it was accepted.
fn push_ahead(reassembler: &mut Reassembler, header: FrameHeader, data: &[u8]) -> bool {
    let bookmark = reassembler.bookmark();
    let pushed = reassembler.push_ahead(header, data.len(), |offset, into: &mut [u8]| {
        into.copy_from_slice(&data[offset..][..into.len()]);
    });
    assert!(!matches!(pushed, Some(Pushed::Single(..) | Pushed::Passed)), "{pushed:?}");
    reassembler.return_to(bookmark);
    pushed.is_some()
}

/// Pushes a frame, again if it did not cause the fault, and checks the result.
fn push(reassembler: &mut Reassembler, header: FrameHeader, data: &[u8]) -> Option<Pushed> {
    let skipped = reassembler.skipped();
    let pushed = match reassembler.push(header, data) {
        Err(fault) if fault.is_of_earlier_frames() => {
            let again = reassembler.push(header, data);
            assert!(!again.as_ref().is_err_and(|fault| fault.is_of_earlier_frames()), "blamed on earlier frames twice");
            again
        }
        pushed => pushed,
    };
    match &pushed {
        Ok(Pushed::Single(_, range)) => assert!(data[range.clone()].len() <= LIMIT_BYTES),
        Ok(Pushed::Joined(_)) => {
            let message = reassembler.message();
            assert!(message.len() <= LIMIT_BYTES && message.as_ptr().addr().is_multiple_of(16));
        }
        Ok(Pushed::More | Pushed::Passed) => {}
        Err(fault) => {
            let _ = fault.to_string();
            assert!(reassembler.skipped() > skipped, "a fault was not counted");
        }
    }
    pushed.ok()
}
