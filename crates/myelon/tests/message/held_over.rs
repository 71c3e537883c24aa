//! Messages of an old ring that are held while their reader moves to the ring that replaced it: what was released does
//! not come again, and everything else does, whichever process ends in between.

use crate::upgrade::version::First;
use crate::upgrade::{Step, Writer};
use myelon::codec::Codec;
use myelon::prelude::*;
use myelon::typed_transport::HeldTyped;
use std::io::BufRead;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::{PATIENCE, Watchdog};

/// The environment variable that tells a victim its ring.
const RING: &str = "MESSAGE_TEST_RING";

fn watchdog() -> Watchdog {
    Watchdog::new(2 * PATIENCE, "held messages of two rings")
}

fn writer(name: &str, version: u8) -> Writer<Records> {
    Writer::build(TransportBuilder::new(name, 1 << 16), version)
}

fn reader(name: &str) -> TypedConsumer<Step> {
    TypedConsumer::join(name, "a").unwrap()
}

/// Takes and holds the next message of a reader, which must have that version and number.
#[track_caller]
fn take(reader: &mut TypedConsumer<Step>, version: u8, number: u64) -> Option<HeldTyped<Step>> {
    let message = reader.next_held(Patience::Endless).unwrap().unwrap();
    assert_eq!(message.decode().unwrap(), Step { version, number });
    Some(message)
}

/// What a reader gets until there is nothing left: version, number, and whether it was handed out before.
fn rest(reader: &mut TypedConsumer<Step>) -> Vec<(u8, u64, bool)> {
    let mut seen = vec![];
    while let Some(message) = reader.next(Patience::Now).unwrap() {
        let Step { version, number } = message.decode().unwrap();
        seen.push((version, number, message.is_redelivered()));
    }
    seen
}

#[test]
fn held_messages_of_an_old_ring_are_released_in_any_order_after_their_reader_has_gone_on() {
    let (_watchdog, names) = (watchdog(), ShmGuard::new());
    let name = names.name("s");
    let mut old = writer(&name, 1);
    let mut reader = reader(&name);
    (0..4).for_each(|number| old.publish(number));
    let mut held: Vec<_> = (0..4).map(|number| take(&mut reader, 1, number)).collect();
    held[1].take().unwrap().release();
    old.hand_over();
    let mut new = writer(&name, 3);
    (0..3).for_each(|number| new.publish(number));
    let mut of_new: Vec<_> = (0..2).map(|number| take(&mut reader, 3, number)).collect();
    assert_eq!(names.leftovers().len(), 2, "the old ring is there as long as a message of it is held");
    // The message tells its version, whatever its consumer reads by now.
    let message = held[3].as_ref().unwrap();
    assert_eq!((message.is_of_older_version(), reader.is_of_older_version()), (true, false));
    assert_eq!(message.tag(), First::type_tag());
    assert_eq!(First::decode(message).unwrap().number, 3);
    assert_eq!(of_new[0].as_ref().unwrap().tag(), Step::type_tag());
    for number in [3, 0, 2] {
        let message = held[number].take().unwrap();
        assert_eq!(message.decode().unwrap(), Step { version: 1, number: number as u64 }, "of its own version");
        of_new.pop().flatten().into_iter().for_each(HeldTyped::release);
        message.release();
    }
    assert_eq!(names.leftovers().len(), 1, "{:?}", names.leftovers());
    assert_eq!(rest(&mut reader), [(3, 2, false)]);
    drop(new);
    assert!(reader.next_or_end(Patience::Endless).unwrap().is_none());
    drop(reader);
    names.assert_nothing_left();
}

#[test]
fn a_message_of_an_old_ring_that_is_given_back_after_its_reader_has_gone_on_comes_again() {
    for is_reader_gone in [false, true] {
        let (_watchdog, names) = (watchdog(), ShmGuard::new());
        let name = names.name("s");
        let mut old = writer(&name, 1);
        let mut gone_on = reader(&name);
        (0..4).for_each(|number| old.publish(number));
        let mut held: Vec<_> = (0..4).map(|number| take(&mut gone_on, 1, number)).collect();
        old.hand_over();
        let mut new = writer(&name, 3);
        (0..2).for_each(|number| new.publish(number));
        take(&mut gone_on, 3, 0).unwrap().release();
        let mut gone_on = Some(gone_on);
        if is_reader_gone {
            gone_on = None;
        }
        held[2].take().unwrap().release();
        drop(held[1].take());
        held[0].take().unwrap().release();
        drop(held);
        drop(gone_on);
        let mut back = reader(&name);
        assert_eq!(rest(&mut back), [(1, 1, true), (1, 3, true), (3, 1, false)], "reader gone: {is_reader_gone}");
        drop(new);
        assert!(back.next_or_end(Patience::Endless).unwrap().is_none());
        drop(back);
        names.assert_nothing_left();
    }
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_holds_and_goes_on() {
    if !is_victim() {
        return;
    }
    let mut reader = reader(&std::env::var(RING).unwrap());
    let mut old: Vec<_> = (0..5).map(|number| take(&mut reader, 1, number)).collect();
    old[3].take().unwrap().release();
    say("HELD");
    // Once there is another ring.
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    let mut new: Vec<_> = (0..4).map(|number| take(&mut reader, 3, number)).collect();
    old[1].take().unwrap().release();
    new[2].take().unwrap().release();
    old[0].take().unwrap().release();
    new[0].take().unwrap().release();
    say("DONE");
    wait_to_be_killed();
}

#[test]
fn a_reader_that_is_killed_with_messages_of_two_rings_in_hand_gets_exactly_those_again_that_it_had_not_released() {
    let (_watchdog, names) = (watchdog(), ShmGuard::new());
    let name = names.name("s");
    let mut old = writer(&name, 1);
    // The entry is there before the first message.
    drop(reader(&name));
    (0..5).for_each(|number| old.publish(number));
    let mut victim = Respawn::test(test_name!(victim_that_holds_and_goes_on)).env(RING, &name).piped_stdin().spawn();
    victim.wait_line("HELD");
    old.hand_over();
    let mut new = writer(&name, 3);
    (0..5).for_each(|number| new.publish(number));
    victim.send_line("");
    victim.wait_line("DONE");
    victim.kill_and_reap();
    let mut back = reader(&name);
    let expected = [(1, 2, true), (1, 4, true), (3, 1, true), (3, 3, true), (3, 4, false)];
    assert_eq!(rest(&mut back), expected);
    assert_eq!(names.leftovers().len(), 1, "{:?}", names.leftovers());
    drop(new);
    assert!(back.next_or_end(Patience::Endless).unwrap().is_none());
    drop(back);
    names.assert_nothing_left();
}

#[test]
fn held_messages_are_released_and_given_back_by_another_thread_while_their_reader_goes_on_in_the_next_ring() {
    let (_watchdog, names) = (watchdog(), ShmGuard::new());
    for round in 0..60 {
        let name = names.name(&format!("s{round}"));
        let mut old = writer(&name, 1);
        let mut gone_on = reader(&name);
        (0..6).for_each(|number| old.publish(number));
        let held: Vec<_> = (0..6).map(|number| take(&mut gone_on, 1, number).unwrap()).collect();
        old.hand_over();
        let mut new = writer(&name, 3);
        (0..2).for_each(|number| new.publish(number));
        let start = std::sync::Arc::new(std::sync::Barrier::new(2));
        let elsewhere = std::thread::spawn({
            let start = std::sync::Arc::clone(&start);
            move || {
                start.wait();
                for message in held {
                    match message.decode().unwrap().number % 2 {
                        0 => message.release(),
                        _ => drop(message),
                    }
                }
            }
        });
        start.wait();
        let mut seen = vec![];
        // A message that is given back before the reader has moved on comes to the same reader.
        while seen.last() != Some(&(3, 0, false)) {
            let message = gone_on.next_held(Patience::Endless).unwrap().unwrap();
            let Step { version, number } = message.decode().unwrap();
            seen.push((version, number, message.is_redelivered()));
            message.release();
        }
        elsewhere.join().unwrap();
        drop(gone_on);
        seen.extend(rest(&mut reader(&name)));
        seen.sort();
        let given_back = [1, 3, 5].map(|number| (1, number, true));
        assert_eq!(seen, [&given_back[..], &[(3, 0, false), (3, 1, false)]].concat(), "round {round}");
        drop(new);
        let _ = myelon::gc(name.as_str());
        names.assert_nothing_left();
    }
}
