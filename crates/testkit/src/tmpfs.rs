//! A small file system, which a test can fill.

use std::env;
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::names;
use crate::skip::Reason;

/// A tmpfs of a chosen size on a directory of its own; unmounted and removed when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    directory: PathBuf,
}

impl Tmpfs {
    /// Mounts it. The kernel rounds `size_bytes` up to whole pages.
    ///
    /// # Errors
    /// A reason to skip the test: this process may not mount, which usually only root may.
    pub fn mount(size_bytes: u64) -> Result<Self, Reason> {
        assert!(size_bytes > 0, "a tmpfs of size 0 is one without a limit");
        let directory = env::temp_dir().join(names::unique("testkit-tmpfs"));
        fs::create_dir(&directory).expect("the directory for temporary files is writable");
        let options = CString::new(format!("size={size_bytes},mode=0700")).expect("no NUL in a number");
        match mount("tmpfs", &directory, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str()) {
            Ok(()) => Ok(Self { directory }),
            Err(error) => {
                fs::remove_dir(&directory).expect("the fresh directory can be removed");
                assert!(Reason::is_refusal(error), "mounting a tmpfs of {size_bytes} bytes failed: {error}");
                Err(Reason::not_permitted("mounting a tmpfs", error))
            }
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Detached, because a test that failed may still hold files open; the memory is freed with the last of them.
        // Errors are not reported: they would hide why the test failed.
        let _ = unmount(&self.directory, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_at_its_size_and_gone_afterwards() {
        let tmpfs = match Tmpfs::mount(64 * 1024) {
            Ok(tmpfs) => tmpfs,
            Err(reason) => crate::skip!("{reason}"),
        };
        fs::write(tmpfs.path().join("fits"), vec![0; 32 * 1024]).unwrap();
        let error = fs::write(tmpfs.path().join("does not"), vec![0; 64 * 1024]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        let directory = tmpfs.path().to_owned();
        drop(tmpfs);
        assert!(!directory.exists());
    }
}
