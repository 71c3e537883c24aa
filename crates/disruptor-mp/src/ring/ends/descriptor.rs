//! What both kinds of doorbells are made of: a descriptor, and the watch that makes it readable.

#[cfg(target_os = "linux")]
pub(super) use linux::Descriptor;

#[cfg(target_os = "linux")]
mod linux {
    use crate::segment::Segment;
    use crate::sync::readable::Readable;
    use crate::sync::watched::Post;
    use crate::sync::watcher::Watch;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::sync::Arc;

    pub(in crate::ring::ends) struct Descriptor {
        watch: Watch,
        readable: Arc<Readable>,
        /// The mapping of the end that it belongs to: each end has mapped the ring for itself.
        segment: Arc<Segment>,
    }

    impl Descriptor {
        /// A descriptor that is not armed, for the end that has mapped `segment`.
        pub(in crate::ring::ends) fn new(post: impl Post + 'static, segment: &Arc<Segment>) -> io::Result<Self> {
            let readable = Arc::new(Readable::new()?);
            let rung = Arc::clone(&readable);
            let watch = Watch::new(Box::new(post), move || rung.set())?;
            Ok(Self { watch, readable, segment: Arc::clone(segment) })
        }

        pub(in crate::ring::ends) fn is_of(&self, segment: &Arc<Segment>) -> bool {
            Arc::ptr_eq(&self.segment, segment)
        }

        /// From now on it belongs to the end that has mapped `segment`.
        pub(in crate::ring::ends) fn turn_to(&mut self, post: impl Post + 'static, segment: &Arc<Segment>) {
            if self.watch.is_ours() {
                self.watch.turn_to(Box::new(post));
            }
            self.segment = Arc::clone(segment);
        }

        pub(in crate::ring::ends) fn post(&self) -> &dyn Post {
            self.watch.post()
        }

        /// Makes it unreadable, and asks to be rung for what `look` then returns as awaited. `false`: `look` awaits
        /// nothing, or this process is a forked child.
        pub(in crate::ring::ends) fn arm(&self, look: impl FnOnce() -> Option<i64>) -> bool {
            if !self.watch.is_ours() {
                return false;
            }
            // Cleared first, looked afterwards: if a ring is cleared here, this look sees what it was for.
            self.readable.clear();
            match look() {
                Some(awaited) => self.watch.arm(awaited),
                None => {
                    self.watch.disarm();
                    return false;
                }
            }
            true
        }

        pub(in crate::ring::ends) fn clear(&self) {
            // A forked child shares the eventfd with its parent, and must not take the parent's ring away.
            if self.watch.is_ours() {
                self.readable.clear();
            }
        }
    }

    impl Drop for Descriptor {
        fn drop(&mut self) {
            // Wakes a thread that polls a copy of the descriptor, or its number: nothing would ring it any more. A
            // forked child shares the eventfd with its parent, which owns it.
            if self.watch.is_ours() {
                self.readable.set();
            }
        }
    }

    impl AsFd for Descriptor {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.readable.as_fd()
        }
    }
}

/// There is none.
#[cfg(not(target_os = "linux"))]
pub(super) struct Descriptor(std::convert::Infallible);

#[cfg(not(target_os = "linux"))]
impl Descriptor {
    pub(super) fn none() -> std::io::Result<Self> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    pub(super) fn never(&self) -> ! {
        match self.0 {}
    }

    pub(super) fn clear(&self) {
        self.never()
    }
}

#[cfg(not(target_os = "linux"))]
impl std::os::fd::AsFd for Descriptor {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.never()
    }
}

/// The methods of a doorbell with a field `descriptor`.
macro_rules! is_a_descriptor {
    ($doorbell:ident) => {
        impl $doorbell {
            /// Makes the descriptor unreadable. [`arm`](Self::arm) does so by itself; this is for loops that do not arm
            /// again at once.
            pub fn clear(&mut self) {
                self.descriptor.clear();
            }
        }

        impl ::std::os::fd::AsFd for $doorbell {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                ::std::os::fd::AsFd::as_fd(&self.descriptor)
            }
        }

        impl ::std::os::fd::AsRawFd for $doorbell {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                ::std::os::fd::AsRawFd::as_raw_fd(&::std::os::fd::AsFd::as_fd(self))
            }
        }

        impl ::std::fmt::Debug for $doorbell {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let fd = ::std::os::fd::AsRawFd::as_raw_fd(self);
                f.debug_struct(stringify!($doorbell)).field("fd", &fd).finish_non_exhaustive()
            }
        }
    };
}
pub(super) use is_a_descriptor;
