//! The directories that hold rings: what file system, how much space, what a file in them can do, and whose files are
//! there.

use super::calls::{Answer, errno, refused};
use super::finding::{Finding, On, size};
use super::machine::{Machine, message};
use disruptor_mp::probe;
use procfs::process::MountInfos;
use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where rings with a name are.
pub(crate) const SHM: &str = "/dev/shm";

/// What a container gets from Docker and from others that is not told a size.
const CONTAINER_DEFAULT_BYTES: u64 = 64 << 20;
/// Less free space than this is soon used up: a few rings of some MiB.
const SPACE_LOW_BYTES: u64 = 32 << 20;
/// A ring of a few small events.
const SPACE_NONE_BYTES: u64 = 64 << 10;
/// A ring takes one inode, or two while it is replaced.
const INODES_LOW: u64 = 64;
/// How many files of a directory are looked at.
const FILES_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) found: Result<Found, Errno>,
    pub(crate) us: Result<u32, String>,
}

/// What is known about a directory that exists.
#[derive(Debug)]
pub(crate) struct Found {
    /// The name of the file system.
    pub(crate) file_system: Result<String, String>,
    /// 0: no limit.
    pub(crate) total_bytes: u64,
    pub(crate) free_bytes: u64,
    /// 0: made on demand.
    pub(crate) inodes: u64,
    pub(crate) free_inodes: u64,
    pub(crate) is_noexec: bool,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) trial: Result<Trial, Errno>,
    pub(crate) foreign: Foreign,
}

/// What a file in it could do.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) nameless: bool,
    pub(crate) space: Answer,
    pub(crate) mapping: Answer,
    pub(crate) locks: Answer,
}

/// The regular files of other users.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    pub(crate) files: u64,
    pub(crate) rings: u64,
    /// How many we may not read, so that it is not known whether they are rings.
    pub(crate) unreadable: u64,
    pub(crate) owners: BTreeSet<u32>,
}

impl Directory {
    pub(crate) fn gather(machine: &Machine, path: &Path) -> Self {
        let us = machine.user();
        let found = look(&machine.mounts(), path, us.clone().ok());
        Self { path: path.to_owned(), found, us }
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        let findings = match &self.found {
            Err(error) => vec![self.judge_missing(*error)],
            Ok(found) => {
                let mut findings = vec![judge_file_system(found), self.judge_space(found), self.judge_inodes(found)];
                findings.extend(self.judge_trial(found));
                findings.push(self.judge_owners(found));
                findings
            }
        };
        findings.into_iter().map(|finding| finding.about(&self.path)).collect()
    }

    fn judge_missing(&self, error: Errno) -> Finding {
        let path = self.path.display();
        let finding = Finding::problem("directory", message(error.raw_os_error()), "no ring can be there");
        match error {
            Errno::NOENT => {
                let finding = finding
                    .fix(On::Host, format!("mkdir -m 1777 {path} && mount -t tmpfs -o size=1G,mode=1777 tmpfs {path}"));
                finding.fix(On::Kubernetes, format!("a volume emptyDir: {{ medium: Memory }} at {path}"))
            }
            Errno::NOTDIR => finding.fix(On::Program, "the path of a directory"),
            _ => finding.fix(On::Host, format!("chmod o+x on the directories above {path}")),
        }
    }

    fn judge_space(&self, found: &Found) -> Finding {
        let (check, path) = ("space", self.path.display());
        let is_memory = matches!(found.file_system.as_deref(), Ok("tmpfs" | "ramfs"));
        if found.total_bytes == 0 {
            return Finding::note(check, "it has no limit", "rings and other files there can take all memory")
                .fix(On::Host, format!("mount -o remount,size=1G {path} (tmpfs; a ramfs cannot have a limit)"));
        }
        let text = format!("{} of {} are free", size(found.free_bytes), size(found.total_bytes));
        let finding = match (found.free_bytes, found.total_bytes) {
            (free, _) if free < SPACE_NONE_BYTES => {
                Finding::problem(check, text, "no ring can be made: creation fails with `no space`")
            }
            (_, total) if is_memory && total <= CONTAINER_DEFAULT_BYTES => Finding::warning(
                check,
                text,
                "this is as much as a container gets that is not told a size: rings of some MiB soon fill it, and \
                 creation fails with `no space`",
            ),
            (free, _) if free < SPACE_LOW_BYTES => Finding::warning(
                check,
                text,
                "rings reserve all their space when they are made: larger ones fail with `no space`",
            ),
            _ => return Finding::ok(check, text),
        };
        if !is_memory {
            return finding.fix(
                On::Host,
                format!("remove files of that file system (df {path}), or give rings a path on a tmpfs"),
            );
        }
        let finding = finding.fix(
            On::Host,
            format!("mount -o remount,size=1G {path}, and in /etc/fstab: tmpfs {path} tmpfs size=1G,mode=1777 0 0"),
        );
        let finding = match self.path == Path::new(SHM) {
            true => finding.fix(On::Docker, "--shm-size 1g"),
            false => finding.fix(On::Docker, format!("--mount type=tmpfs,destination={path},tmpfs-size=1g")),
        };
        finding
            .fix(On::Kubernetes, format!("a volume emptyDir: {{ medium: Memory, sizeLimit: 1Gi }} at {path}"))
            .fix(On::Systemd, format!("TemporaryFileSystem={path}:size=1G for a unit of its own"))
    }

    fn judge_inodes(&self, found: &Found) -> Finding {
        let (check, path) = ("inodes", self.path.display());
        if found.inodes == 0 {
            return Finding::ok(check, "there is no limit");
        }
        let text = format!("{} of {} are free", found.free_inodes, found.inodes);
        let means = "each ring takes one inode, and two while it is replaced: creation fails with `no space`";
        let finding = match found.free_inodes {
            0 => Finding::problem(check, text, means),
            free if free < INODES_LOW => Finding::warning(check, text, means),
            _ => return Finding::ok(check, text),
        };
        match found.file_system.as_deref() {
            Ok("tmpfs") => finding.fix(On::Host, format!("mount -o remount,nr_inodes=100k {path}")).fix(
                On::Docker,
                "docker volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=1g,nr_inodes=100k rings",
            ),
            _ => finding.fix(On::Host, format!("remove files of that file system (df -i {path})")),
        }
    }

    fn judge_trial(&self, found: &Found) -> Vec<Finding> {
        let path = self.path.display();
        let trial = match &found.trial {
            Ok(trial) => trial,
            Err(error) => {
                let text = format!("no file could be made: {}", message(error.raw_os_error()));
                let means = "no ring can be made here, and none can be joined: a consumer writes how far it has read";
                let access = match *error {
                    Errno::ROFS => Finding::problem("access", "it is mounted read-only", means)
                        .fix(On::Host, format!("mount -o remount,rw {path}"))
                        .fix(On::Docker, format!("-v VOLUME:{path} without :ro, and not below a --read-only root"))
                        .fix(On::Kubernetes, "volumeMounts without readOnly: true")
                        .fix(On::Systemd, format!("ReadWritePaths={path}")),
                    Errno::ACCESS | Errno::PERM => Finding::problem(
                        "access",
                        format!("mode {:04o}, user {}: {text}", found.mode & 0o7777, found.owner),
                        "no ring can be made here",
                    )
                    .fix(On::Host, format!("chgrp GROUP {path} && chmod 2770 {path}, with a group of all its users"))
                    .fix(On::Docker, "--user with the owner of the directory")
                    .fix(On::Kubernetes, "securityContext: { runAsUser: OWNER, fsGroup: GROUP }")
                    .fix(On::Systemd, "User= or SupplementaryGroups= with one that may write there"),
                    Errno::MFILE | Errno::NFILE => {
                        Finding::problem("access", text, "a process has no descriptors left")
                            .fix(On::Shell, "ulimit -n 4096")
                    }
                    // The findings on space and inodes say which.
                    _ => Finding::not_known("access", text),
                };
                let why = "no file could be made";
                let others = ["reserve", "mapping", "locks"].map(|check| Finding::not_known(check, why));
                return std::iter::once(access).chain(others).collect();
            }
        };
        let access = match trial.nameless {
            true if found.is_noexec => Finding::ok("access", "files can be made; noexec does not matter to rings"),
            true => Finding::ok("access", "files can be made"),
            false => Finding::note(
                "access",
                "files cannot be made without a name (O_TMPFILE)",
                "a ring is visible before it is complete: a process that opens it waits for its creator",
            )
            .fix(On::Host, format!("mount -t tmpfs -o size=1G,mode=1777 tmpfs {path}")),
        };
        vec![access, self.judge_reserve(trial.space), self.judge_mapping(trial), self.judge_locks(trial.locks)]
    }

    fn judge_reserve(&self, answer: Answer) -> Finding {
        let check = "reserve";
        let Err(error) = answer else { return Finding::ok(check, "space can be reserved") };
        let found = format!("4 KiB could not be reserved: {}", message(error.raw_os_error()));
        match error {
            Errno::NOSPC => Finding::not_known(check, found),
            Errno::FBIG => Finding::problem(check, found, "no ring can be made; see rlimit-fsize")
                .fix(On::Shell, "ulimit -f unlimited"),
            Errno::OPNOTSUPP => Finding::problem(
                check,
                found,
                "only `sparse` rings can be made, and they end in SIGBUS when the file system is full",
            )
            .fix(On::Program, "a path on a tmpfs, on ext4 or on xfs"),
            _ => refused(Finding::problem(check, found, "no ring can be made"), &["fallocate"], error),
        }
    }

    fn judge_mapping(&self, trial: &Trial) -> Finding {
        let check = "mapping";
        match trial.mapping {
            Ok(()) => Finding::ok(check, "files can be mapped for several processes"),
            Err(_) if trial.space.is_err() => Finding::not_known(check, "there was no space to map"),
            Err(error) => {
                let found = format!("a file could not be mapped: {}", message(error.raw_os_error()));
                match error {
                    Errno::NOMEM => {
                        Finding::problem(check, found, "no ring can be used").fix(On::Shell, "ulimit -v unlimited")
                    }
                    _ => Finding::problem(check, found, "no ring can be used").fix(On::Program, "a path on a tmpfs"),
                }
            }
        }
    }

    fn judge_locks(&self, answer: Answer) -> Finding {
        let check = "locks";
        let Err(error) = answer else { return Finding::ok(check, "locks of open files work (F_OFD_SETLK)") };
        let found = format!("locks of open files are refused: {}", message(error.raw_os_error()));
        let means = "no ring can be made or joined: these locks say whether a process lives";
        let finding = Finding::problem(check, found, means);
        match error {
            Errno::NOLCK | Errno::OPNOTSUPP => finding.fix(On::Program, "a path on a tmpfs, on ext4 or on xfs"),
            _ => refused(finding, &["fcntl"], error),
        }
    }

    fn judge_owners(&self, found: &Found) -> Finding {
        let (check, path) = ("owners", self.path.display());
        let us = match &self.us {
            Ok(us) => *us,
            Err(why) => return Finding::not_known(check, why),
        };
        let (is_sticky, for_all) = (found.mode & 0o1000 != 0, found.mode & 0o002 != 0);
        let mode = format!("mode {:04o}", found.mode & 0o7777);
        if for_all && !is_sticky {
            return Finding::warning(
                check,
                format!("{mode}: every user may write, and it is not sticky"),
                "every user may remove a ring, or replace it by another file",
            )
            .fix(On::Host, format!("chmod +t {path}"));
        }
        let foreign = &found.foreign;
        if foreign.files == 0 {
            return Finding::ok(check, format!("{mode}, no files of other users"));
        }
        let owners: Vec<_> = foreign.owners.iter().map(u32::to_string).collect();
        let files = format!(
            "{mode}, {} files of other users ({}): {} rings, {} that cannot be read",
            foreign.files,
            owners.join(", "),
            foreign.rings,
            foreign.unreadable
        );
        if !is_sticky || us == 0 || us == found.owner || foreign.rings + foreign.unreadable == 0 {
            return Finding::ok(check, files);
        }
        Finding::warning(
            check,
            files,
            format!(
                "user {us} cannot replace or remove them: a producer that finds a ring of another user under its \
                 name fails with `NotOwner`"
            ),
        )
        .fix(
            On::Host,
            format!(
                "as the owner or as root, for each ring that is left: rm {path}/NAME, after no process \
             has it open (fuser {path}/NAME)"
            ),
        )
        .fix(
            On::Program,
            "rings in a directory that belongs to a group of all producers (chmod 2770), with \
             CreateOptions::group",
        )
    }
}

fn judge_file_system(found: &Found) -> Finding {
    let check = "file-system";
    let name = match &found.file_system {
        Ok(name) => name.as_str(),
        Err(why) => return Finding::not_known(check, why),
    };
    let finding = match name {
        "tmpfs" => return Finding::ok(check, name),
        "ramfs" => Finding::warning(
            check,
            name,
            "it has no limit: rings and other files there can take all memory of the machine",
        ),
        "hugetlbfs" => Finding::problem(check, name, "files there cannot be written to, so that no ring can be made"),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "virtiofs" | "ceph" | "lustre" | "gfs2" | "ocfs2" => {
            Finding::problem(
                check,
                name,
                "memory is not shared between machines, and locks can outlive a process: rings there do not work",
            )
        }
        name if name.starts_with("fuse") => Finding::warning(
            check,
            name,
            "a program decides whether all processes see the same memory, and whether locks and reserved space hold",
        ),
        "ext4" | "ext3" | "ext2" | "xfs" => Finding::note(
            check,
            name,
            "the pages of rings are written to the disk now and then, which delays writers of that moment",
        ),
        _ => Finding::warning(
            check,
            name,
            "space there may not be reserved although the system says so: a full file system then ends in SIGBUS; \
                 pages are written to the disk now and then",
        ),
    };
    finding
        .fix(On::Program, "rings with a name, which are in /dev/shm, or a path on a tmpfs")
        .fix(On::Docker, "--ipc shareable --shm-size 1g, or a volume of type tmpfs")
        .fix(On::Kubernetes, "a volume emptyDir: { medium: Memory, sizeLimit: 1Gi }")
}

fn look(mounts: &Result<MountInfos, String>, path: &Path, us: Option<u32>) -> Result<Found, Errno> {
    let metadata = errno(fs::metadata(path))?;
    if !metadata.is_dir() {
        return Err(Errno::NOTDIR);
    }
    let space = rustix::fs::statvfs(path)?;
    let trial = errno(probe::directory_trial(path)).map(|trial| Trial {
        nameless: trial.nameless,
        space: errno(trial.space),
        mapping: errno(trial.mapping),
        locks: errno(trial.locks),
    });
    let real = errno(fs::canonicalize(path))?;
    let file_system = mounts.as_ref().map_err(Clone::clone).and_then(|mounts| {
        // A later mount covers an earlier one at the same place.
        let around = mounts.0.iter().filter(|mount| real.starts_with(&mount.mount_point));
        let nearest = around.max_by_key(|mount| mount.mount_point.as_os_str().as_bytes().len());
        nearest
            .map(|mount| mount.fs_type.clone())
            .ok_or_else(|| format!("/proc/self/mountinfo has no mount for {}", path.display()))
    });
    Ok(Found {
        file_system,
        total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        inodes: space.f_files,
        free_inodes: space.f_ffree,
        is_noexec: space.f_flag.contains(StatVfsMountFlags::NOEXEC),
        mode: metadata.mode(),
        owner: metadata.uid(),
        trial,
        foreign: us.map(|us| foreign(path, us)).unwrap_or_default(),
    })
}

/// Looks at the files of other users than `us`.
fn foreign(directory: &Path, us: u32) -> Foreign {
    let mut foreign = Foreign::default();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().take(FILES_MAX) {
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() || metadata.uid() == us {
            continue;
        }
        foreign.files += 1;
        foreign.owners.insert(metadata.uid());
        // It may be another object by now, so opening must not wait for a writer of a FIFO.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut start = [0; 64];
        let read = rustix::fs::open(entry.path(), flags, Mode::empty())
            .and_then(|file| rustix::io::pread(file, &mut start, 0));
        match read {
            Ok(len) if probe::is_ring(&start[..len]) => foreign.rings += 1,
            Ok(_) => {}
            Err(_) => foreign.unreadable += 1,
        }
    }
    foreign
}

/// For tests that judge a directory that does not exist.
#[cfg(test)]
impl Directory {
    /// A directory with nothing wrong.
    pub(super) fn fine(path: &str) -> Self {
        let trial = Trial { nameless: true, space: Ok(()), mapping: Ok(()), locks: Ok(()) };
        let found = Found {
            file_system: Ok("tmpfs".into()),
            total_bytes: 8 << 30,
            free_bytes: 4 << 30,
            inodes: 1_000_000,
            free_inodes: 999_000,
            is_noexec: false,
            mode: 0o41777,
            owner: 0,
            trial: Ok(trial),
            foreign: Foreign::default(),
        };
        Self { path: path.into(), found: Ok(found), us: Ok(1000) }
    }
}
