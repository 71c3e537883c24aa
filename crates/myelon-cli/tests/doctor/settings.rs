//! Settings of the whole machine: systemd's and the size of pages in a mount namespace of the command's own, those of
//! the kernel in a prepared directory.

use crate::need;
use crate::report::{AS_USER, Directory, Report, can_be_user, can_mount, doctor, doctor_after};
use std::path::Path;

/// The command as a user, with systemd's settings in a file and in one beside it.
fn logind(main: &str, beside: &str) -> Report {
    let script = format!(
        "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system
        mount -t tmpfs -o mode=755 tmpfs /etc/systemd; mkdir /etc/systemd/logind.conf.d
        printf '[Login]\\n{main}\\n' > /etc/systemd/logind.conf
        printf '[Login]\\n{beside}\\n' > /etc/systemd/logind.conf.d/50-test.conf
        set -- {} \"$@\"",
        AS_USER.join(" ")
    );
    Report::of(&mut doctor_after(&script, Path::new("/")))
}

#[test]
fn removal_when_a_user_logs_out() {
    need!(can_mount(), can_be_user());
    if !Path::new("/etc/systemd").is_dir() {
        testkit::skip!("there is no /etc/systemd to mount at");
    }
    logind("RemoveIPC=yes", "").says("remove-ipc", "warning", "RemoveIPC=yes in /etc/systemd/logind.conf");
    logind("RemoveIPC=no", "").says("remove-ipc", "ok", "RemoveIPC=no in /etc/systemd/logind.conf");
    logind("RemoveIPC=no", "RemoveIPC=true").says(
        "remove-ipc",
        "warning",
        "in /etc/systemd/logind.conf.d/50-test.conf",
    );
    logind("RemoveIPC=yes", "RemoveIPC=no").says("remove-ipc", "ok", "RemoveIPC=no");
}

#[test]
fn removal_spares_system_users() {
    let root = Directory::new();
    root.write("run/systemd/system/.keep", "");
    root.write("proc/self/status", "Uid:\t997\t997\t997\t997\n");
    let report = || Report::of(doctor().arg("--root").arg(root.path()));
    report().says("remove-ipc", "ok", "user 997 is a system user");
    root.write("etc/login.defs", "SYS_UID_MAX 499\n");
    report().says("remove-ipc", "warning", "RemoveIPC is not set, which means yes");
}

#[test]
fn where_systemd_is_out_of_sight_its_settings_are_not_known() {
    let root = Directory::new();
    let report = || Report::of(doctor().arg("--root").arg(root.path()));
    report().says("remove-ipc", "not_known", "/proc/1/comm could not be read");
    root.write("proc/1/comm", "systemd\n");
    report().says("remove-ipc", "not_known", "another mount namespace");
    root.write("proc/1/comm", "tini\n");
    report().says("remove-ipc", "ok", "systemd does not run here");
}

#[test]
fn huge_pages_are_an_option_of_the_mount() {
    need!(can_mount());
    let shm = |options: &str| {
        let script = format!("mount -t tmpfs -o size=1g{options} tmpfs /dev/shm");
        Report::of(&mut doctor_after(&script, Path::new("/")))
    };
    let setting = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
    if setting.is_empty() || setting.contains("[deny]") || setting.contains("[force]") {
        testkit::skip!("this kernel decides for all mounts: {setting}");
    }
    shm("").says("huge-pages", "note", "/dev/shm has huge=never");
    shm(",huge=within_size").says("huge-pages", "ok", "/dev/shm has huge=within_size");
}

#[test]
fn huge_pages_that_the_kernel_denies_or_sets_aside() {
    let root = Directory::new();
    root.write("proc/self/mountinfo", "25 24 0:23 / /dev/shm rw - tmpfs shm rw,size=65536k,huge=always\n");
    root.write("proc/meminfo", "HugePages_Total:     512\nHugepagesize:       2048 kB\n");
    let report = |setting| {
        root.write("sys/kernel/mm/transparent_hugepage/shmem_enabled", setting);
        Report::of(doctor().arg("--root").arg(root.path()))
    };
    report("always within_size advise never [deny] force\n").says("huge-pages", "note", "shmem_enabled is deny");
    let fine = report("always within_size advise [never] deny force\n");
    fine.says("huge-pages", "ok", "huge=always");
    fine.says("hugetlb-pool", "note", "1.0 GiB are set aside");
}

#[test]
fn governors() {
    let root = Directory::new();
    let report = |governor, driver| {
        for (file, content) in [("scaling_governor", governor), ("scaling_driver", driver)] {
            root.write(&format!("sys/devices/system/cpu/cpu0/cpufreq/{file}"), content);
        }
        Report::of(doctor().arg("--root").arg(root.path()))
    };
    report("performance\n", "acpi-cpufreq\n").says("governor", "ok", "performance (acpi-cpufreq) on 1 processors");
    report("schedutil\n", "acpi-cpufreq\n").says("governor", "note", "schedutil");
    report("powersave\n", "intel_pstate\n").says("governor", "note", "powersave (intel_pstate)");
    report("powersave\n", "acpi-cpufreq\n").says("governor", "warning", "powersave (acpi-cpufreq)");
}
