//! The file whose lock says that the owner of a path lives.
//!
//! It contains one line: the pid of the owner, and which file it has made at the path.

use super::ListenError;
use super::identity::{FileIdentity, Made};
use disruptor_mp::__private::Registered;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, ftruncate};
use rustix::io::{Errno, pread, pwrite};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The mode of the file.
const MODE: u32 = 0o600;

/// More than the line of the file can have.
const LINE_BYTES_MAX: usize = 256;

/// A held lock. The kernel lets go of it when the process is gone, so a file that is not locked is a left-over.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    identity: FileIdentity,
    /// Closing it releases the lock. Neither programs that this process starts nor its forked children inherit it: a
    /// child that lives longer would be taken for the owner.
    file: Registered,
    /// What the owner before has left.
    left: Option<Made>,
}

impl Lock {
    /// Takes the lock for `owned`.
    pub(super) fn take(owned: &Path) -> Result<Self, ListenError> {
        let mut path = owned.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let os = |call| move |source: io::Error| ListenError::Os { path: owned.to_owned(), call, source };
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(MODE);
            // A symlink is an error. A FIFO or a device does not make the call wait.
            options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
            let file = Registered::open(|| Ok(options.open(&path)?.into())).map_err(os("open of its lock file"))?;
            let open = file.descriptor().expect("this process has opened it");
            let found = fstat(open).map_err(|error| os("stat of its lock file")(error.into()))?;
            if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
                return Err(ListenError::OtherFile { path });
            }
            match flock(open, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let pid = line_in(open).and_then(|line| line.split(' ').next()?.parse().ok());
                    return Err(ListenError::InUse { path: owned.to_owned(), pid });
                }
                Err(error) => return Err(os("lock")(error.into())),
            }
            // Its owner may have removed it between the two calls: then this lock protects nothing.
            let identity = FileIdentity::of(&found);
            if FileIdentity::at(&path).map_err(os("stat of its lock file"))? == Some(identity) {
                // The umask has changed the mode of a new one. Without it the next process could not open the file.
                fchmod(open, Mode::from_raw_mode(MODE)).map_err(|error| os("chmod of its lock file")(error.into()))?;
                let left = line_in(open).and_then(|line| line.split_once(' ')?.1.parse().ok());
                let lock = Self { path, identity, file, left };
                lock.write("");
                return Ok(lock);
            }
        }
    }

    /// What the owner before has made and not removed.
    pub(super) fn left(&self) -> Option<Made> {
        self.left
    }

    /// Notes what this owner has made.
    pub(super) fn note(&self, made: Made) {
        self.write(&format!(" {made}"));
    }

    /// Writes our pid and `rest`. Without it there is no more than a message with less in it, and whether a process
    /// uses a left-over is looked at.
    fn write(&self, rest: &str) {
        if let Some(open) = self.file.descriptor() {
            let line = format!("{}{rest}", std::process::id());
            let _ = ftruncate(open, 0).and_then(|()| pwrite(open, line.as_bytes(), 0));
        }
    }

    /// Removes the file, unless it is already another one.
    pub(super) fn remove(&self) {
        self.identity.remove(&self.path);
    }
}

fn line_in(file: BorrowedFd<'_>) -> Option<String> {
    let mut bytes = [0; LINE_BYTES_MAX];
    let len = pread(file, &mut bytes, 0).ok()?;
    String::from_utf8(bytes[..len].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use testkit::watchdog::{PATIENCE, Watchdog};

    #[test]
    fn a_lock_never_has_two_owners_while_its_file_comes_and_goes() {
        let _watchdog = Watchdog::new(4 * PATIENCE, "owners that take turns");
        let socket = std::env::temp_dir().join(testkit::names::short());
        let owners = AtomicUsize::new(0);
        let come_and_go = || {
            let mut owned = 0;
            while owned < 2000 {
                match Lock::take(&socket) {
                    Ok(lock) => {
                        assert_eq!(owners.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        owners.fetch_sub(1, Ordering::SeqCst);
                        lock.remove();
                        owned += 1;
                    }
                    Err(ListenError::InUse { .. }) => thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(come_and_go))));
    }
}
