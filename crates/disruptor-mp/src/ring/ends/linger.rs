//! Decides when a consumer of a saturated stream lets the producer run ahead. It is a state machine without a clock of
//! its own: the consumer counts, reads the clock and waits.
//!
//! ```text
//! off ---- 1 GB/s or more, and no rest left ----> settling ---> trial ---- a tenth faster ----> on
//!  ^                                                 |           |                               |
//!  +------- four waits in a row without an event ----+-----------+------- slower again ----------+
//! ```
//!
//! A consumer that follows closely takes each line out of the producer's cache while the producer still writes the next
//! ones. A consumer that lags by the size of a second-level cache finds the lines in the cache that both share. Each
//! state is stable. Which of them is faster is measured here, not assumed. Source: RFC 0018.

use std::time::Duration;

/// The longest linger, unless the program sets another.
pub(crate) const LINGER_DEFAULT: Duration = Duration::from_micros(20);

/// When it looks for the first time how much has come, in nanoseconds after it began. Each further look comes after
/// twice as long, because each takes the cursor's line away from the producer. If a look finds nothing new, the linger
/// ends.
pub(super) const FIRST_LOOK_NS: u64 = 1_000;

/// How much is enough: about a second-level cache.
pub(super) const ENOUGH_BYTES: i64 = 1 << 20;

/// Bytes between two looks at the clock, while it does not linger.
const BYTES_PER_CLOCK: i64 = 1 << 20;

/// The time over which a rate is measured.
const WINDOW_NS: u64 = 100_000;

/// The rate from which on lingering is tried, in bytes per microsecond.
const RATE_MIN: u64 = 1_000;

/// How many lingers in a row without anything new end it: this is no stream, or it has paused.
const IN_VAIN_MAX: u8 = 4;

/// Windows without lingering before it is tried again: twice as many after each trial that did not help.
const REST_MIN: u32 = 8;
const REST_MAX: u32 = 1 << 16;

/// Whether a consumer lingers.
#[derive(Debug)]
pub(super) struct Linger {
    /// Bytes to find before [`looked`](Self::looked) must be called.
    left: i64,
    /// The initial value of `left`.
    given: i64,
    bound_ns: u64,
    state: State,
    window: Window,
    /// The rates of the last windows without lingering.
    plain_rates: [u64; 4],
    in_vain: u8,
    rest: u32,
    next_rest: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    /// It has begun to linger; what it finds in this window was written before.
    Settling,
    Trial,
    On,
}

#[derive(Debug, Default)]
struct Window {
    began_ns: u64,
    bytes: u64,
}

impl Linger {
    /// For a consumer that lingers at most for `bound`; zero: never.
    pub(super) fn new(bound: Duration) -> Self {
        let bound_ns = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let given = if bound_ns == 0 { i64::MAX } else { BYTES_PER_CLOCK };
        Self {
            left: given,
            given,
            bound_ns,
            state: State::Off,
            window: Window::default(),
            plain_rates: [0; 4],
            in_vain: 0,
            rest: 0,
            next_rest: REST_MIN,
        }
    }

    /// Counts `bytes` that a look has found. Returns whether [`looked`](Self::looked) must be called.
    #[inline(always)]
    pub(super) fn is_due(&mut self, bytes: i64) -> bool {
        self.left -= bytes;
        self.left < 0
    }

    /// The longest time that it may linger.
    pub(super) fn bound_ns(&self) -> u64 {
        self.bound_ns
    }

    /// A look that was due is over at `now_ns`. Returns whether to linger now.
    pub(super) fn looked(&mut self, now_ns: u64) -> bool {
        self.window.bytes += (self.given - self.left).max(0) as u64;
        let elapsed = now_ns.saturating_sub(self.window.began_ns);
        if elapsed >= WINDOW_NS {
            self.end_window(self.window.bytes.saturating_mul(1_000) / elapsed);
            self.window = Window { began_ns: now_ns, bytes: 0 };
        }
        self.given = if self.state == State::Off { BYTES_PER_CLOCK } else { 0 };
        self.left = self.given;
        self.state != State::Off
    }

    /// It has lingered. `has_come`: whether something has come meanwhile; `bytes`: how many bytes it may now read.
    pub(super) fn lingered(&mut self, has_come: bool, bytes: i64) {
        self.left -= bytes;
        self.in_vain = if has_come { 0 } else { self.in_vain + 1 };
        if self.in_vain == IN_VAIN_MAX {
            self.stop();
        }
    }

    fn end_window(&mut self, rate: u64) {
        let plain = self.plain_rates.into_iter().max().unwrap_or(0);
        match self.state {
            State::Off => {
                self.plain_rates.rotate_right(1);
                self.plain_rates[0] = rate;
                // Two windows: during a single one, another process may have had the processor.
                if self.plain_rates[0].max(self.plain_rates[1]) < plain / 2 {
                    (self.rest, self.next_rest) = (0, REST_MIN);
                    self.plain_rates[2..].fill(0);
                }
                if rate >= RATE_MIN && self.rest == 0 {
                    self.state = State::Settling;
                }
                self.rest = self.rest.saturating_sub(1);
            }
            State::Settling => self.state = State::Trial,
            State::Trial if rate >= plain + plain / 10 => (self.state, self.next_rest) = (State::On, REST_MIN),
            State::On if rate >= plain - plain / 10 => {}
            State::Trial | State::On => self.stop(),
        }
    }

    fn stop(&mut self) {
        (self.state, self.in_vain) = (State::Off, 0);
        (self.given, self.left) = (BYTES_PER_CLOCK, BYTES_PER_CLOCK);
        (self.rest, self.next_rest) = (self.next_rest, REST_MAX.min(self.next_rest * 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A consumer whose time passes only with its own looks.
    struct Stream {
        linger: Linger,
        now_ns: u64,
        looks: u64,
        lingers: u64,
    }

    impl Stream {
        fn new() -> Self {
            Self { linger: Linger::new(LINGER_DEFAULT), now_ns: 1, looks: 0, lingers: 0 }
        }

        /// Looks again and again until `time_ns` have passed. A look takes `each_ns` and finds `bytes` bytes. If the
        /// consumer lingers after a look, `lingering` says how many bytes it finds by that and how many nanoseconds
        /// that takes; `None`: nothing comes.
        fn read(&mut self, time_ns: u64, bytes: i64, each_ns: u64, lingering: impl Fn() -> Option<(i64, u64)>) {
            let end = self.now_ns + time_ns;
            while self.now_ns < end {
                self.now_ns += each_ns;
                self.looks += 1;
                if self.linger.is_due(bytes) && self.linger.looked(self.now_ns) {
                    self.lingers += 1;
                    let more = lingering();
                    self.now_ns += more.map_or(FIRST_LOOK_NS, |(_, after_ns)| after_ns);
                    self.linger.lingered(more.is_some(), more.map_or(0, |(bytes, _)| bytes));
                }
            }
        }

        fn is_on(&self) -> bool {
            self.linger.state == State::On
        }
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_stream_that_gets_faster_by_it_is_lingered_in_within_a_millisecond_and_stays_so() {
        let mut stream = Stream::new();
        // 1 KiB in 140 ns; with lingering, half a megabyte comes in 15 us.
        stream.read(SECOND / 1_000, 1024, 140, || Some((512 << 10, 15_000)));
        assert!(stream.is_on());
        stream.read(SECOND, 1024, 140, || Some((512 << 10, 15_000)));
        assert!(stream.is_on());
    }

    #[test]
    fn a_stream_that_does_not_get_faster_is_left_alone_but_for_trials_that_get_rarer() {
        let mut stream = Stream::new();
        // 10 KiB in 2 us, however long it waits for more.
        let as_before = || Some((75 << 10, 15_000));
        stream.read(SECOND, 10 << 10, 2_000, as_before);
        let lingers = stream.lingers;
        assert!(!stream.is_on() && lingers > 0);
        stream.read(10 * SECOND, 10 << 10, 2_000, as_before);
        let per_second = (stream.lingers - lingers) / 10;
        assert!(per_second < lingers && per_second * 15_000 < SECOND / 1_000, "{per_second} lingers a second");
    }

    #[test]
    fn a_trickle_is_never_delayed() {
        let mut stream = Stream::new();
        // 1 KiB in 1.2 us: 0.85 GB/s.
        stream.read(10 * SECOND, 1024, 1_200, || unreachable!("a trickle was delayed"));
    }

    #[test]
    fn a_ping_pong_of_large_messages_is_delayed_four_times_in_hundreds_of_thousands() {
        let mut stream = Stream::new();
        // 4 KiB in 800 ns, one at a time: while the consumer waits, its peer waits for it.
        stream.read(10 * SECOND, 4096, 800, || None);
        assert!(stream.looks / stream.lingers > 100_000, "{} of {}", stream.lingers, stream.looks);
    }

    #[test]
    fn a_short_burst_is_not_delayed() {
        let mut stream = Stream::new();
        for _ in 0..100 {
            stream.read(20_000, 64 << 10, 5_000, || unreachable!("a burst of 256 KiB was delayed"));
            stream.now_ns += SECOND / 100;
        }
    }

    #[test]
    fn the_end_of_a_stream_costs_four_short_waits() {
        let mut stream = Stream::new();
        stream.read(SECOND / 100, 1024, 140, || Some((512 << 10, 15_000)));
        assert!(stream.is_on());
        let lingers = stream.lingers;
        stream.read(10_000, 1024, 140, || None);
        assert!(!stream.is_on());
        assert_eq!(stream.lingers - lingers, IN_VAIN_MAX.into());
    }

    #[test]
    fn a_stream_that_slows_down_while_it_rests_is_tried_anew() {
        let mut stream = Stream::new();
        // It lags by itself, and is as fast as it can be: after trials that did not help, the rests are long.
        stream.read(10 * SECOND, 64 << 10, 1_600, || Some((64 << 10, 1_600)));
        assert!(!stream.is_on());
        stream.read(SECOND / 1_000, 1024, 140, || Some((512 << 10, 15_000)));
        assert!(stream.is_on());
    }

    #[test]
    fn without_a_bound_of_more_than_zero_it_never_lingers() {
        let mut linger = Linger::new(Duration::ZERO);
        assert!((0..1_000_000).all(|_| !linger.is_due(1 << 30)));
    }
}
