//! A handler that fails costs its own event.

use crate::{failures, log, settle};
use myelon_runtime::event_loop::{EventLoop, Interest, Next, OnFailure, Ready, Settings, SourceState, TurnError};
use std::io::{PipeReader, Read, Write, pipe};
use std::rc::Rc;
use std::time::Duration;

/// Without the message of the default hook.
fn panic_quietly(text: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(text))
}

#[test]
fn other_sources_of_the_turn_run_after_one_that_fails_and_one_that_panics() {
    let mut event_loop = EventLoop::new().unwrap();
    let failures = failures(&mut event_loop);
    let served = log();
    let mut writers = Vec::new();
    for name in ["error", "panic", "good"] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        writers.push(writer);
        let kept = Rc::clone(&served);
        let handler = move |_: &mut EventLoop, pipe: &mut PipeReader, _: Ready| {
            pipe.read_exact(&mut [0])?;
            kept.borrow_mut().push(name);
            match name {
                "error" => Err(std::io::Error::other("no luck")),
                "panic" => panic_quietly("a mistake"),
                _ => Ok(()),
            }
        };
        event_loop.add(reader, Interest::Readable, name, handler).unwrap();
    }
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 3);
    let mut told = failures.take();
    told.sort_unstable();
    assert_eq!(told, ["error: no luck", "panic: the handler panicked: a mistake"]);
    let reports = event_loop.handle().sources();
    let of = |name: &str| reports.iter().find(|report| report.description == name).unwrap();
    assert_eq!((of("error").calls, of("error").failures), (1, 1));
    assert_eq!(of("panic").last_error.as_deref(), Some("the handler panicked: a mistake"));
    assert_eq!((of("good").calls, of("good").failures), (1, 0));
}

// a handler may fail.
#[test]
fn a_source_stays_is_paused_or_is_removed_after_a_failure_as_it_was_set() {
    for (policy, state) in [
        (OnFailure::Keep, Some(SourceState::Waiting)),
        (OnFailure::Pause, Some(SourceState::Paused)),
        (OnFailure::Remove, None),
    ] {
        let mut event_loop = EventLoop::new().unwrap();
        let settings = Settings::new("fails").on_failure(policy);
        let fails = |_: &mut EventLoop, _| -> Result<(), &'static str> { Err("always") };
        let id = event_loop.add_interval(Duration::from_millis(1), settings, fails);
        event_loop.turn(Duration::MAX).unwrap();
        assert_eq!(event_loop.report(id).map(|report| report.state), state, "{policy:?}");
    }
}

#[test]
fn a_hook_that_panics_ends_the_turn_with_an_error_and_the_loop_can_go_on() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.on_failure(|_| panic_quietly("in the hook"));
    event_loop.add_timer(Duration::ZERO, "fails", |_: &mut EventLoop, _| -> Result<(), &str> { Err("once") });
    let error = event_loop.turn(Duration::from_millis(100)).unwrap_err();
    assert!(matches!(&error, TurnError::HookPanicked(text) if text.contains("in the hook")), "{error}");
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 0);
}

#[test]
fn a_source_whose_destructor_panics_is_removed_all_the_same() {
    struct Panics(PipeReader);
    impl Drop for Panics {
        fn drop(&mut self) {
            panic_quietly("in the destructor");
        }
    }
    impl std::os::fd::AsFd for Panics {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
    let mut event_loop = EventLoop::new().unwrap();
    let failures = failures(&mut event_loop);
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let remove = |_: &mut EventLoop, _: &mut Panics, _: Ready| Next::Remove;
    let id = event_loop.add(Panics(reader), Interest::Readable, "panics", remove).unwrap();
    settle(&mut event_loop);
    assert!(event_loop.report(id).is_none());
    assert_eq!(*failures.borrow(), ["panics: the handler panicked: in the destructor"]);
}

#[test]
fn a_handler_cannot_run_the_loop_that_has_called_it() {
    let mut event_loop = EventLoop::new().unwrap();
    let failures = failures(&mut event_loop);
    event_loop.add_timer(Duration::ZERO, "nested", |event_loop: &mut EventLoop, _| event_loop.run().map(drop));
    event_loop.turn(Duration::from_millis(100)).unwrap();
    assert_eq!(*failures.borrow(), ["nested: a handler cannot run the loop that has called it"]);
}

/// An owner whose descriptor its handler may take out.
struct MayBeGone(Option<PipeReader>);

impl std::os::fd::AsFd for MayBeGone {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match &self.0 {
            Some(reader) => reader.as_fd(),
            None => panic_quietly("it was given away"),
        }
    }
}

#[test]
fn a_handler_may_give_its_descriptor_away_if_it_removes_its_source_and_else_it_is_removed() {
    for answer in [Next::Remove, Next::Again, Next::Pause] {
        let mut event_loop = EventLoop::new().unwrap();
        let failures = failures(&mut event_loop);
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let taken = Rc::default();
        let taker: Rc<std::cell::RefCell<Option<PipeReader>>> = Rc::clone(&taken);
        let handler = move |_: &mut EventLoop, source: &mut MayBeGone, _: Ready| {
            *taker.borrow_mut() = source.0.take();
            answer
        };
        let id = event_loop.add(MayBeGone(Some(reader)), Interest::Readable, "gives", handler).unwrap();
        assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 1);
        settle(&mut event_loop);
        assert!(event_loop.report(id).is_none(), "{answer:?}");
        let told = if answer == Next::Remove { &[][..] } else { &["gives: the handler panicked: it was given away"] };
        assert_eq!(*failures.borrow(), *told, "{answer:?}");
        // The loop does not wait for it any more, so it can be added again.
        let reader = taken.borrow_mut().take().unwrap();
        event_loop.add(reader, Interest::Readable, "again", |_: &mut EventLoop, _: &mut PipeReader, _| ()).unwrap();
    }
}

#[test]
fn each_handler_of_a_loop_is_dropped_even_if_the_destructors_of_all_panic() {
    struct Panics(Rc<std::cell::Cell<u32>>);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            panic_quietly("in the destructor");
        }
    }
    let dropped = Rc::new(std::cell::Cell::new(0));
    let mut event_loop = EventLoop::new().unwrap();
    for _ in 0..3 {
        let held = Panics(Rc::clone(&dropped));
        event_loop.add_timer(Duration::from_secs(1), "holds", move |_: &mut EventLoop, _| held.0.set(9));
    }
    let handle = event_loop.handle();
    drop(event_loop);
    assert_eq!(dropped.get(), 3);
    assert!(handle.sources().is_empty());
}

#[test]
fn a_handler_may_drop_another_loop_and_hold_the_last_handle_of_its_own() {
    let mut event_loop = EventLoop::new().unwrap();
    let mut other = Some(EventLoop::new().unwrap());
    let handle = event_loop.handle();
    other.as_mut().unwrap().add_idle("of the other", move |_: &mut EventLoop| handle.wake());
    let own = event_loop.handle();
    event_loop.add_timer(Duration::ZERO, "drops", move |_: &mut EventLoop, _| {
        other.as_mut().unwrap().turn(Duration::ZERO).unwrap();
        other = None;
        own.quit();
    });
    event_loop.run().unwrap();
}

/// An error whose text panics, and whose destructor does too.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic_quietly("its text")
    }
}

impl std::error::Error for Unspeakable {}

impl Drop for Unspeakable {
    fn drop(&mut self) {
        panic_quietly("its destructor")
    }
}

#[test]
fn an_error_whose_text_and_destructor_panic_costs_no_other_source_its_event() {
    let mut event_loop = EventLoop::new().unwrap();
    let served = log();
    let mut writers = Vec::new();
    for name in ["bad", "good"] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        writers.push(writer);
        let kept = Rc::clone(&served);
        let handler =
            move |_: &mut EventLoop, pipe: &mut PipeReader, _: Ready| -> Result<(), Box<dyn std::error::Error>> {
                pipe.read_exact(&mut [0])?;
                kept.borrow_mut().push(name);
                if name == "bad" { Err(Unspeakable.into()) } else { Ok(()) }
            };
        event_loop.add(reader, Interest::Readable, name, handler).unwrap();
    }
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 2);
    writers.iter_mut().for_each(|writer| writer.write_all(b"y").unwrap());
    assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 2);
    assert_eq!(*served.borrow(), ["bad", "good", "bad", "good"]);
    let reports = event_loop.handle().sources();
    let bad = reports.iter().find(|report| report.description == "bad").unwrap();
    assert_eq!((bad.calls, bad.failures), (2, 2));
}

#[test]
fn a_safe_point_that_was_asked_for_is_kept_when_the_hook_for_dumps_panics() {
    let mut event_loop = EventLoop::new().unwrap();
    let reached = log();
    let kept = Rc::clone(&reached);
    let handler = move |_: &mut EventLoop| kept.borrow_mut().push(());
    event_loop.add_at_safe_point(Duration::from_secs(1), "at a safe point", handler);
    event_loop.on_dump(|_| panic_quietly("no dump"));
    let handle = event_loop.handle();
    handle.request_dump();
    handle.request_quiesce();
    assert!(matches!(event_loop.turn(Duration::ZERO), Err(TurnError::HookPanicked(_))));
    event_loop.turn(Duration::ZERO).unwrap();
    assert_eq!(reached.borrow().len(), 1);
}
