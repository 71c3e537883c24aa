//! Streams whose messages have all kinds of lengths, beside readers of all kinds.

use crate::counted::encodings_of;

/// How often a message may be encoded, on average.
pub(crate) const ENCODINGS_MAX: f64 = 1.05;

/// The messages of a stream. The average includes what is learned at its beginning.
pub(crate) const MESSAGES: usize = 600;

/// The longest usual message of a stream; the huge one is longer.
const LONGEST: usize = 64_000;
const HUGE: usize = 200_000;

/// The lengths of the messages of a stream, by their numbers.
pub(crate) type Lengths = (&'static str, fn(usize) -> usize);

pub(crate) const LENGTHS: [Lengths; 11] = [
    ("steady, short", |_| 64),
    ("steady, a step", |_| 26_000),
    ("any length", |index| 64 + (random(index) * (LONGEST - 64) as f64) as usize),
    ("any length, mostly short", |index| (64.0 * 1000_f64.powf(random(index))) as usize),
    ("short and long in turns", |index| if index.is_multiple_of(2) { 64 } else { LONGEST }),
    ("growing by the same", |index| 64 + index * 100),
    ("growing by a part", |index| (64.0 * 1.0116_f64.powi(index as i32)) as usize),
    ("growing, and short again", |index| 64 + index % 100 * 600),
    ("one huge, then short", |index| if index == 3 { HUGE } else { 100 }),
    ("a long one now and then", |index| if index % 40 == 39 { LONGEST } else { 1000 }),
    ("a long one when it is forgotten", |index| if index % 64 == 63 { LONGEST } else { 1000 }),
];

/// A number between 0 and 1, the same in every run.
fn random(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed ^ (mixed >> 32)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// When the reader reads.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// Each message before the next one comes.
    KeepsUp,
    /// One message each time that the ring is full: it is nearly full all the time.
    ReadsOneWhenFull,
    /// Half of the ring each time that it is full.
    ReadsHalfWhenFull,
}

/// Encodings per call of a producer that sends each message again until there is room.
fn encodings(
    mut send: impl FnMut(usize) -> bool,
    mut read: impl FnMut(),
    length: fn(usize) -> usize,
    reader: Reader,
) -> f64 {
    let (mut encodings, mut calls, mut unread) = (0, 0, 0_usize);
    for index in 0..MESSAGES {
        let mut sent = false;
        while !sent {
            let encodings_of_call = encodings_of(|| sent = send(length(index)));
            assert!(encodings_of_call <= 2, "message {index} was gone through {encodings_of_call} times");
            encodings += encodings_of_call;
            calls += 1;
            unread += usize::from(sent);
            let reads = match (reader, sent) {
                (Reader::KeepsUp, _) | (Reader::ReadsOneWhenFull, false) => 1,
                (Reader::ReadsHalfWhenFull, false) => unread.div_ceil(2),
                (_, true) => 0,
            };
            (0..reads).for_each(|_| read());
            unread -= reads;
        }
    }
    f64::from(encodings) / f64::from(calls)
}

/// Runs all lengths with every reader. `new` makes two closures that do not wait: one sends a message of that many
/// bytes, or returns that there is no room; the other one reads a message.
pub(crate) fn each_is_encoded_once<S: FnMut(usize) -> bool, R: FnMut()>(mut new: impl FnMut() -> (S, R)) {
    let mut too_often = vec![];
    for (name, length) in LENGTHS {
        for reader in [Reader::KeepsUp, Reader::ReadsOneWhenFull, Reader::ReadsHalfWhenFull] {
            let (send, read) = new();
            let encodings = encodings(send, read, length, reader);
            if encodings > ENCODINGS_MAX {
                too_often.push(format!("{encodings:.3} {name}, {reader:?}"));
            }
        }
    }
    assert!(too_often.is_empty(), "encodings per message: {too_often:#?}");
}
