//! Everything that can be sent comes back; everything else is a fault, and the next message comes.
//!
//! Generated tests over both kinds of frame, and one story per fault.

use super::*;
use crate::transport::flags::{FRAME_HAS_SEND_TIME, KNOWN};
use crate::transport::frame::{AlignedFixedFrame, FixedFrame, FramedTransportFrame};
use crate::transport::prefix::{Letter, Mark};
use crate::transport::split::{Outline, payload_max, single_payload_max};
use disruptor_mp::Sequence;
use proptest::prelude::*;
use zerocopy::{FromZeros, IntoBytes};

type Small = FixedFrame<40>;
type Aligned = AlignedFixedFrame<48>;

const LIMIT: usize = 1 << 16;

/// A message as its sender sees it.
#[derive(Clone, Debug)]
struct Sent {
    kind: u8,
    msg_id: u32,
    prefix: Prefix,
    payload: Vec<u8>,
}

impl Sent {
    fn plain(msg_id: u32, len: usize) -> Self {
        let payload = (0..len).map(|i| (i as u32 * 7 + msg_id) as u8).collect();
        Self { kind: msg_id as u8, msg_id, prefix: Prefix::default(), payload }
    }

    fn frames<E: FramedTransportFrame>(&self) -> Vec<E> {
        let letter = Letter { kind: self.kind, msg_id: self.msg_id, prefix: self.prefix };
        let outline = Outline::new(E::SHAPE, &letter, self.payload.len());
        let frame = |index| {
            // What an older message left in the slot.
            let mut frame = E::new_zeroed();
            frame.as_mut_bytes().fill(0xaa);
            outline.write(&mut frame, index, &self.payload);
            frame
        };
        (0..outline.frames()).map(frame).collect()
    }
}

/// A message as its receiver got it.
#[derive(Clone, Debug, PartialEq)]
struct Received {
    envelope: Envelope,
    payload: Vec<u8>,
}

/// Whether it is the message that was sent, with all its properties.
fn is_of(received: &Received, sent: &Sent) -> bool {
    let Envelope { kind, msg_id, mark, trace_id, .. } = received.envelope;
    let prefix = Prefix { total: None, mark, trace_id };
    (kind, msg_id, prefix, &received.payload) == (sent.kind, sent.msg_id, sent.prefix, &sent.payload)
}

/// Pushes a frame as one that may still be written, and undoes that. Returns the result, and the message if the frame
/// completed one.
fn push_ahead<E: FramedTransportFrame>(reassembler: &mut Reassembler, frame: &E) -> Option<(Pushed, Vec<u8>)> {
    let bookmark = reassembler.bookmark();
    let copy = |offset: usize, into: &mut [u8]| into.copy_from_slice(&frame.data()[offset..][..into.len()]);
    let pushed = reassembler.push_ahead(frame.header(), frame.data().len(), copy);
    let message = if matches!(pushed, Some(Pushed::Joined(_))) { reassembler.message().to_vec() } else { Vec::new() };
    reassembler.return_to(bookmark);
    pushed.map(|pushed| (pushed, message))
}

fn push<E: FramedTransportFrame>(
    reassembler: &mut Reassembler,
    frame: &E,
    into: &mut Vec<Received>,
) -> Result<Pushed, Malformed> {
    let ahead = push_ahead(reassembler, frame);
    let pushed = reassembler.push(frame.header(), frame.data());
    let of_several = match &pushed {
        Ok(Pushed::Joined(_)) => Some((pushed.clone().unwrap(), reassembler.message().to_vec())),
        Ok(Pushed::More) => Some((Pushed::More, Vec::new())),
        _ => None,
    };
    assert_eq!(ahead, of_several, "another outcome where it is pushed ahead");
    match &pushed {
        Ok(Pushed::Single(envelope, range)) => {
            into.push(Received { envelope: *envelope, payload: frame.data()[range.clone()].to_vec() });
        }
        Ok(Pushed::Joined(envelope)) => {
            into.push(Received { envelope: *envelope, payload: reassembler.message().to_vec() });
        }
        _ => {}
    }
    pushed
}

/// Pushes all frames, again those that did not cause a fault; returns the messages and the faults.
fn feed<E: FramedTransportFrame>(reassembler: &mut Reassembler, frames: &[E]) -> (Vec<Received>, Vec<Malformed>) {
    let (mut received, mut faults) = (Vec::new(), Vec::new());
    for frame in frames {
        if let Err(fault) = push(reassembler, frame, &mut received) {
            faults.push(fault);
            if fault.is_of_earlier_frames()
                && let Err(fault) = push(reassembler, frame, &mut received)
            {
                faults.push(fault);
            }
        }
    }
    (received, faults)
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    let mark = prop_oneof![
        Just(Mark::Nothing),
        any::<u64>().prop_map(Mark::SendTime),
        any::<Sequence>().prop_map(Mark::InReplyTo)
    ];
    (mark, any::<Option<[u8; 16]>>()).prop_map(|(mark, trace_id)| Prefix { total: None, mark, trace_id })
}

fn any_sent() -> impl Strategy<Value = Sent> {
    // Lengths of about one and two frames take different paths; longer ones differ only in the number of frames.
    let len = prop_oneof![0..100_usize, 0..2000_usize];
    let sent = |(kind, msg_id, prefix, len, seed): (u8, u32, Prefix, usize, u8)| {
        let payload = (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        Sent { kind, msg_id, prefix, payload }
    };
    (any::<u8>(), any::<u32>(), any_prefix(), len, any::<u8>()).prop_map(sent)
}

fn comes_back<E: FramedTransportFrame>(sent: &[Sent]) {
    let frames: Vec<E> = sent.iter().flat_map(Sent::frames).collect();
    let mut reassembler = Reassembler::new(E::SHAPE, LIMIT);
    let (received, faults) = feed(&mut reassembler, &frames);
    assert_eq!(faults, []);
    assert_eq!(received.len(), sent.len());
    assert!(received.iter().zip(sent).all(|(received, sent)| is_of(received, sent)), "{received:?} for {sent:?}");
    assert_eq!(reassembler.skipped(), 0);
}

/// A fault of frames on their way.
#[derive(Clone, Debug)]
enum Mishap {
    Lose(usize),
    Repeat(usize),
    Swap(usize, usize),
    /// One byte of a header becomes another.
    Overwrite(usize, usize, u8),
}

fn any_mishap() -> impl Strategy<Value = Mishap> {
    let place = 0..64_usize;
    prop_oneof![
        place.clone().prop_map(Mishap::Lose),
        place.clone().prop_map(Mishap::Repeat),
        (place.clone(), place.clone()).prop_map(|(one, other)| Mishap::Swap(one, other)),
        (place, 0..28_usize, any::<u8>()).prop_map(|(at, byte, value)| Mishap::Overwrite(at, byte, value)),
    ]
}

fn befall<E: FramedTransportFrame>(frames: &mut Vec<E>, mishap: &Mishap) {
    let len = frames.len();
    if len == 0 {
        return;
    }
    match *mishap {
        Mishap::Lose(at) => drop(frames.remove(at % len)),
        Mishap::Repeat(at) => frames.insert(at % len, frames[at % len]),
        Mishap::Swap(one, other) => frames.swap(one % len, other % len),
        Mishap::Overwrite(at, byte, value) => frames[at % len].as_mut_bytes()[byte] = value,
    }
}

/// Checks that after any fault whole messages are received again, all of them.
fn goes_on<E: FramedTransportFrame>(reassembler: &mut Reassembler) {
    let sent = [Sent::plain(1, 500), Sent::plain(2, 3)];
    let frames: Vec<E> = sent.iter().flat_map(Sent::frames).collect();
    let (received, faults) = feed(reassembler, &frames);
    assert!(faults.len() <= 1 && faults.iter().all(Malformed::is_of_earlier_frames), "{faults:?}");
    assert!(received.iter().zip(&sent).all(|(received, sent)| is_of(received, sent)));
    assert_eq!(received.len(), sent.len());
}

proptest! {
    #[test]
    fn messages_of_any_size_come_back_as_they_were_sent(sent in prop::collection::vec(any_sent(), 0..6)) {
        comes_back::<Small>(&sent);
        comes_back::<Aligned>(&sent);
    }

    #[test]
    fn frames_that_are_lost_repeated_or_swapped_make_no_message_that_was_not_sent(
        sizes in prop::collection::vec(0..300_usize, 1..6),
        mishaps in prop::collection::vec(any_mishap(), 1..4),
    ) {
        // Distinct ids, as one sender gives them: only they reveal a message with a frame of another one.
        let sent: Vec<_> = sizes.iter().enumerate().map(|(id, size)| Sent::plain(id as u32, *size)).collect();
        let mut frames: Vec<Small> = sent.iter().flat_map(Sent::frames).collect();
        let mishaps = mishaps.iter().filter(|mishap| !matches!(mishap, Mishap::Overwrite(..)));
        mishaps.for_each(|mishap| befall(&mut frames, mishap));
        let mut reassembler = Reassembler::new(Small::SHAPE, LIMIT);
        let (received, faults) = feed(&mut reassembler, &frames);
        for received in &received {
            prop_assert!(is_of(received, &sent[received.envelope.msg_id as usize]), "{received:?}");
        }
        let passed_at_the_start = 1;
        prop_assert!(reassembler.skipped() <= faults.len() as u64 + passed_at_the_start);
        goes_on::<Small>(&mut reassembler);
    }

    #[test]
    fn overwritten_headers_are_faults_or_messages_within_the_limit_and_the_stream_goes_on(
        sent in prop::collection::vec(any_sent(), 1..5),
        mishaps in prop::collection::vec(any_mishap(), 1..8),
        limit in 0..2000_usize,
    ) {
        let mut frames: Vec<Small> = sent.iter().flat_map(Sent::frames).collect();
        mishaps.iter().for_each(|mishap| befall(&mut frames, mishap));
        let mut reassembler = Reassembler::new(Small::SHAPE, limit);
        let (received, faults) = feed(&mut reassembler, &frames);
        prop_assert!(received.iter().all(|received| received.payload.len() <= limit));
        prop_assert!(reassembler.skipped() >= faults.len() as u64);
        let mut reassembler = Reassembler { limit_bytes: LIMIT, buffer: AlignedBuffer::new(LIMIT), ..reassembler };
        reassembler.give_up();
        goes_on::<Small>(&mut reassembler);
    }

    #[test]
    fn arbitrary_frames_are_faults_or_messages(
        garbage in prop::collection::vec((prop::array::uniform28(any::<u8>()), 0..KNOWN + 1), 0..40),
    ) {
        let mut reassembler = Reassembler::new(Aligned::SHAPE, 200);
        let frames: Vec<_> = garbage.iter().map(|(bytes, flags)| {
            let mut frame = Aligned::new_zeroed();
            frame.as_mut_bytes()[..28].copy_from_slice(bytes);
            // Otherwise most frames would be refused at their first number.
            frame.as_mut_bytes()[1..4].fill(0);
            frame.as_mut_bytes()[5] = *flags;
            frame
        }).collect();
        let (received, _) = feed(&mut reassembler, &frames);
        prop_assert!(received.iter().all(|received| received.payload.len() <= 200));
        reassembler.give_up();
        goes_on::<Aligned>(&mut Reassembler { limit_bytes: LIMIT, buffer: AlignedBuffer::new(LIMIT), ..reassembler });
    }
}

#[test]
fn the_sizes_at_which_the_number_of_frames_changes_come_back() {
    let prefix = Prefix::default();
    let single = single_payload_max(Small::SHAPE, &prefix);
    let sizes =
        [0, 1, single, single + 1, payload_max(Small::SHAPE, &prefix, 2), payload_max(Small::SHAPE, &prefix, 2) + 1];
    let frames = sizes.map(|size| Sent::plain(0, size).frames::<Small>().len());
    assert_eq!(frames, [1, 1, 1, 2, 2, 3]);
    comes_back::<Small>(&sizes.map(|size| Sent::plain(1, size)));
}

#[test]
fn a_message_of_the_most_frames_comes_back_and_one_more_byte_is_refused() {
    let most = payload_max(Small::SHAPE, &Prefix::default(), usize::MAX);
    let sent = Sent::plain(1, most);
    let frames: Vec<Small> = sent.frames();
    assert_eq!(frames.len(), FRAMES_PER_MESSAGE_MAX);
    let mut reassembler = Reassembler::new(Small::SHAPE, usize::MAX);
    let (received, faults) = feed(&mut reassembler, &frames);
    assert!(faults.is_empty() && is_of(&received[0], &sent));
    let forged = [with_total(&Sent::plain(1, most).frames::<Small>()[0], most as u64 + 1)];
    assert_eq!(feed(&mut reassembler, &forged).1, [Malformed::Total { total_bytes: most as u64 + 1 }]);
}

fn with_total(frame: &Small, total: u64) -> Small {
    let mut frame = *frame;
    frame.as_mut_bytes()[12..20].copy_from_slice(&total.to_le_bytes());
    frame
}

#[test]
fn a_forged_total_is_refused_and_allocates_nothing() {
    let frames: Vec<Small> = Sent::plain(3, 200).frames();
    for (total, limit) in
        [(u64::MAX, usize::MAX - 64), (1 << 40, LIMIT), (LIMIT as u64 + 1, LIMIT), (0, LIMIT), (32, LIMIT)]
    {
        let mut reassembler = Reassembler::new(Small::SHAPE, limit);
        let (received, faults) = feed(&mut reassembler, &[with_total(&frames[0], total)]);
        assert!(received.is_empty());
        assert_eq!(reassembler.buffer.capacity_bytes(), 0);
        assert!(
            matches!(faults[..], [Malformed::BeyondLimit { total_bytes, .. } | Malformed::Total { total_bytes }] if total_bytes == total),
            "{faults:?}"
        );
    }
    // A plausible length costs only the bytes that have arrived.
    let mut reassembler = Reassembler::new(Small::SHAPE, usize::MAX / 2);
    feed(&mut reassembler, &[with_total(&frames[0], 1 << 20)]);
    assert_eq!((reassembler.message().len(), reassembler.buffer.capacity_bytes()), (32, 32));
    assert_eq!(reassembler.give_up(), Some(Malformed::Unfinished { msg_id: 3, have_bytes: 32, total_bytes: 1 << 20 }));
    assert_eq!(reassembler.give_up(), None);
}

#[test]
fn a_receiver_that_starts_in_the_middle_begins_with_the_next_message() {
    let mut frames: Vec<Small> = Sent::plain(1, 200).frames();
    frames.remove(0);
    frames.extend(Sent::plain(2, 100).frames::<Small>());
    let mut reassembler = Reassembler::new(Small::SHAPE, LIMIT);
    let (received, faults) = feed(&mut reassembler, &frames);
    assert!(faults.is_empty() && received.len() == 1 && is_of(&received[0], &Sent::plain(2, 100)));
    assert_eq!(reassembler.skipped(), 1);
}

#[test]
fn a_message_whose_sender_died_is_given_up_at_the_next_one() {
    let mut frames: Vec<Small> = Sent::plain(1, 200).frames();
    frames.truncate(3);
    frames.extend(Sent::plain(1, 100).frames::<Small>()); // the next sender may count from anywhere
    let mut reassembler = Reassembler::new(Small::SHAPE, LIMIT);
    let (received, faults) = feed(&mut reassembler, &frames);
    assert_eq!(faults, [Malformed::Unfinished { msg_id: 1, have_bytes: 112, total_bytes: 200 }]);
    assert!(received.len() == 1 && is_of(&received[0], &Sent::plain(1, 100)));
}

#[test]
fn each_number_that_does_not_follow_is_a_fault_that_names_it() {
    let frames: Vec<Small> = Sent::plain(1, 100).frames();
    assert_eq!(frames.len(), 3);
    type Change = fn(&mut FrameHeader);
    let cases: [(usize, Change, Malformed); 10] = [
        (0, |header| header.index = 1, Malformed::Index { found: 1, wanted: 0 }),
        (0, |header| header.len = 39, Malformed::Length { len_bytes: 39, wanted_bytes: 40 }),
        (0, |header| header.len = 41, Malformed::Length { len_bytes: 41, wanted_bytes: 40 }),
        (0, |header| header.flags |= 0x20, Malformed::Flags { flags: 0x21 }),
        (1, |header| header.msg_id = 9, Malformed::Foreign { found: 9, wanted: 1 }),
        (1, |header| header.index = 2, Malformed::Index { found: 2, wanted: 1 }),
        (1, |header| header.len = 0, Malformed::Length { len_bytes: 0, wanted_bytes: 40 }),
        (1, |header| header.flags = 2, Malformed::End { frames: 3, index: 1 }),
        (2, |header| header.flags = 0, Malformed::End { frames: 3, index: 2 }),
        (2, |header| header.flags |= FRAME_HAS_SEND_TIME, Malformed::Flags { flags: 6 }),
    ];
    for (at, change, fault) in cases {
        let mut frames = frames.clone();
        let mut header = frames[at].header();
        change(&mut header);
        frames[at].write_frame(header, |_| ());
        frames.extend(Sent::plain(2, 10).frames::<Small>());
        let mut reassembler = Reassembler::new(Small::SHAPE, LIMIT);
        let (received, faults) = feed(&mut reassembler, &frames);
        assert_eq!(faults, [fault]);
        assert_eq!((received.len(), reassembler.skipped()), (1, 1), "after {fault}");
    }
    let mut reassembler = Reassembler::new(Small::SHAPE, LIMIT);
    let lone = [Sent::plain(2, 10).frames::<Small>()[0], frames[1], frames[2]];
    assert_eq!(feed(&mut reassembler, &lone).1, [Malformed::NoBeginning { msg_id: 1, index: 1 }]);
}
