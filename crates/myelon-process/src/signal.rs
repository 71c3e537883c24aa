//! Signals by their numbers, and sets of those that a server may block.

use nix::sys::signal::{SigSet, Signal as Named};
use std::fmt;

/// A signal. `Display` writes its name: `SIGTERM`.
///
/// ```
/// use myelon_process::Signal;
///
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!(Signal::from_number(9), Some(Signal::KILL));
/// assert_eq!(Signal::from_number(0), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

impl Signal {
    /// The terminal of the process was closed; servers read it as *load your configuration again*.
    pub const HUP: Self = Self::of(Named::SIGHUP);
    /// Ctrl-C.
    pub const INT: Self = Self::of(Named::SIGINT);
    /// Ctrl-\\. By default it ends the process with a core dump.
    pub const QUIT: Self = Self::of(Named::SIGQUIT);
    /// An abort, such as that of an allocator that has found damage.
    pub const ABRT: Self = Self::of(Named::SIGABRT);
    /// The end that no process can refuse.
    pub const KILL: Self = Self::of(Named::SIGKILL);
    /// For the application.
    pub const USR1: Self = Self::of(Named::SIGUSR1);
    /// An access outside the memory of the process.
    pub const SEGV: Self = Self::of(Named::SIGSEGV);
    /// For the application.
    pub const USR2: Self = Self::of(Named::SIGUSR2);
    /// A write into a pipe or a socket that no process reads.
    pub const PIPE: Self = Self::of(Named::SIGPIPE);
    /// A timer of the process.
    pub const ALRM: Self = Self::of(Named::SIGALRM);
    /// The usual request to end.
    pub const TERM: Self = Self::of(Named::SIGTERM);
    /// A child has ended, was stopped or goes on.
    pub const CHLD: Self = Self::of(Named::SIGCHLD);
    /// Go on after a stop.
    pub const CONT: Self = Self::of(Named::SIGCONT);
    /// The stop that no process can refuse.
    pub const STOP: Self = Self::of(Named::SIGSTOP);
    /// The window of the terminal has another size.
    pub const WINCH: Self = Self::of(Named::SIGWINCH);

    /// The highest number that Linux has.
    const LAST: u8 = 64;

    const fn of(named: Named) -> Self {
        Self(named as u8)
    }

    /// The signal with this number, which may be that of a real-time signal. `None`: there is no such signal.
    pub fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| (1..=Self::LAST).contains(number)).map(Self)
    }

    /// Its number.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// Whether it has no fixed meaning, and queues: as many are received as were sent.
    pub fn is_realtime(self) -> bool {
        Named::try_from(self.number()).is_err()
    }

    /// Whether the processor raises it for a fault of the thread that runs, or no process can block it. A thread that
    /// has blocked such a fault is killed.
    fn is_no_event(self) -> bool {
        use Named::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP};
        let faults = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP];
        faults.map(Self::of).contains(&self)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Named::try_from(self.number()) {
            Ok(named) => f.pad(named.as_str()),
            Err(_) => f.pad(&format!("real-time signal {}", self.0)),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Signals that a process blocks in order to read them as events.
///
/// Real-time signals are in a set all together or not at all. Faults such as SIGSEGV, and SIGKILL and SIGSTOP, are in
/// none.
///
/// ```
/// use myelon_process::{Signal, SignalSet};
///
/// let signals = SignalSet::server().with(Signal::WINCH).without(Signal::QUIT);
/// assert!(signals.contains(Signal::TERM) && !signals.contains(Signal::QUIT));
/// assert_eq!(signals.to_string(), "SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD, SIGWINCH");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalSet {
    /// Bit `n` is the standard signal `n`.
    standard: u64,
    has_realtime: bool,
}

impl SignalSet {
    /// No signal.
    pub const fn empty() -> Self {
        Self { standard: 0, has_realtime: false }
    }

    /// What a server reads as events: INT, TERM, HUP, QUIT, USR1, USR2 and CHLD.
    ///
    /// No real-time signals: a program that blocks them without reading them would keep a queue of them.
    pub fn server() -> Self {
        [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::CHLD]
            .into_iter()
            .fold(Self::empty(), Self::with)
    }

    /// This set and `signal`. For a real-time signal: this set and all real-time signals.
    ///
    /// # Panics
    /// If it cannot be an event: KILL, STOP, ABRT, BUS, FPE, ILL, SEGV, SYS and TRAP.
    #[track_caller]
    #[must_use]
    pub fn with(mut self, signal: Signal) -> Self {
        assert!(!signal.is_no_event(), "{signal} cannot be blocked: leave it out of the set");
        match signal.is_realtime() {
            true => self.has_realtime = true,
            false => self.standard |= 1 << signal.0,
        }
        self
    }

    /// This set and all real-time signals.
    #[must_use]
    pub fn with_realtime(mut self) -> Self {
        self.has_realtime = true;
        self
    }

    /// This set without `signal`. For a real-time signal: without any of them.
    #[must_use]
    pub fn without(mut self, signal: Signal) -> Self {
        match signal.is_realtime() {
            true => self.has_realtime = false,
            false => self.standard &= !(1 << signal.0),
        }
        self
    }

    /// Whether `signal` is in it.
    pub fn contains(&self, signal: Signal) -> bool {
        if signal.is_realtime() { self.has_realtime } else { self.standard & (1 << signal.0) != 0 }
    }

    /// Its standard signals.
    fn named(&self) -> impl Iterator<Item = Named> {
        Named::iterator().filter(|&named| self.contains(Signal::of(named)))
    }

    /// The set as the C library has it.
    pub(crate) fn to_system(self) -> SigSet {
        // The library names no real-time signal: they are what remains of all signals.
        let mut set = if self.has_realtime { SigSet::all() } else { SigSet::empty() };
        Named::iterator().for_each(|named| set.remove(named));
        set.extend(self.named());
        set
    }
}

/// What [`SignalSet::server`] has.
impl Default for SignalSet {
    fn default() -> Self {
        Self::server()
    }
}

impl fmt::Display for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.named().map(Named::as_str).collect();
        names.extend(self.has_realtime.then_some("all real-time signals"));
        f.pad(&names.join(", "))
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_event_is_in_no_set() {
        for signal in [Signal::KILL, Signal::STOP, Signal::SEGV, Signal::ABRT] {
            let refused = std::panic::catch_unwind(|| SignalSet::empty().with(signal));
            assert!(refused.is_err(), "{signal}");
        }
    }

    #[test]
    fn real_time_signals_are_all_in_a_set_or_none() {
        let (some, other) = (Signal::from_number(40).unwrap(), Signal::from_number(64).unwrap());
        assert!(some.is_realtime() && !Signal::TERM.is_realtime());
        let set = SignalSet::server().with(some);
        assert!(set.contains(other) && set == SignalSet::server().with_realtime());
        assert_eq!(set.without(other), SignalSet::server());
        assert_eq!(SignalSet::empty().to_system(), SigSet::empty());
    }

    #[test]
    fn every_number_of_a_signal_has_a_name_and_no_other_number_is_one() {
        assert_eq!(Signal::from_number(34).unwrap().to_string(), "real-time signal 34");
        assert_eq!(format!("{:?}", Signal::TERM), "SIGTERM");
        for number in [i32::MIN, -1, 0, 65, 256 + 9, i32::MAX] {
            assert_eq!(Signal::from_number(number), None, "{number}");
        }
    }
}
