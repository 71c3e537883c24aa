//! A value that is made once in a process and then stays.
//!
//! For statics that a child of `fork` may use as well.
//!
//! `OnceLock` is not used: with it, a second thread waits while another one makes the value. In a child that was forked
//! at that moment the other thread does not exist, and the child would wait without end. Here no thread waits.

use super::primitive::{AtomicPtr, Ordering};
use std::ptr;

/// A value that is made once and never dropped.
pub(crate) struct Settled<T: 'static>(AtomicPtr<T>);

impl<T: Send + Sync> Settled<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value; if there is none, that of `make`. Threads that come at the same time may each make one: all use the
    /// first that is stored.
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &'static T {
        // Acquire pairs with the Release below: a thread that finds the value sees its content.
        let found = self.0.load(Ordering::Acquire);
        // SAFETY: null, or what was leaked below: it is never freed and never borrowed mutably, and `T` may be shared
        // by threads.
        if let Some(found) = unsafe { found.as_ref() } {
            return found;
        }
        let made = Box::into_raw(Box::new(make()));
        // Release: see above. Acquire on failure, for the same reason: the value is another thread's.
        match self.0.compare_exchange(ptr::null_mut(), made, Ordering::Release, Ordering::Acquire) {
            // SAFETY: leaked a moment ago, and from now on as above.
            Ok(_) => unsafe { &*made },
            Err(found) => {
                // SAFETY: made above, and never shown to any other thread.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as above; it is not null, for which it was exchanged.
                unsafe { &*found }
            }
        }
    }
}

// Miri cannot fork.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use testkit::fork::fork_then;
    use testkit::watchdog::PATIENCE;

    #[test]
    fn a_child_that_was_forked_while_a_thread_makes_the_value_does_not_wait_for_it() {
        static VALUE: Settled<u32> = Settled::new();
        let (begin, has_begun) = channel();
        let (end, may_end) = channel::<()>();
        let maker = std::thread::spawn(move || {
            *VALUE.get_or_make(|| {
                begin.send(()).unwrap();
                may_end.recv().unwrap();
                1
            })
        });
        has_begun.recv().unwrap();
        let mut child = fork_then(|| *VALUE.get_or_make(|| 2) as i32);
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(2));
        assert_eq!(*VALUE.get_or_make(|| 3), 3);
        end.send(()).unwrap();
        assert_eq!(maker.join().unwrap(), 3, "the first value that is stored is that of all");
    }
}
