//! Signals as events, in a process that has one thread.

use crate::{log, settle};
use myelon_process::signals::{Received, block_first, block_set_first};
use myelon_process::{Signal, SignalSet};
use myelon_runtime::event_loop::{EventLoop, Next, RunEnd};
use rustix::process::{getpid, kill_process};
use std::rc::Rc;
use std::time::Duration;
use testkit::fork::{alone, fork_then};
use testkit::queue_signal;
use testkit::watchdog::PATIENCE;

fn send(signal: rustix::process::Signal) {
    kill_process(getpid(), signal).unwrap();
}

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

#[test]
fn the_second_term_ends_a_loop_that_does_not_get_drained() {
    alone(|| {
        let blocked = block_first().unwrap();
        let mut event_loop = EventLoop::builder().drain(Duration::from_secs(3600)).build().unwrap();
        let signals = event_loop.quit_on_signals(blocked.reader().unwrap()).unwrap();
        // Each command sends the next one, so there is always one.
        let sender = Rc::new(std::cell::OnceCell::new());
        let again = Rc::clone(&sender);
        let mut sent = 0;
        let (_, first) = event_loop.add_channel(1, "always busy", move |event_loop: &mut EventLoop, ()| {
            let read = event_loop.report(signals).unwrap().calls;
            // A second one would be merged with a first one that is not read.
            if sent < 2 && read >= sent {
                send(rustix::process::Signal::TERM);
                sent += 1;
            }
            let again: &myelon_runtime::event_loop::CommandSender<()> = again.get().unwrap();
            again.send(()).unwrap();
            Next::Again
        });
        first.send(()).unwrap();
        sender.set(first).unwrap();
        assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
    });
}

//
#[test]
fn real_time_signals_are_told_after_standard_ones_by_number_each_with_its_value() {
    alone(|| {
        let blocked = block_set_first(SignalSet::server().with_realtime()).unwrap();
        let mut event_loop = EventLoop::new().unwrap();
        let told = log();
        let kept = Rc::clone(&told);
        let handler = move |_: &mut EventLoop, received: Received| {
            assert_eq!((received.pid, received.uid), (std::process::id(), rustix::process::getuid().as_raw()));
            kept.borrow_mut().push((received.signal.number(), received.value));
        };
        event_loop.add_signals(blocked.reader().unwrap(), "signals", handler).unwrap();
        for value in [7, -7] {
            queue_signal(getpid(), 50, value).unwrap();
            queue_signal(getpid(), 40, value + 1).unwrap();
            send(rustix::process::Signal::TERM);
            send(rustix::process::Signal::HUP);
        }
        settle(&mut event_loop);
        assert_eq!(*told.borrow(), [(1, 0), (15, 0), (40, 8), (40, -6), (50, 7), (50, -7)]);
    });
}

#[test]
fn a_storm_of_real_time_signals_from_another_process_is_told_whole_and_starves_no_timer() {
    const EACH: i32 = 5000;
    const NUMBERS: [i32; 3] = [40, 41, 60];
    alone(|| {
        let blocked = block_set_first(SignalSet::server().with_realtime()).unwrap();
        let mut event_loop = EventLoop::new().unwrap();
        let us = getpid();
        let mut child = fork_then(|| {
            for value in 0..EACH {
                for number in NUMBERS {
                    // The kernel's queue has a limit. A full one takes more when the loop has read.
                    while let Err(error) = queue_signal(us, number, value) {
                        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                        std::thread::yield_now();
                    }
                }
                kill_process(us, rustix::process::Signal::USR1).unwrap();
            }
            0
        });
        let (sender, mut next, mut standard) = (child.pid(), [0; 3], 0);
        let handler = move |event_loop: &mut EventLoop, received: Received| {
            // The end of the child is a signal of the kernel.
            if received.signal == Signal::CHLD {
                return;
            }
            assert_eq!(received.pid, sender);
            match NUMBERS.iter().position(|&number| number == received.signal.number()) {
                Some(at) => {
                    assert_eq!(received.value, next[at], "in the order of sending, and none is left out");
                    next[at] += 1;
                }
                None => {
                    assert_eq!(received.signal, Signal::USR1);
                    standard += 1;
                }
            }
            if next == [EACH; 3] {
                assert!((1..=EACH).contains(&standard), "{standard}");
                event_loop.handle().exit();
            }
        };
        let signals = event_loop.add_signals(blocked.reader().unwrap(), "a storm", handler).unwrap();
        let ticked = log();
        let kept = Rc::clone(&ticked);
        event_loop
            .add_timer(Duration::ZERO, "beside the storm", move |_: &mut EventLoop, _| kept.borrow_mut().push(()));
        let failed = crate::failures(&mut event_loop);
        assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
        assert_eq!(*failed.borrow(), Vec::<String>::new());
        assert_eq!(ticked.borrow().len(), 1);
        assert!(event_loop.report(signals).unwrap().calls > 3 * EACH as u64);
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    });
}
