//! Strategies that never sleep.

use super::{IdleStrategy, Pause};

/// Waits with a hint to the processor. For a thread that has a core of its own, where each microsecond counts.
///
/// ```
/// use myelon_runtime::agents::{Group, GroupEnd, Spin, Work, from_fn};
///
/// let mut runner = Group::new("fast").agent(from_fn("fast", |_| Ok(Work::NONE))).spawn(Spin)?;
/// assert_eq!(runner.close(std::time::Duration::from_secs(30))?, GroupEnd::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Spin;

impl IdleStrategy for Spin {
    fn idle(&mut self, _: &mut Pause<'_>) {
        std::hint::spin_loop();
    }
}

/// Gives the core to another thread that wants it. For a thread that shares its core with others of the same kind.
///
/// ```
/// use myelon_runtime::agents::{Group, GroupEnd, Work, Yield, from_fn};
///
/// let mut runner = Group::new("polite").agent(from_fn("polite", |_| Ok(Work::NONE))).spawn(Yield)?;
/// assert_eq!(runner.close(std::time::Duration::from_secs(30))?, GroupEnd::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Yield;

impl IdleStrategy for Yield {
    fn idle(&mut self, _: &mut Pause<'_>) {
        std::thread::yield_now();
    }
}

/// Does nothing. For tests, and for agents that wait in `do_work` themselves.
///
/// ```
/// use myelon_runtime::agents::{Group, GroupEnd, NoIdle, Work, from_fn};
///
/// let mut invoker = Group::new("test").agent(from_fn("tested", |_| Ok(Work::Finished))).into_invoker();
/// assert_eq!(invoker.run(&mut NoIdle), GroupEnd::Finished);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIdle;

impl IdleStrategy for NoIdle {
    fn idle(&mut self, _: &mut Pause<'_>) {}
}
