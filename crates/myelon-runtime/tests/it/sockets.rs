//! Sockets: their errors, a listener without descriptors left, and a peer that sends in bursts.

use crate::{failures, log, settle, watchdog};
use myelon_runtime::event_loop::{EventLoop, Interest, Next, Ready, Settings, SourceState, Tick};
use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use testkit::fork::alone;

/// Turns, with sleeps, until `condition` holds.
fn turn_until(event_loop: &mut EventLoop, condition: impl Fn() -> bool) {
    while !condition() {
        event_loop.turn(Duration::from_millis(10)).unwrap();
    }
}

#[test]
fn a_datagram_socket_is_served_after_an_error_of_one_datagram() {
    let _watchdog = watchdog("a datagram after an error");
    for raw in [false, true] {
        let mut event_loop = EventLoop::new().unwrap();
        let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        ours.set_nonblocking(true).unwrap();
        let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = theirs.local_addr().unwrap();
        ours.connect(address).unwrap();
        drop(theirs);
        let (got, number) = (log(), ours.as_raw_fd());
        let kept = Rc::clone(&got);
        let ours = Rc::new(ours);
        let receiver = Rc::clone(&ours);
        let receive = move |ready: Ready| {
            assert!(!ready.hang_up, "{ready:?}");
            match receiver.recv(&mut [0; 8]) {
                Ok(bytes) => kept.borrow_mut().push(Ok(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => kept.borrow_mut().push(Err(error.kind())),
            }
        };
        let id = if raw {
            event_loop.add_raw(number, Interest::Readable, "raw", move |_: &mut EventLoop, ready: Ready| receive(ready))
        } else {
            let owned = Rc::clone(&ours);
            let handler = move |_: &mut EventLoop, _: &mut Rc<UdpSocket>, ready: Ready| receive(ready);
            event_loop.add(owned, Interest::Readable, "owned", handler)
        };
        // No socket has the address, so the kernel tells an error.
        ours.send(b"lost").unwrap();
        turn_until(&mut event_loop, || !got.borrow().is_empty());
        assert_eq!(got.take(), [Err(io::ErrorKind::ConnectionRefused)]);
        settle(&mut event_loop);
        assert_eq!(event_loop.report(id.unwrap()).unwrap().state, SourceState::Waiting);
        let theirs = match UdpSocket::bind(address) {
            Ok(theirs) => theirs,
            Err(error) => testkit::skip!("the port was taken meanwhile: {error}"),
        };
        theirs.send_to(b"found", ours.local_addr().unwrap()).unwrap();
        turn_until(&mut event_loop, || !got.borrow().is_empty());
        assert_eq!(got.take(), [Ok(5)]);
    }
}

#[test]
fn a_raw_stream_that_was_reset_has_its_error_when_its_handler_reads() {
    let _watchdog = watchdog("a reset");
    let mut event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    let got = log();
    let (kept, number, mut reader) = (Rc::clone(&got), ours.as_raw_fd(), ours.try_clone().unwrap());
    let handler = move |_: &mut EventLoop, ready: Ready| {
        if ready.error {
            kept.borrow_mut().push(reader.read(&mut [0; 8]).unwrap_err().kind());
        }
    };
    event_loop.add_raw(number, Interest::Readable, "raw", handler).unwrap();
    // What a peer leaves unread when it closes makes its close a reset.
    (&ours).write_all(b"unread").unwrap();
    theirs.peek(&mut [0]).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let _ = theirs.flush();
    drop(theirs);
    turn_until(&mut event_loop, || !got.borrow().is_empty());
    settle(&mut event_loop);
    assert_eq!(*got.borrow(), [io::ErrorKind::ConnectionReset]);
}

/// Accepts one connection. Without descriptors left it asks for a pause of 10 ms, as the docs of `add` say.
fn accept(
    event_loop: &mut EventLoop,
    listener: &mut TcpListener,
    accepted: &RefCell<Vec<TcpStream>>,
) -> io::Result<Next> {
    match listener.accept() {
        Ok((stream, _)) => accepted.borrow_mut().push(stream),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Drained),
        Err(error) => {
            let id = event_loop.current().expect("a handler runs");
            event_loop.add_timer(
                Duration::from_millis(10),
                "accept again",
                move |event_loop: &mut EventLoop, _: Tick| event_loop.resume(id).map(drop),
            );
            event_loop.pause(id);
            return Err(error);
        }
    }
    Ok(Next::More)
}

#[test]
fn a_listener_without_descriptors_left_waits_instead_of_spinning_and_loses_no_connection() {
    alone(|| {
        let _watchdog = watchdog("accepting");
        let mut event_loop = EventLoop::new().unwrap();
        let failures = failures(&mut event_loop);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Rc::new(RefCell::new(Vec::new()));
        let all = Rc::clone(&accepted);
        let handler =
            move |event_loop: &mut EventLoop, listener: &mut TcpListener, _: Ready| accept(event_loop, listener, &all);
        event_loop.add(listener, Interest::Readable, "a listener", handler).unwrap();
        let clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
        // From here on there is room for one more descriptor.
        let last = rustix::io::dup(&clients[0]).unwrap();
        let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let before = limit.current;
        limit.current = Some(last.as_raw_fd() as u64 + 1);
        drop(last);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        turn_until(&mut event_loop, || failures.borrow().len() >= 3);
        let turns = event_loop.handle().statistics().turns;
        assert!(turns < 100, "{turns} turns for three looks");
        assert_eq!(accepted.borrow().len(), 1);
        limit.current = before;
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        turn_until(&mut event_loop, || accepted.borrow().len() == clients.len());
    });
}

/// the connection to a window system is a socket whose peer sends thousands of events at once.
#[test]
fn bursts_of_a_window_system_are_read_without_loss_and_do_not_starve_a_timer_and_a_neighbour() {
    const EVENT: usize = 32;
    const BURST: usize = 4096;
    let _watchdog = watchdog("bursts of events");
    let mut event_loop = EventLoop::new().unwrap();
    let (screen, mut server) = UnixStream::pair().unwrap();
    let (neighbour, mut peer) = UnixStream::pair().unwrap();
    screen.set_nonblocking(true).unwrap();
    let sender = std::thread::spawn(move || {
        for burst in 0..8_u32 {
            let events: Vec<u8> = (0..BURST as u32)
                .flat_map(|event| {
                    let mut bytes = [0; EVENT];
                    bytes[..4].copy_from_slice(&(burst * BURST as u32 + event).to_le_bytes());
                    bytes
                })
                .collect();
            server.write_all(&events).unwrap();
        }
    });
    let (events, ticks, answers) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let count = Rc::clone(&events);
    // The client reads one event a call, and asks for more, as toolkits do.
    let read_one = move |event_loop: &mut EventLoop, stream: &mut UnixStream, _: Ready| {
        let mut event = [0; EVENT];
        match stream.read(&mut event) {
            Ok(0) => event_loop.handle().quit(),
            Ok(bytes) => {
                assert_eq!(bytes, EVENT);
                assert_eq!(u32::from_le_bytes(event[..4].try_into().unwrap()), count.get());
                count.set(count.get() + 1);
                return Next::More;
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        Next::Again
    };
    event_loop.add(screen, Interest::Readable, Settings::new("the window system").budget(64), read_one).unwrap();
    let (count, seen) = (Rc::clone(&answers), Rc::clone(&events));
    let last = Cell::new(0);
    let answer = move |_: &mut EventLoop, stream: &mut UnixStream, _: Ready| {
        stream.read_exact(&mut [0]).unwrap();
        let between = seen.get() - last.replace(seen.get());
        assert!(between <= 2 * 64, "{between} events between two calls of a source that is always ready");
        count.set(count.get() + 1);
    };
    event_loop.add(neighbour, Interest::Readable, "a neighbour", answer).unwrap();
    peer.write_all(&[0; 60_000]).unwrap();
    let count = Rc::clone(&ticks);
    event_loop.add_interval(Duration::from_millis(1), "a frame", move |_: &mut EventLoop, tick: Tick| {
        count.set(count.get() + 1 + tick.missed);
    });
    let began = event_loop.now();
    event_loop.run().unwrap();
    let milliseconds = (event_loop.now() - began).as_millis() as u64;
    sender.join().unwrap();
    assert_eq!(events.get() as usize, 8 * BURST);
    assert!(answers.get() > 100, "{} answers", answers.get());
    // Each period is told, in its call or as one that was missed. The last turn's may be left.
    assert!(ticks.get() + 2 >= milliseconds, "{} of {milliseconds}", ticks.get());
}
