//! Memory pressure as a source: the kernel tells when tasks have waited for memory longer than they may.
//!
//! The kernel counts the time in which tasks wait for memory (pressure stall information, PSI). A trigger is a line
//! that is written into such a file; the descriptor then has `POLLPRI` when the stalls in one window reach the
//! threshold.
//!
//! - **Invariant:** the kernel tells an event once, to the first look at the descriptor. So it is never armed again
//!   while it is in epoll: that look would take an event away.

use super::adding::step_of;
use super::handler::{Answer, Handler, News};
use super::{AddError, EventLoop, Interest, IntoNext, Next, Ready, Settings, SourceId, SourceKind};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::any::Any;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whose stalls count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stalled {
    /// The time in which at least one task waited for memory. An early sign.
    #[default]
    Some,
    /// The time in which all tasks that were not idle waited at once, so no work was done.
    Full,
}

/// When the kernel tells about memory pressure: where it counts, whose stalls, and how many.
///
/// Without [`period`](Self::period) it is at 200 ms of stalls within 2 s, the default of systemd.
///
/// ```no_run
/// use myelon_runtime::event_loop::{PressureTrigger, Stalled};
/// use std::time::Duration;
///
/// let of_the_machine = PressureTrigger::system();
/// let of_a_service = PressureTrigger::cgroup("/sys/fs/cgroup/system.slice/inference.service")
///     .of(Stalled::Full)
///     .period(Duration::from_millis(100), Duration::from_secs(2));
/// # drop((of_the_machine, of_a_service));
/// ```
#[derive(Clone, Debug)]
pub struct PressureTrigger {
    path: PathBuf,
    stalled: Stalled,
    threshold: Duration,
    window: Duration,
}

impl PressureTrigger {
    /// Of the whole machine, in `/proc/pressure/memory`. In a container this is usually still the machine.
    pub fn system() -> Self {
        Self::at("/proc/pressure/memory".into())
    }

    /// Of the processes in a cgroup and in those below it. `folder` is that of a cgroup of version 2.
    pub fn cgroup(folder: impl AsRef<Path>) -> Self {
        Self::at(folder.as_ref().join("memory.pressure"))
    }

    fn at(path: PathBuf) -> Self {
        let (threshold, window) = (Duration::from_millis(200), Duration::from_secs(2));
        Self { path, stalled: Stalled::default(), threshold, window }
    }

    /// Whose stalls count; [`Stalled::Some`] if not given.
    #[must_use]
    pub fn of(mut self, stalled: Stalled) -> Self {
        self.stalled = stalled;
        self
    }

    /// It is told when the stalls in a `window` reach `threshold`, and at most once in a window.
    ///
    /// The kernel accepts windows from 500 ms to 10 s; without `CAP_SYS_RESOURCE`, multiples of 2 s.
    #[must_use]
    pub fn period(mut self, threshold: Duration, window: Duration) -> Self {
        (self.threshold, self.window) = (threshold, window);
        self
    }

    fn open(&self) -> Result<File, PressureError> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(&self.path)
            .map_err(|error| self.error("opening", error))?;
        let stalled = match self.stalled {
            Stalled::Some => "some",
            Stalled::Full => "full",
        };
        let trigger = format!("{stalled} {} {}\0", self.threshold.as_micros(), self.window.as_micros());
        match rustix::io::write(&file, trigger.as_bytes()) {
            // The kernel takes a trigger whole or not at all.
            Ok(_) => Ok(file),
            Err(errno) => Err(self.error("writing the trigger into", errno.into())),
        }
    }

    fn error(&self, call: &'static str, source: io::Error) -> PressureError {
        let path = self.path.clone();
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT | Errno::NOTDIR) => PressureError::NotThere { path },
            Some(Errno::OPNOTSUPP) => PressureError::Off { path },
            Some(Errno::PERM | Errno::ACCESS | Errno::ROFS) => PressureError::NotPermitted { path, source },
            Some(Errno::INVAL) => PressureError::Period { path, threshold: self.threshold, window: self.window },
            _ => PressureError::Os { call, path, source },
        }
    }
}

/// Why a source of memory pressure was not added. The loop is as it was, and a program can run without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PressureError {
    /// There is no such file.
    #[error(
        "`{}` does not exist: the kernel has no pressure stall information (CONFIG_PSI, Linux 4.20), or there is no cgroup of version 2 in \
         this folder", .path.display()
    )]
    NotThere {
        /// The file.
        path: PathBuf,
    },
    /// The kernel can, but does not count.
    #[error(
        "`{}`: pressure stall information is switched off; boot the kernel with psi=1, or write 1 to cgroup.pressure",
        .path.display()
    )]
    Off {
        /// The file.
        path: PathBuf,
    },
    /// This process may not set a trigger there.
    #[error(
        "`{}`: this process may not set a trigger: it needs write permission for the file, and before Linux 6.5 CAP_SYS_RESOURCE ({source})",
        .path.display()
    )]
    NotPermitted {
        /// The file.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// The kernel refuses this threshold or window.
    #[error(
        "`{}`: the kernel refuses a threshold of {threshold:?} in a window of {window:?}: the window must be from 500 ms to 10 s, without \
         CAP_SYS_RESOURCE a multiple of 2 s, and the threshold not longer than the window", .path.display()
    )]
    Period {
        /// The file.
        path: PathBuf,
        /// The threshold that was asked for.
        threshold: Duration,
        /// The window that was asked for.
        window: Duration,
    },
    /// The operating system refused.
    #[error("{call} `{}` failed: {source}", .path.display())]
    Os {
        /// What failed.
        call: &'static str,
        /// The file.
        path: PathBuf,
        /// Its error.
        source: io::Error,
    },
    /// The loop cannot wait for the trigger.
    #[error(transparent)]
    Add(#[from] AddError),
}

/// How long tasks wait for memory.
///
/// ```
/// use myelon_runtime::event_loop::{Pressure, Stall};
///
/// fn log(Pressure { some, full, .. }: Pressure) {
///     let Stall { average_10_s, total, .. } = some;
///     println!("in the last 10 s some task waited {average_10_s} % of the time, {total:?} in all; all: {full:?}");
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Pressure {
    /// The time in which at least one task waited.
    pub some: Stall,
    /// The time in which all tasks waited that were not idle.
    pub full: Stall,
}

/// A part of the time. The averages are in percent, and the kernel updates them each two seconds.
///
/// ```
/// # use myelon_runtime::event_loop::Stall;
/// let none = Stall::default();
/// assert_eq!((none.average_10_s, none.total), (0.0, std::time::Duration::ZERO));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stall {
    /// Of the last ten seconds.
    pub average_10_s: f32,
    /// Of the last minute.
    pub average_60_s: f32,
    /// Of the last five minutes.
    pub average_300_s: f32,
    /// Since the machine was started, or the cgroup was made.
    pub total: Duration,
}

impl Pressure {
    /// Reads the file of the kernel. What a later kernel adds is left out.
    fn of(text: &str) -> Self {
        let mut pressure = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let stall = match words.next() {
                Some("some") => &mut pressure.some,
                Some("full") => &mut pressure.full,
                _ => continue,
            };
            for (name, value) in words.filter_map(|word| word.split_once('=')) {
                match name {
                    "avg10" => stall.average_10_s = value.parse().unwrap_or_default(),
                    "avg60" => stall.average_60_s = value.parse().unwrap_or_default(),
                    "avg300" => stall.average_300_s = value.parse().unwrap_or_default(),
                    "total" => stall.total = Duration::from_micros(value.parse().unwrap_or_default()),
                    _ => {}
                }
            }
        }
        pressure
    }
}

struct Watched<H> {
    file: File,
    handler: H,
}

impl<R: IntoNext, H: FnMut(&mut EventLoop, Pressure) -> R> Handler for Watched<H> {
    fn call(&mut self, event_loop: &mut EventLoop, news: News) -> Answer {
        let News::Ready(ready) = news else { unreachable!("a descriptor is told what is ready") };
        if ready.error || ready.hang_up {
            return Err("the cgroup was removed, so its memory pressure is not told any more".into());
        }
        // Two lines of some sixty bytes.
        let mut text = [0; 512];
        let read = self.file.read_at(&mut text, 0)?;
        let pressure = Pressure::of(&String::from_utf8_lossy(&text[..read]));
        Ok(match (self.handler)(event_loop, pressure).into_next()? {
            Next::Again | Next::More | Next::Drained => Next::Drained,
            next => next,
        })
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.file.as_raw_fd())
    }

    fn nothing_to_read(&self, _: Ready) -> bool {
        true
    }

    fn owns(&self) -> bool {
        true
    }

    fn tells_each_event_once(&self) -> bool {
        true
    }

    fn source(&mut self) -> Option<&mut dyn Any> {
        Some(&mut self.file)
    }

    fn into_source(self: Box<Self>) -> Option<Box<dyn Any>> {
        Some(Box::new(self.file))
    }
}

impl EventLoop {
    /// Calls `handler` when tasks have waited for memory as long as `trigger` says, at most once in its window. A
    /// server then drops caches, refuses requests, or tells its balancer, before the kernel kills it.
    ///
    /// What happens while the source is paused is not told. If the cgroup is removed, the source has failed and is
    /// paused. Linux only.
    ///
    /// ```
    /// use myelon_runtime::event_loop::{EventLoop, Pressure, PressureError, PressureTrigger};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut event_loop = EventLoop::new()?;
    /// let watched = event_loop.add_memory_pressure(
    ///     PressureTrigger::system(),
    ///     "memory of the machine",
    ///     |_: &mut EventLoop, pressure: Pressure| println!("{} % in the last 10 s", pressure.some.average_10_s),
    /// );
    /// match watched {
    ///     Ok(_) => {}
    ///     // Not on this machine: the service runs without it.
    ///     Err(error) => eprintln!("{error}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`PressureError`], which says what is missing.
    ///
    /// Source: RFC 0022, "Memory pressure".
    pub fn add_memory_pressure<R, H>(
        &mut self,
        trigger: PressureTrigger,
        settings: impl Into<Settings>,
        handler: H,
    ) -> Result<SourceId, PressureError>
    where
        R: IntoNext,
        H: FnMut(&mut EventLoop, Pressure) -> R + 'static,
    {
        let settings = settings.into();
        let step = step_of(settings.priority);
        let source = Box::new(Watched { file: trigger.open()?, handler });
        Ok(self.add_descriptor(source, Interest::Exceptional, SourceKind::MemoryPressure, step, settings)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read_and_what_it_may_add_is_left_out() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.01 total=1748148\n\
                    full avg10=0.50 avg60=0.00 avg300=0.00 total=7 more=3\nother avg10=9\n";
        let Pressure { some, full } = Pressure::of(text);
        assert_eq!((some.average_10_s, some.average_60_s, some.average_300_s), (1.5, 0.25, 0.01));
        assert_eq!((some.total, full.total), (Duration::from_micros(1_748_148), Duration::from_micros(7)));
        assert_eq!(full.average_10_s, 0.5);
        assert_eq!(Pressure::of(""), Pressure::default());
    }

    #[test]
    fn each_refusal_says_what_is_missing() {
        let trigger = PressureTrigger::cgroup("/nowhere");
        let text = |errno: Errno| trigger.error("opening", errno.into()).to_string();
        assert!(text(Errno::NOENT).contains("no pressure stall information"), "{}", text(Errno::NOENT));
        assert!(text(Errno::OPNOTSUPP).contains("psi=1"));
        assert!(text(Errno::PERM).contains("CAP_SYS_RESOURCE") && text(Errno::ACCESS).contains("write permission"));
        assert!(text(Errno::INVAL).contains("a threshold of 200ms in a window of 2s"));
        assert!(text(Errno::NOMEM).starts_with("opening `/nowhere/memory.pressure` failed"));
    }
}
