//! The file whose lock says that the owner of a socket lives.

use super::ListenError;
use rustix::fs::{fstat, stat};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A held lock. The kernel lets go of it when the process is gone, so a file that is not locked is a left-over.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// Closing it releases the lock. Programs that this process starts do not inherit it.
    _file: File,
}

impl Lock {
    /// Takes the lock for the socket at `socket`.
    pub(super) fn take(socket: &Path) -> Result<Self, ListenError> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let os = |call| move |source| ListenError::Os { path: socket.to_owned(), call, source };
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let mut file = options.open(&path).map_err(os("open of its lock file"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(ListenError::InUse { path: socket.to_owned(), pid: pid_in(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(os("lock")(source)),
            }
            // Its owner may have removed it between the two calls: then this lock protects nothing.
            if is_at(&file, &path).map_err(os("stat of its lock file"))? {
                // Only for the message of a process that finds it locked.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(Self { path, _file: file });
            }
        }
    }

    /// Removes the file. The lock is still held, so the file is ours.
    pub(super) fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = fstat(file)?;
    match stat(path) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.parse().ok()
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
