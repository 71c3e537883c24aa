//! Signals as events, in a process that has one thread.

use crate::{log, settle};
use myelon_process::Signal;
use myelon_process::signals::{Received, block_first};
use myelon_runtime::event_loop::{EventLoop, RunEnd};
use rustix::process::{getpid, kill_process};
use std::rc::Rc;
use std::time::Duration;
use testkit::fork::alone;

fn send(signal: rustix::process::Signal) {
    kill_process(getpid(), signal).unwrap();
}

// blocked signals are read from a descriptor until none is left.
#[test]
fn a_storm_of_signals_is_merged_and_told_with_its_sender_and_the_lowest_number_first() {
    alone(|| {
        let blocked = block_first().unwrap();
        let mut event_loop = EventLoop::new().unwrap();
        let told = log();
        let kept = Rc::clone(&told);
        event_loop
            .add_signals(blocked.reader().unwrap(), "signals", move |_: &mut EventLoop, received: Received| {
                assert_eq!(received.pid, std::process::id());
                kept.borrow_mut().push(received.signal);
            })
            .unwrap();
        for round in 1..=3 {
            for _ in 0..1000 {
                use rustix::process::Signal;
                [Signal::TERM, Signal::USR1, Signal::HUP, Signal::USR2].into_iter().for_each(send);
            }
            settle(&mut event_loop);
            let mut expected = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::TERM];
            expected.sort_by_key(|signal| signal.number());
            assert_eq!(told.borrow()[4 * (round - 1)..], expected, "round {round}");
        }
    });
}

//
#[test]
fn signals_are_served_after_timers_and_before_descriptors() {
    alone(|| {
        use std::io::{PipeReader, Write, pipe};
        let blocked = block_first().unwrap();
        let mut event_loop = EventLoop::new().unwrap();
        let order = log();
        let [of_signal, of_timer, of_pipe] = [(); 3].map(|()| Rc::clone(&order));
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let handler = move |event_loop: &mut EventLoop, _: &mut PipeReader, _: myelon_runtime::event_loop::Ready| {
            of_pipe.borrow_mut().push("pipe");
            event_loop.handle().exit();
        };
        event_loop.add(reader, myelon_runtime::event_loop::Interest::Readable, "pipe", handler).unwrap();
        event_loop
            .add_signals(blocked.reader().unwrap(), "signals", move |_: &mut EventLoop, _| {
                of_signal.borrow_mut().push("signal");
            })
            .unwrap();
        event_loop.add_timer(Duration::ZERO, "timer", move |_: &mut EventLoop, _| of_timer.borrow_mut().push("timer"));
        send(rustix::process::Signal::HUP);
        // A deadline is rounded up to a millisecond, and the pipe is ready at once.
        let due = event_loop.now() + Duration::from_millis(2);
        while event_loop.now() < due {
            std::hint::spin_loop();
        }
        event_loop.run().unwrap();
        assert_eq!(*order.borrow(), ["timer", "signal", "pipe"]);
    });
}

// TERM ends the process, others are told.
#[test]
fn the_first_term_quits_and_the_second_one_exits() {
    alone(|| {
        let blocked = block_first().unwrap();
        let mut event_loop = EventLoop::new().unwrap();
        event_loop.quit_on_signals(blocked.reader().unwrap()).unwrap();
        send(rustix::process::Signal::HUP);
        settle(&mut event_loop);
        send(rustix::process::Signal::TERM);
        assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
        send(rustix::process::Signal::TERM);
        assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
    });
}
