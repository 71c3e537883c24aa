//! Children: the end is told once.

use crate::{log, settle, watchdog};
use myelon_process::{Child, Command, Ended, Signal, Stdio};
use myelon_runtime::event_loop::{EventLoop, RunEnd};
use std::rc::Rc;
use std::time::Duration;

// the end of a child.
#[test]
fn the_end_of_a_child_is_told_once_also_if_it_came_before_it_was_registered() {
    let _watchdog = watchdog("children that end");
    let mut event_loop = EventLoop::new().unwrap();
    let ends = log();
    for early in [false, true] {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        if early {
            assert_eq!(child.wait(Duration::from_secs(30)), Some(Ended::Exited(3)));
        }
        let kept = Rc::clone(&ends);
        let id =
            event_loop.add_child(child, "a worker", move |event_loop: &mut EventLoop, _: &mut Child, ended: Ended| {
                kept.borrow_mut().push(ended);
                event_loop.handle().quit();
            });
        assert_eq!(event_loop.run().unwrap(), RunEnd::Quit { drained: true });
        settle(&mut event_loop);
        assert!(event_loop.report(id.unwrap()).is_none(), "its source is removed");
    }
    assert_eq!(*ends.borrow(), [Ended::Exited(3); 2]);
}

// what a source owns keeps its type.
#[test]
fn a_child_in_the_loop_can_be_signalled_and_taken_back() {
    let _watchdog = watchdog("a child that is signalled");
    let mut event_loop = EventLoop::new().unwrap();
    let sleeper = || Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let told = log();
    let kept = Rc::clone(&told);
    let end = move |event_loop: &mut EventLoop, _: &mut Child, ended: Ended| -> Result<(), &str> {
        kept.borrow_mut().push(ended);
        event_loop.handle().quit();
        Err("a handler that fails is not called again")
    };
    let id = event_loop.add_child(sleeper(), "a sleeper", end).unwrap();
    event_loop.source_mut::<Child>(id).unwrap().signal(Signal::TERM).unwrap();
    event_loop.run().unwrap();
    settle(&mut event_loop);
    assert_eq!(*told.borrow(), [Ended::Signalled { signal: Signal::TERM, core_dumped: false }]);

    let nothing = |_: &mut EventLoop, _: &mut Child, _: Ended| -> Result<(), &str> { panic!("it was taken back") };
    let id = event_loop.add_child(sleeper(), "a sleeper", nothing).unwrap();
    let mut child: Child = event_loop.take(id).unwrap();
    child.kill().unwrap();
    assert!(child.wait(Duration::from_secs(30)).is_some());
    settle(&mut event_loop);
}
