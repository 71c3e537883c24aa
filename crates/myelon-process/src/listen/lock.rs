//! The file whose lock says that the owner of a socket lives.

use super::ListenError;
use super::identity::FileIdentity;
use rustix::fs::fstat;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The mode of the file.
const MODE: u32 = 0o600;

/// A held lock. The kernel lets go of it when the process is gone, so a file that is not locked is a left-over.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    identity: FileIdentity,
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
            options.read(true).write(true).create(true).truncate(false).mode(MODE);
            let mut file = options.open(&path).map_err(os("open of its lock file"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(ListenError::InUse { path: socket.to_owned(), pid: pid_in(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(os("lock")(source)),
            }
            // Its owner may have removed it between the two calls: then this lock protects nothing.
            let identity = fstat(&file).map_err(|error| os("stat of its lock file")(error.into()))?;
            let identity = FileIdentity::of(&identity);
            if FileIdentity::at(&path).map_err(os("stat of its lock file"))? == Some(identity) {
                // The umask has changed the mode of a new one. Without it the next process could not open the file.
                file.set_permissions(Permissions::from_mode(MODE)).map_err(os("chmod of its lock file"))?;
                // Only for the message of a process that finds it locked.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(Self { path, identity, _file: file });
            }
        }
    }

    /// Removes the file, unless it is already another one.
    pub(super) fn remove(&self) {
        self.identity.remove(&self.path);
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
