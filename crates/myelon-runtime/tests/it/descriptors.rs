//! A source of a descriptor sees levels, whatever its handler does.

use crate::{failures, log, settle, watchdog};
use myelon_runtime::event_loop::{AddError, EventLoop, Interest, Next, Ready, RunEnd, Settings, SourceState};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write, pipe};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

const LENGTH: usize = 64 << 10;

/// Reads one byte a call of 64 KiB that are there, and answers what `answer` says for the number of the byte.
fn one_byte_a_call(answer: impl Fn(usize) -> io::Result<Next> + 'static) -> usize {
    let _watchdog = watchdog("reading one byte a call");
    let mut event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let read = Rc::new(std::cell::Cell::new(0));
    let count = Rc::clone(&read);
    let handler = move |event_loop: &mut EventLoop, pipe: &mut PipeReader, ready: Ready| {
        if ready.hang_up && !ready.readable {
            event_loop.handle().quit();
            return Ok(Next::Again);
        }
        assert_eq!(pipe.read(&mut [0])?, 1);
        count.set(count.get() + 1);
        answer(count.get())
    };
    event_loop.add(reader, Interest::Readable, "one byte", handler).unwrap();
    writer.write_all(&vec![7; LENGTH]).unwrap();
    drop(writer);
    event_loop.run().unwrap();
    read.get()
}

#[test]
fn a_handler_that_reads_one_byte_of_64_kib_at_each_event_gets_them_all() {
    assert_eq!(one_byte_a_call(|_| Ok(Next::Again)), LENGTH);
    assert_eq!(one_byte_a_call(|_| Ok(Next::More)), LENGTH);
}

#[test]
fn a_handler_that_fails_at_every_third_byte_gets_them_all() {
    let fails = |byte| if byte % 3 == 0 { Err(io::Error::other("a third")) } else { Ok(Next::Again) };
    assert_eq!(one_byte_a_call(fails), LENGTH);
}

#[test]
fn a_handler_that_panics_at_every_third_byte_gets_them_all() {
    // `resume_unwind` prints nothing.
    let panics = |byte: usize| match byte % 3 {
        0 => std::panic::resume_unwind(Box::new("a third")),
        1 => Ok(Next::More),
        _ => Ok(Next::Again),
    };
    assert_eq!(one_byte_a_call(panics), LENGTH);
}

#[test]
fn a_drained_source_is_called_at_the_next_edge() {
    let mut event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = UnixStream::pair().unwrap();
    reader.set_nonblocking(true).unwrap();
    let calls = log();
    let kept = Rc::clone(&calls);
    let drain = move |_: &mut EventLoop, stream: &mut UnixStream, _: Ready| {
        let mut bytes = Vec::new();
        assert_eq!(stream.read_to_end(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        kept.borrow_mut().push(bytes.len());
        Next::Drained
    };
    event_loop.add(reader, Interest::Readable, "a stream", drain).unwrap();
    for length in [3, 5] {
        writer.write_all(&vec![0; length]).unwrap();
        settle(&mut event_loop);
    }
    assert_eq!(*calls.borrow(), [3, 5]);
}

// each ready descriptor is told with what is ready.
#[test]
fn a_hang_up_with_nothing_to_read_is_told_once_and_then_the_source_is_paused() {
    let mut event_loop = EventLoop::new().unwrap();
    let (pipe_reader, pipe_writer) = pipe().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (raw, raws) = UnixStream::pair().unwrap();
    let told = log();
    let [of_pipe, of_stream, of_raw] = [(); 3].map(|()| Rc::clone(&told));
    let ids = [
        event_loop.add(pipe_reader, Interest::Readable, "pipe", move |_: &mut EventLoop, _: &mut PipeReader, ready| {
            of_pipe.borrow_mut().push(("pipe", ready));
        }),
        event_loop.add(ours, Interest::Readable, "stream", move |_: &mut EventLoop, _: &mut UnixStream, ready| {
            of_stream.borrow_mut().push(("stream", ready));
        }),
        event_loop.add_raw(raw.as_raw_fd(), Interest::Readable, "raw", move |_: &mut EventLoop, ready: Ready| {
            of_raw.borrow_mut().push(("raw", ready));
        }),
    ];
    drop((pipe_writer, theirs, raws));
    settle(&mut event_loop);
    let mut names: Vec<_> = told.borrow().iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(names, ["pipe", "raw", "stream"], "each once");
    assert!(told.borrow().iter().all(|(_, ready)| ready.hang_up && !ready.readable));
    for id in ids {
        assert_eq!(event_loop.report(id.unwrap()).unwrap().state, SourceState::Paused);
    }
}

#[test]
fn what_comes_during_a_pause_is_seen_when_it_ends() {
    let mut event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let calls = log();
    let kept = Rc::clone(&calls);
    let handler = move |_: &mut EventLoop, pipe: &mut PipeReader, _: Ready| {
        assert_eq!(pipe.read(&mut [0; 8])?, 1);
        kept.borrow_mut().push(());
        Ok::<_, io::Error>(Next::Pause)
    };
    let id = event_loop.add(reader, Interest::Readable, "a pipe", handler).unwrap();
    for calls_so_far in 1..4 {
        writer.write_all(b"x").unwrap();
        settle(&mut event_loop);
        assert_eq!(calls.borrow().len(), calls_so_far);
        writer.write_all(b"").unwrap();
        assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 0);
        assert!(event_loop.resume(id).unwrap());
    }
    assert!(event_loop.pause(id) && event_loop.remove(id));
    assert!(!event_loop.pause(id) && !event_loop.resume(id).unwrap());
}

#[test]
fn a_regular_file_and_a_second_source_of_a_descriptor_are_refused() {
    let mut event_loop = EventLoop::new().unwrap();
    let file = File::open("/proc/self/exe").unwrap();
    let refused = event_loop.add(file, Interest::Readable, "a file", |_: &mut EventLoop, _: &mut File, _: Ready| ());
    assert!(matches!(refused, Err(AddError::RegularFile { .. })), "{refused:?}");

    let (reader, _writer) = pipe().unwrap();
    let number = reader.as_raw_fd();
    let nothing = |_: &mut EventLoop, _: &mut PipeReader, _: Ready| ();
    let id = event_loop.add(reader, Interest::Readable, "first", nothing).unwrap();
    for paused in [false, true] {
        if paused {
            event_loop.pause(id);
        }
        let second = event_loop.add_raw(number, Interest::Readable, "second", |_: &mut EventLoop, _: Ready| ());
        assert!(matches!(second, Err(AddError::Twice { .. })), "{second:?}");
    }
    assert!(event_loop.take::<UnixStream>(id).is_none(), "it is no stream, so it stays");
    let reader: PipeReader = event_loop.take(id).unwrap();
    assert_eq!(reader.as_raw_fd(), number);
    let gone = event_loop.add_raw(i32::MAX, Interest::Readable, "no file", |_: &mut EventLoop, _: Ready| ());
    assert!(matches!(gone, Err(AddError::Os { .. })), "{gone:?}");
}

// handlers come and go; each gets the loop.
#[test]
fn a_handler_may_remove_itself_and_its_neighbour_in_the_same_turn() {
    let mut event_loop = EventLoop::new().unwrap();
    let called = log();
    let ids = log();
    let mut writers = Vec::new();
    for name in 0..2 {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let (kept, both) = (Rc::clone(&called), Rc::clone(&ids));
        let handler = move |event_loop: &mut EventLoop, _: &mut PipeReader, _: Ready| {
            kept.borrow_mut().push(name);
            for &id in both.borrow().iter() {
                assert!(event_loop.remove(id));
            }
        };
        let id = event_loop.add(reader, Interest::Readable, "one of two", handler).unwrap();
        ids.borrow_mut().push(id);
        writers.push(writer);
    }
    settle(&mut event_loop);
    assert_eq!(called.borrow().len(), 1, "the second one was removed before its call");
    assert_eq!(event_loop.handle().statistics().stale_events, 1);
    for mut writer in writers {
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe, "the readers are closed");
    }
}

#[test]
fn a_descriptor_that_is_closed_and_used_again_in_a_turn_is_not_served_by_the_old_handler() {
    let mut event_loop = EventLoop::new().unwrap();
    let failures = failures(&mut event_loop);
    let served = log();
    let (first, mut writer) = pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let number = first.as_raw_fd();
    let old = Rc::clone(&served);
    let closed = event_loop.add_raw(number, Interest::Readable, "old", move |_: &mut EventLoop, _: Ready| {
        old.borrow_mut().push("old");
    });
    // It runs first, closes the descriptor of "old" and makes another one with its number.
    let (trigger, mut pull) = pipe().unwrap();
    pull.write_all(b"x").unwrap();
    let (new_reader, mut new_writer) = pipe().unwrap();
    let mut first = Some(OwnedFd::from(first));
    let mut new_reader = Some(new_reader);
    let new = Rc::clone(&served);
    let closer = move |event_loop: &mut EventLoop, _: &mut PipeReader, _: Ready| {
        // `dup2` closes and opens in one call, so no other test can get the number between them.
        let mut target = first.take().unwrap();
        rustix::io::dup2(new_reader.take().unwrap(), &mut target).unwrap();
        let new = Rc::clone(&new);
        event_loop
            .add(
                PipeReader::from(target),
                Interest::Readable,
                "new",
                move |_: &mut EventLoop, pipe: &mut PipeReader, _: Ready| {
                    new.borrow_mut().push("new");
                    pipe.read(&mut [0]).map(drop)
                },
            )
            .unwrap();
        Next::Remove
    };
    let settings = Settings::new("closer").priority(myelon_runtime::event_loop::Priority::High);
    event_loop.add(trigger, Interest::Readable, settings, closer).unwrap();
    settle(&mut event_loop);
    assert!(served.borrow().is_empty(), "{:?}", served.borrow());
    assert!(event_loop.report(closed.unwrap()).is_none(), "the old source is gone");
    assert_eq!(event_loop.handle().statistics().stale_events, 1);
    assert_eq!(failures.borrow().len(), 1);
    assert!(failures.borrow()[0].starts_with("old: its descriptor was closed"), "{failures:?}");
    new_writer.write_all(b"x").unwrap();
    settle(&mut event_loop);
    assert_eq!(*served.borrow(), ["new"]);
}

#[test]
fn a_raw_descriptor_that_was_closed_is_removed_and_named() {
    let mut event_loop = EventLoop::new().unwrap();
    let failures = failures(&mut event_loop);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"x").unwrap();
    let number = ours.as_raw_fd();
    let mut ours = Some(ours);
    let id =
        event_loop.add_raw(number, Interest::Readable, "closed in its handler", move |_: &mut EventLoop, _: Ready| {
            drop(ours.take());
        });
    settle(&mut event_loop);
    assert!(event_loop.report(id.unwrap()).is_none());
    assert!(failures.borrow()[0].contains("closed outside the loop"), "{failures:?}");
}

#[test]
fn a_handler_that_replaces_its_descriptor_is_called_for_the_new_one() {
    let _watchdog = watchdog("a replaced descriptor");
    let mut event_loop = EventLoop::new().unwrap();
    let (first, mut to_first) = pipe().unwrap();
    let (second, mut to_second) = pipe().unwrap();
    let mut second = Some(second);
    let handler = move |event_loop: &mut EventLoop, pipe: &mut PipeReader, _: Ready| match second.take() {
        Some(second) => *pipe = second,
        None => event_loop.handle().exit(),
    };
    event_loop.add(first, Interest::Readable, "replaced", handler).unwrap();
    to_first.write_all(b"x").unwrap();
    settle(&mut event_loop);
    to_second.write_all(b"x").unwrap();
    assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
}

#[test]
fn an_interest_can_be_changed_while_the_loop_waits() {
    let mut event_loop = EventLoop::new().unwrap();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let calls = log();
    let kept = Rc::clone(&calls);
    let handler = move |event_loop: &mut EventLoop, _: &mut UnixStream, ready: Ready| {
        kept.borrow_mut().push(ready.writable);
        let id = event_loop.current().unwrap();
        event_loop.set_interest(id, Interest::Readable).map(drop)
    };
    let id = event_loop.add(ours, Interest::Readable, "a stream", handler).unwrap();
    settle(&mut event_loop);
    assert!(calls.borrow().is_empty());
    assert!(event_loop.set_interest(id, Interest::Both).unwrap());
    settle(&mut event_loop);
    assert_eq!(*calls.borrow(), [true]);
}

#[test]
fn what_is_left_in_a_raw_pipe_or_socket_is_read_before_its_end_is_told() {
    let (pipe_reader, pipe_writer) = pipe().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    for (reader, writer) in [(OwnedFd::from(pipe_reader), OwnedFd::from(pipe_writer)), (ours.into(), theirs.into())] {
        let mut event_loop = EventLoop::new().unwrap();
        let told = log();
        let kept = Rc::clone(&told);
        let number = reader.as_raw_fd();
        let handler = move |_: &mut EventLoop, ready: Ready| {
            kept.borrow_mut().push(ready.readable);
            if ready.readable { rustix::io::read(&reader, &mut [0]).map(drop) } else { Ok(()) }
        };
        event_loop.add_raw(number, Interest::Readable, "raw", handler).unwrap();
        rustix::io::write(&writer, b"abc").unwrap();
        drop(writer);
        settle(&mut event_loop);
        assert_eq!(*told.borrow(), [true, true, true, false]);
    }
}

#[test]
fn a_handler_that_replaces_its_descriptor_by_one_with_the_same_number_is_called_for_the_new_one() {
    let mut event_loop = EventLoop::new().unwrap();
    let failures = failures(&mut event_loop);
    let (first, mut to_first) = pipe().unwrap();
    let (second, mut to_second) = pipe().unwrap();
    let mut second = Some(second);
    let calls = log();
    let kept = Rc::clone(&calls);
    let handler = move |_: &mut EventLoop, pipe: &mut OwnedFd, _: Ready| {
        rustix::io::read(&*pipe, &mut [0])?;
        kept.borrow_mut().push(());
        second.take().map_or(Ok(()), |second| rustix::io::dup2(second, pipe))
    };
    event_loop.add(OwnedFd::from(first), Interest::Readable, "replaced", handler).unwrap();
    to_first.write_all(b"x").unwrap();
    settle(&mut event_loop);
    to_second.write_all(b"x").unwrap();
    settle(&mut event_loop);
    assert_eq!((calls.borrow().len(), failures.borrow().len()), (2, 0));
}

#[test]
fn a_handler_that_takes_the_descriptor_of_another_source_is_removed_and_the_other_is_served() {
    let mut event_loop = EventLoop::new().unwrap();
    let failures = failures(&mut event_loop);
    let (shared, mut to_shared) = pipe().unwrap();
    let (own, mut to_own) = pipe().unwrap();
    let [shared, own] = [shared, own].map(Rc::new);
    let calls = log();
    let kept = Rc::clone(&calls);
    let serve = move |_: &mut EventLoop, pipe: &mut Rc<PipeReader>, _: Ready| {
        kept.borrow_mut().push(());
        (&**pipe).read(&mut [0]).map(drop)
    };
    for paused in [false, true] {
        let id = event_loop.add(Rc::clone(&shared), Interest::Readable, "owner", serve.clone()).unwrap();
        if paused {
            event_loop.pause(id);
        }
        let others = Rc::clone(&shared);
        let steal = move |_: &mut EventLoop, pipe: &mut Rc<PipeReader>, _: Ready| *pipe = Rc::clone(&others);
        let thief = event_loop.add(Rc::clone(&own), Interest::Readable, "thief", steal).unwrap();
        to_own.write_all(b"x").unwrap();
        settle(&mut event_loop);
        assert!(event_loop.report(thief).is_none());
        assert!(failures.take()[0].starts_with("thief: the loop cannot wait"));
        event_loop.resume(id).unwrap();
        to_shared.write_all(b"x").unwrap();
        settle(&mut event_loop);
        assert_eq!(calls.take().len(), 1);
        assert!(event_loop.remove(id));
    }
}

#[test]
fn the_end_of_a_raw_pipe_is_told_to_a_handler_that_always_asks_for_more() {
    let mut event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let told = log();
    let kept = Rc::clone(&told);
    let number = reader.as_raw_fd();
    let handler = move |_: &mut EventLoop, ready: Ready| {
        kept.borrow_mut().push(ready.readable);
        rustix::io::read(&reader, &mut [0]).unwrap();
        Next::More
    };
    event_loop.add_raw(number, Interest::Readable, "raw", handler).unwrap();
    writer.write_all(b"ab").unwrap();
    drop(writer);
    for _ in 0..5 {
        event_loop.turn(Duration::ZERO).unwrap();
    }
    assert_eq!(*told.borrow(), [true, true, false]);
}
