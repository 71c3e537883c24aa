//! Tests that this machine does not permit: they say so and pass.

use std::fmt;
use std::io::Write;
use std::thread;

/// Why a tool is not available here, for instance "mounting a tmpfs is not permitted (EPERM)".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The action that was refused, and the operating system's answer.
    pub(crate) fn not_permitted(what: &str, error: rustix::io::Errno) -> Self {
        Self(format!("{what} is not permitted here: {error}"))
    }

    /// Whether `error` means "not permitted" or "not on this kernel", as opposed to a mistake of ours.
    pub(crate) fn is_refusal(error: rustix::io::Errno) -> bool {
        use rustix::io::Errno;
        matches!(error, Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::NODEV)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints `skipped: reason` to stderr and returns from the test. Takes the arguments of `format!`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        $crate::skip::announce(::core::format_args!($($reason)+));
        return;
    }};
}

/// Prints the line of [`skip!`](crate::skip!), with the name of the test, which is the name of its thread.
pub fn announce(reason: fmt::Arguments<'_>) {
    let line = format!("skipped: {reason} [{}]\n", thread::current().name().unwrap_or("unnamed thread"));
    // Written to the stream itself: the harness captures what `eprintln!` prints and drops it when the test passes, and
    // a skipped test passes. If stderr cannot be written to, the test does not fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached_the_end_unless(skipped: bool, reached: &mut bool) {
        if skipped {
            crate::skip!("{}", Reason("only to see it".into()));
        }
        *reached = true;
    }

    #[test]
    fn skip_returns_from_the_function() {
        let mut reached = false;
        reached_the_end_unless(true, &mut reached);
        assert!(!reached);
        reached_the_end_unless(false, &mut reached);
        assert!(reached);
    }

    #[test]
    fn only_a_refusal_is_a_reason_to_skip() {
        assert!(Reason::is_refusal(rustix::io::Errno::PERM));
        assert!(!Reason::is_refusal(rustix::io::Errno::INVAL));
    }
}
