//! Programs whose system calls the kernel refuses, as a container's seccomp profile does.

use std::process::Command;

use crate::raw;

/// A system call that is refused.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// Its number.
    pub call: i64,
    /// Only calls in which the low half of that argument, counted from 0, has that value; `None`: all.
    pub argument: Option<(u8, u32)>,
    /// The error that it gets.
    pub errno: i32,
}

/// Lets `command` run with `refusals`. The filter knows the numbers of this architecture only.
pub fn refuse(command: &mut Command, refusals: &[Refusal]) {
    // `seccomp_data`: the number of the call, the architecture, the instruction, six arguments of 64 bits.
    const NUMBER: u32 = 0;
    let argument_low = |index: u8| 16 + 8 * u32::from(index) + if cfg!(target_endian = "little") { 0 } else { 4 };
    let load = |offset| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0);
    let skip_unless = |value, skipped| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, skipped);
    let answer = |answer| step(libc::BPF_RET | libc::BPF_K, answer, 0);
    let mut program = Vec::new();
    for refusal in refusals {
        let refused = answer(libc::SECCOMP_RET_ERRNO | refusal.errno.unsigned_abs());
        let number = u32::try_from(refusal.call).expect("system calls have small numbers");
        program.push(load(NUMBER));
        match refusal.argument {
            None => program.extend([skip_unless(number, 1), refused]),
            Some((index, value)) => {
                program.extend([skip_unless(number, 3), load(argument_low(index)), skip_unless(value, 1), refused])
            }
        }
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    raw::filter_calls(command, program);
}

/// An instruction that skips `skipped` others if its comparison fails.
fn step(code: u32, k: u32, skipped: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: skipped, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_fails_and_others_do_not() {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 22 && ! cd /"]);
        refuse(&mut command, &[Refusal { call: libc::SYS_chdir, argument: None, errno: libc::EPERM }]);
        assert!(command.status().expect("a shell starts").success());
    }
}
