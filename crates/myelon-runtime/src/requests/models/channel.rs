//! Commands: each is handled once, or comes back, or is dropped with its channel; beside a sender, a pause and a close.

use super::*;
use loom::thread::spawn;

/// The first command of each sender is below 10; it sends that one and the next.
fn sends_two(channel: &Arc<Channel>, first: u32) -> loom::thread::JoinHandle<()> {
    let channel = Arc::clone(channel);
    spawn(move || {
        for command in [first, first + 1] {
            assert!(channel.send(command), "there is room");
        }
    })
}

#[test]
pub(crate) fn each_command_is_handled_once_in_its_senders_order() {
    explore(3, || {
        let asked = asked();
        let channel = channel(&asked, 0, 2);
        let sending = sends_two(&channel, 1);
        let mut looping = Looping::new(&asked, [channel]);
        while looping.handled.len() < 2 {
            looping.turn();
        }
        assert_eq!(looping.handled, [1, 2]);
        sending.join().unwrap();
    });
}

#[test]
pub(crate) fn commands_of_two_senders_are_handled_once() {
    explore(3, || {
        let asked = asked();
        let channel = channel(&asked, 0, 2);
        let sending = [1, 2].map(|command| {
            let channel = Arc::clone(&channel);
            spawn(move || assert!(channel.send(command), "there is room"))
        });
        let mut looping = Looping::new(&asked, [channel]);
        while looping.handled.len() < 2 {
            looping.turn();
        }
        for sending in sending {
            sending.join().unwrap();
        }
        looping.handled.sort_unstable();
        assert_eq!(looping.handled, [1, 2]);
    });
}

#[test]
pub(crate) fn each_of_two_channels_is_served() {
    explore(3, || {
        let asked = asked();
        let channels = [0, 1].map(|id| channel(&asked, id, 1));
        let sending = [0, 1].map(|id: usize| {
            let channel = Arc::clone(&channels[id]);
            spawn(move || assert!(channel.send(id as u32), "there is room"))
        });
        let mut looping = Looping::new(&asked, channels);
        while looping.handled.len() < 2 {
            looping.turn();
        }
        for sending in sending {
            sending.join().unwrap();
        }
        looping.handled.sort_unstable();
        assert_eq!(looping.handled, [0, 1]);
    });
}

/// News of a paused channel are dropped, so the look after the pause must find its commands.
#[test]
pub(crate) fn what_is_sent_beside_a_pause_is_handled_after_it() {
    explore(3, || {
        let asked = asked();
        let channel = channel(&asked, 0, 2);
        let sending = sends_two(&channel, 1);
        let mut looping = Looping::new(&asked, [channel]);
        looping.pause(0);
        looping.serve();
        assert_eq!(looping.handled, [], "it is paused");
        looping.resume(0);
        while looping.handled.len() < 2 {
            looping.turn();
        }
        assert_eq!(looping.handled, [1, 2]);
        sending.join().unwrap();
    });
}

/// The loop removes the channel after its first turn. `Queue::close` returns what is dropped.
#[test]
pub(crate) fn what_is_sent_beside_a_close_is_handled_or_dropped_or_comes_back() {
    explore(3, || {
        let asked = asked();
        let channel = channel(&asked, 0, 2);
        let sending = {
            let channel = Arc::clone(&channel);
            spawn(move || [1, 2].into_iter().filter(|&command| channel.send(command)).collect::<Vec<_>>())
        };
        let mut looping = Looping::new(&asked, [Arc::clone(&channel)]);
        looping.serve();
        let mut got = looping.handled;
        got.extend(channel.queue.close());
        let accepted = sending.join().unwrap();
        assert_eq!(got, accepted, "{STRANDED}");
    });
}

#[test]
pub(crate) fn a_channel_never_takes_more_than_it_may() {
    explore(3, || {
        let channel = channel(&asked(), 0, 1);
        let sending = {
            let channel = Arc::clone(&channel);
            spawn(move || channel.send(1))
        };
        let accepted = [channel.send(2), sending.join().unwrap()];
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1, "{OVERFULL}");
        assert_eq!((channel.queue.waiting(), channel.queue.refused()), (1, 1), "{OVERFULL}");
    });
}

/// A sender of a full channel gets its command back. What was taken before the flag is handled after it.
#[test]
pub(crate) fn what_was_sent_before_a_quit_is_handled() {
    explore(3, || {
        let asked = asked();
        let channel = channel(&asked, 0, 1);
        let sending = {
            let (asked, channel) = (Arc::clone(&asked), Arc::clone(&channel));
            spawn(move || {
                let accepted = [1, 2].into_iter().filter(|&command| channel.send(command)).collect::<Vec<_>>();
                asked.ask(FIRST);
                accepted
            })
        };
        let mut looping = Looping::new(&asked, [channel]);
        // As `event_loop::turn::Ending`: the flag stays set until a turn that does not sleep has found nothing.
        while !asked.is_asked(FIRST) {
            looping.turn();
        }
        loop {
            asked.look_without_sleep();
            if looping.serve() == 0 && !asked.has_news() {
                break;
            }
        }
        assert_eq!(asked.take(FIRST), FIRST, "{NOT_ONCE}");
        assert_eq!(looping.handled, sending.join().unwrap(), "{STRANDED}");
    });
}
