//! Starts a program with `posix_spawn`, so without a `fork` of a process that may be large.
//!
//! The crate `myelon-process` has the interface for programs. This is the part of it that needs calls of the C library:
//! `nix::spawn` has no action that changes the directory, and takes the error numbers of these calls for successes.

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::null_mut;

/// A program to start: what `posix_spawn` is told.
///
/// The child has the signal mask of this description, and default dispositions for all signals. It inherits no
/// descriptor that is close-on-exec, except the listed ones.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The path of the program. It is not looked for elsewhere.
    pub program: &'a CStr,
    /// Its arguments. The first is the program's name.
    pub arguments: &'a [CString],
    /// Its environment, each entry in the form `NAME=VALUE`.
    pub environment: &'a [CString],
    /// The directory in which it runs, if this is not ours. A relative path of the program starts there.
    pub directory: Option<&'a CStr>,
    /// Descriptors of ours, and their numbers in the child. They are given in this order, so none of ours may have one
    /// of these numbers.
    pub descriptors: &'a [(OwnedFd, RawFd)],
    /// The process group that it joins, if this is not ours; 0 is a new group.
    pub process_group: Option<i32>,
    /// The signals that are blocked when it starts.
    pub blocked: &'a libc::sigset_t,
}

impl Spawn<'_> {
    /// Starts it and returns its pid. A program that cannot be executed is an error here.
    ///
    /// # Errors
    /// Those of `posix_spawn`. `NotFound` can also mean the directory, or the interpreter of a script. `Unsupported`:
    /// this C library (glibc before 2.29) cannot change the directory.
    pub fn start(&self) -> io::Result<u32> {
        let mut actions = Actions::new()?;
        if let Some(directory) = self.directory {
            actions.change_directory(directory)?;
        }
        for (descriptor, number) in self.descriptors {
            actions.duplicate(descriptor, *number)?;
        }
        let attributes = Attributes::new(self.blocked, self.process_group)?;
        let (arguments, environment) = (pointers(self.arguments), pointers(self.environment));
        let mut pid = 0;
        // SAFETY: both objects were initialised above. The strings end with zero, the arrays with a null pointer, and
        // all of them live until the call returns. `posix_spawn` does not write through these pointers.
        checked(unsafe {
            libc::posix_spawn(
                &raw mut pid,
                self.program.as_ptr(),
                &raw const actions.0,
                &raw const attributes.0,
                arguments.as_ptr(),
                environment.as_ptr(),
            )
        })?;
        Ok(pid.cast_unsigned())
    }
}

/// The result of a call that returns an error number.
fn checked(number: c_int) -> io::Result<()> {
    if number == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(number)) }
}

fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([null_mut()]).collect()
}

/// What the child does before it executes the program.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the call initialises the object that it is given.
        checked(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above, which has succeeded.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn duplicate(&mut self, descriptor: &OwnedFd, number: RawFd) -> io::Result<()> {
        // SAFETY: an initialised object. The descriptor lives in the description, which outlives these actions. A
        // number that is no descriptor is an error.
        checked(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, descriptor.as_raw_fd(), number) })
    }

    #[cfg(not(target_env = "musl"))]
    fn change_directory(&mut self, directory: &CStr) -> io::Result<()> {
        type AddDirectory = unsafe extern "C" fn(*mut libc::posix_spawn_file_actions_t, *const c_char) -> c_int;
        // By its name: a program that named it would not start with a C library that lacks it, even if it never
        // changes a directory.
        // SAFETY: a handle that the library defines, and a string that ends with zero.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"posix_spawn_file_actions_addchdir_np".as_ptr()) };
        if found.is_null() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: a C library that has a function of this name documents this signature for it.
        let add = unsafe { std::mem::transmute::<*mut libc::c_void, AddDirectory>(found) };
        // SAFETY: an initialised object and a string that ends with zero, which the call copies.
        checked(unsafe { add(&raw mut self.0, directory.as_ptr()) })
    }

    #[cfg(target_env = "musl")]
    fn change_directory(&mut self, directory: &CStr) -> io::Result<()> {
        // SAFETY: an initialised object and a string that ends with zero, which the call copies.
        checked(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, directory.as_ptr()) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: an initialised object, which is not used afterwards. It cannot fail for one.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// The child's signals and its process group.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new(blocked: &libc::sigset_t, process_group: Option<i32>) -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the call initialises the object that it is given.
        checked(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above, which has succeeded.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let mut all = MaybeUninit::uninit();
        // SAFETY: the call initialises the set that it is given, and cannot fail for a valid pointer.
        let all = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            all.assume_init()
        };
        let mut flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: an initialised object and initialised sets, which the calls copy.
        unsafe {
            checked(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, blocked))?;
            checked(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, &raw const all))?;
        }
        if let Some(group) = process_group {
            flags |= libc::POSIX_SPAWN_SETPGROUP;
            // SAFETY: an initialised object and a number.
            checked(unsafe { libc::posix_spawnattr_setpgroup(&raw mut attributes.0, group) })?;
        }
        let flags = flags.try_into().expect("the flags of this call are those of a short integer");
        // SAFETY: as above.
        checked(unsafe { libc::posix_spawnattr_setflags(&raw mut attributes.0, flags) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: an initialised object, which is not used afterwards. It cannot fail for one.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, WaitOptions, waitpid};
    use std::os::unix::ffi::OsStringExt;

    fn nothing_blocked() -> libc::sigset_t {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the call initialises the set that it is given, and cannot fail for a valid pointer.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        }
    }

    fn code_of(script: &str, directory: Option<&CStr>, descriptors: &[(OwnedFd, RawFd)]) -> io::Result<Option<i32>> {
        let arguments = ["sh", "-c", script].map(|word| CString::new(word).unwrap());
        let blocked = nothing_blocked();
        let spawn = Spawn {
            program: c"/bin/sh",
            arguments: &arguments,
            environment: &[c"NAME=value".to_owned()],
            directory,
            descriptors,
            process_group: None,
            blocked: &blocked,
        };
        let pid = Pid::from_raw(spawn.start()?.cast_signed());
        Ok(waitpid(pid, WaitOptions::empty())?.and_then(|(_, status)| status.exit_status()))
    }

    #[test]
    fn a_program_runs_in_its_directory_with_its_environment_and_its_descriptors() {
        let directory = CString::new(std::env::temp_dir().canonicalize().unwrap().into_os_string().into_vec()).unwrap();
        let script =
            format!("test \"$PWD\" = '{}' && test $NAME = value && test -e /dev/fd/7", directory.to_str().unwrap());
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(code_of(&script, Some(&directory), &[(reader.into(), 7)]).unwrap(), Some(0));
        assert_eq!(code_of("test -e /dev/fd/7", None, &[]).unwrap(), Some(1));
    }

    #[test]
    fn a_directory_or_a_program_that_does_not_exist_is_an_error_at_once() {
        let error = code_of("exit 0", Some(c"/no/such/directory"), &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_number_that_no_descriptor_can_have_is_an_error() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(code_of("exit 0", None, &[(reader.into(), -1)]).is_err());
    }
}
