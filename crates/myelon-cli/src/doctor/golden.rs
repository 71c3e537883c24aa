//! The whole output for a machine that is prepared in a directory, with calls and directories that are made up.

use super::calls::Calls;
use super::directories::Directory;
use super::machine::Machine;
use super::*;
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::symlink;

const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max file size             4194304              unlimited            bytes     
Max data size             unlimited            unlimited            bytes     
Max stack size            8388608              unlimited            bytes     
Max core file size        0                    unlimited            bytes     
Max resident set          unlimited            unlimited            bytes     
Max processes             96551                96551                processes 
Max open files            128                  1024                 files     
Max locked memory         8388608              8388608              bytes     
Max address space         1073741824           unlimited            bytes     
Max file locks            unlimited            unlimited            locks     
Max pending signals       96551                96551                signals   
Max msgqueue size         819200               819200               bytes     
Max nice priority         0                    0                    
Max realtime priority     0                    0                    
Max realtime timeout      unlimited            unlimited            us        
";

/// A directory that is removed at the end.
struct Root(PathBuf);

impl Root {
    fn new() -> Self {
        Self(std::env::temp_dir().join(testkit::names::unique("doctor")))
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A container in which much is wrong.
fn container() -> Root {
    let root = Root::new();
    root.write(
        "proc/self/status",
        "Pid:\t7\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nSeccomp:\t2\nCpus_allowed_list:\t0-3\n",
    );
    root.write("proc/self/limits", LIMITS);
    root.write("proc/self/cgroup", "0::/pod\n");
    root.write("proc/self/mountinfo", "25 24 0:23 / /dev/shm rw,relatime - tmpfs shm rw,size=65536k\n");
    root.write("proc/self/timens_offsets", "monotonic       86400       5\nboottime        86400       5\n");
    root.write("proc/self/uid_map", "         0     100000      65536\n");
    root.write("proc/meminfo", "SwapFree:  0 kB\nHugePages_Total:  16\nHugepagesize:  2048 kB\n");
    for (name, inode) in
        [("pid", 4_026_532_001_u64), ("ipc", 4_026_532_002), ("time", 4_026_532_003), ("user", 4_026_532_004)]
    {
        root.link(&format!("proc/self/ns/{name}"), &format!("{name}:[{inode}]"));
    }
    root.write("sys/fs/cgroup/cgroup.procs", "");
    for (name, content) in [
        ("cgroup.procs", ""),
        ("memory.max", "536870912\n"),
        ("memory.current", "520093696\n"),
        ("memory.stat", "inactive_file 0\nactive_file 0\nslab_reclaimable 0\n"),
        ("cpu.max", "50000 100000\n"),
        ("cpu.stat", "usage_usec 1\nnr_periods 900\nnr_throttled 12\nthrottled_usec 340000\n"),
    ] {
        root.write(&format!("sys/fs/cgroup/pod/{name}"), content);
    }
    root.write("sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size advise never [deny] force\n");
    for cpu in 0..4 {
        root.write(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"), "powersave\n");
        root.write(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_driver"), "acpi-cpufreq\n");
    }
    root.write("run/systemd/system/.keep", "");
    root.write("etc/systemd/logind.conf", "[Login]\n#RemoveIPC=no\n");
    root.write("usr/lib/systemd/logind.conf.d/10-vendor.conf", "[Login]\nRemoveIPC=yes\n");
    root
}

fn findings(machine: &Machine, directory: &Directory, calls: &Calls) -> Vec<Finding> {
    let mut findings = directory.judge();
    findings.extend(cgroup::Cgroup::gather(machine).judge());
    findings.extend(limits::Inherited::gather(machine).judge());
    findings.extend(calls.judge());
    findings.extend(huge_pages::HugePages::gather(machine).judge());
    findings.extend(governor::Governor::gather(machine).judge());
    findings.extend(namespaces::Namespaces::gather(machine, Some(8)).judge());
    findings.extend(removal::Removal::gather(machine).judge());
    findings
}

fn printed(findings: &[Finding], is_json: bool) -> (ExitCode, String) {
    let mut bytes = Vec::new();
    let code = report(findings, &mut Output::new(&mut bytes, is_json)).unwrap();
    (code, String::from_utf8(bytes).unwrap())
}

/// Compares with a file beside this one. `MYELON_TEST_GOLDEN=write` writes the file.
fn assert_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor/golden").join(name);
    if std::env::var_os("MYELON_TEST_GOLDEN").is_some_and(|value| value == "write") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap();
    assert_eq!(found, wanted, "{name}; MYELON_TEST_GOLDEN=write if the change is meant");
}

#[test]
fn a_container_in_which_much_is_wrong() {
    let root = container();
    let machine = Machine::at(&root.0);
    let mut directory = Directory::fine(SHM);
    let found = directory.found.as_mut().unwrap();
    (found.total_bytes, found.free_bytes, found.free_inodes) = (64 << 20, 12 << 20, 3);
    (found.foreign.files, found.foreign.unreadable) = (2, 1);
    found.foreign.owners.insert(1001);
    found.trial.as_mut().unwrap().locks = Err(Errno::PERM);
    let calls = Calls {
        futex: Ok(()),
        futex_waitv: Err(Errno::NOSYS),
        eventfd: Ok(()),
        memfd: Err(Errno::PERM),
        membarrier: Err(Errno::PERM),
        is_filtered: machine.status("Seccomp").map(|mode| mode != "0"),
    };
    let findings = findings(&machine, &directory, &calls);
    for finding in findings.iter().filter(|finding| finding.level > Level::NotKnown) {
        assert!(!finding.fixes.is_empty(), "{finding}");
    }
    for (name, is_json) in [("container.txt", false), ("container.json", true)] {
        let (code, text) = printed(&findings, is_json);
        assert_eq!(code, ExitCode::from(EXIT_FOUND));
        assert_golden(name, &text);
    }
}

/// With an empty root there is no file of the machine. No check may then say that all is well.
#[test]
fn what_a_machine_does_not_say_is_not_known() {
    let root = Root::new();
    let machine = Machine::at(&root.0);
    let calls = Calls {
        futex: Ok(()),
        futex_waitv: Ok(()),
        eventfd: Ok(()),
        memfd: Ok(()),
        membarrier: Ok(()),
        is_filtered: machine.status("Seccomp").map(|mode| mode != "0"),
    };
    let findings = findings(&machine, &Directory::fine(SHM), &calls);
    let (code, text) = printed(&findings, false);
    assert_eq!(code, ExitCode::SUCCESS, "{text}");
    assert_golden("nothing.txt", &text);
}
