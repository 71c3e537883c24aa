//! What the fuzz targets call: lines in pieces, and their answers.
//!
//! It exists only under `cfg(fuzzing)`.

use super::answer::serve;
use super::lines::Lines;
use super::{LINE_BYTES_MAX, Methods};
use crate::event_loop::EventLoop;

/// What a client gets that sends these pieces and then closes its side.
pub fn answers<'a>(
    event_loop: &mut EventLoop,
    methods: &Methods,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let (mut lines, mut answers) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.push(piece);
        while let Some(line) = lines.next() {
            answers.extend(serve(event_loop, methods, line));
        }
    }
    if let Some(line) = lines.finish() {
        answers.extend(serve(event_loop, methods, line));
    }
    answers
}

/// The longest line.
pub const LONGEST: usize = LINE_BYTES_MAX;
