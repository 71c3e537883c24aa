//! What a worker must know to join, as a value and as one line of text.
//!
//! The program that starts a worker makes it, and the worker reads it.

use super::error::WorkerJoinError;
use crate::transport::text::{Fields, InvalidConfigText, Writer};
use crate::transport::{MyelonTransportLayout, RunnerMyelonTransportConfig};
use disruptor_mp::liveness::process::InheritedPipe;
use disruptor_mp::segment::Title;
use disruptor_mp::{CreateOptions, Place};
use myelon_process::orphan::Parent;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// `MYELON_INVITATION`, the environment variable with the [`Invitation`] of a worker, as its line of text.
///
/// A scheduler that starts its workers ([`Workers::spawned`](super::Workers::spawned)) sets it for each of them. A
/// program of yours that starts workers sets it to
/// [`Topology::invitation`](super::Topology::invitation)`(rank)?.to_string()`. The worker reads it with
/// [`Invitation::from_environment`]. Neither is told anything else: the line has rank, rings, sizes and directory.
pub const INVITATION_VARIABLE: &str = "MYELON_INVITATION";

/// The beginning of an invitation's line.
const WHAT: &str = "myelon-worker";

/// There are no names for more workers. A line written by hand may claim more.
const RANKS_MAX: usize = 256;

/// Version of its fields, and of the steps by which the two sides meet.
const VERSION: u32 = 3;

/// What one worker must know to join its topology.
///
/// `Display` writes it as one line of printable characters without blanks, quotes or anything else that a shell, an
/// environment or JSON would have to escape. `FromStr` reads it back, or says what is wrong with the line.
/// Source: RFC 0009, "The line".
///
/// ```
/// use myelon::topology::{Invitation, Topology};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let topology = Topology::new("tp-engine", 2usize)?;
/// // For a worker that another process starts: `MYELON_INVITATION={line} ./worker`.
/// let line = topology.invitation(1)?.to_string();
/// let read: Invitation = line.parse()?;
/// assert_eq!((read.label(), read.rank(), read.worker_count()), ("tp-engine", 1, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "String", try_from = "String")
)]
pub struct Invitation {
    pub(super) rank: usize,
    pub(super) worker_count: usize,
    /// The user's name for the session.
    pub(super) label: String,
    pub(super) rings: RunnerMyelonTransportConfig,
    pub(super) directory: Option<PathBuf>,
    pub(super) message_limit_bytes: Option<usize>,
    pub(super) broadcast_tag: Option<String>,
    pub(super) response_tag: Option<String>,
    /// How the worker makes its ring.
    pub(super) options: RingOptions,
    /// The ring of urgent messages, if there is one.
    pub(super) urgent: Option<UrgentRing>,
    pub(super) patience: Duration,
    /// The scheduler's process, if it started this worker itself.
    pub(super) parent: Option<Parent>,
    /// The pipe into which a child of the scheduler writes why it could not join.
    pub(super) pipe: Option<InheritedPipe>,
}

impl Invitation {
    /// The invitation that [`Topology::launch`](super::Topology::launch) has left for this process in
    /// [`INVITATION_VARIABLE`].
    ///
    /// # Errors
    /// `NotInvited` if the variable is not set, `InvitationVariable` if its value is no invitation.
    pub fn from_environment() -> Result<Self, WorkerJoinError> {
        match std::env::var_os(INVITATION_VARIABLE) {
            Some(line) => {
                let value = line.to_string_lossy().into_owned();
                value.parse().map_err(|source| WorkerJoinError::InvitationVariable { value, source })
            }
            None => Err(WorkerJoinError::NotInvited),
        }
    }

    /// Which worker this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many workers the topology has.
    pub fn worker_count(&self) -> usize {
        self.worker_count
    }

    /// Its two rings.
    pub fn rings(&self) -> &RunnerMyelonTransportConfig {
        &self.rings
    }

    /// The name of the session.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The consumer id under which the worker reads the broadcast ring and comes back: `tp-engine, rank 1`.
    pub fn consumer_id(&self) -> String {
        worker_id(&self.label, self.rank)
    }

    pub(super) fn broadcast_place(&self) -> Place {
        place(self.directory.as_ref(), &self.rings.rpc_ring_name, Title::new(&self.label, None))
    }

    pub(super) fn urgent_place(&self, ring: &UrgentRing) -> Place {
        place(self.directory.as_ref(), &ring.name, Title::new(&self.label, None))
    }

    pub(super) fn response_place(&self) -> Place {
        self.place_of(&self.rings.response_ring_name, self.rank)
    }

    fn place_of(&self, response_ring: &str, rank: usize) -> Place {
        place(self.directory.as_ref(), response_ring, Title::new(&self.label, Some(rank as u32)))
    }

    /// The places of all workers' response rings, derived from the name of our own, which ends with our rank.
    pub(super) fn response_places(&self) -> impl Iterator<Item = Place> + '_ {
        let name = &self.rings.response_ring_name;
        let stem = name.strip_suffix(&format!("{:x}", self.rank));
        let known = if stem.is_some() { 0..self.worker_count.min(RANKS_MAX) } else { self.rank..self.rank + 1 };
        known.map(move |rank| match stem {
            Some(stem) => self.place_of(&format!("{stem}{rank:x}"), rank),
            None => self.response_place(),
        })
    }
}

/// The consumer id of worker `rank` in the broadcast ring, which is the user's name for the worker.
pub(super) fn worker_id(label: &str, rank: usize) -> String {
    format!("{}{rank}", worker_id_prefix(label))
}

/// The common beginning of all workers' consumer ids in the broadcast ring.
pub(super) fn worker_id_prefix(label: &str) -> String {
    of_session(label, "rank ")
}

/// The consumer id of the scheduler in every response ring.
pub(super) fn scheduler_id(label: &str) -> String {
    of_session(label, "scheduler")
}

/// The id of `who` in the session `label`, with the label cut to what a segment stores.
fn of_session(label: &str, who: &str) -> String {
    let title = Title::new(label, None);
    if title.is_empty() { who.to_owned() } else { format!("{title}, {who}") }
}

/// The place of a ring: in shared memory, or a file in `directory`. [`MyelonTransportLayout`] gives its name; `title`
/// is the name for users.
pub(super) fn place(directory: Option<&PathBuf>, ring: &str, title: Title) -> Place {
    let place = match directory {
        None => Place::from(ring),
        Some(directory) => Place::from(MyelonTransportLayout::file_of_ring(directory, ring)),
    };
    place.titled(title)
}

/// A ring of urgent messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UrgentRing {
    pub(super) name: String,
    pub(super) depth: usize,
}

/// How the segments of a topology are created, as a part of the invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct RingOptions {
    group: Option<u32>,
    flags: [bool; 4],
}

impl Default for RingOptions {
    fn default() -> Self {
        CreateOptions::default().into()
    }
}

/// The letter for each flag in a line.
const FLAG_LETTERS: [char; 4] = ['s', 'p', 'l', 'd'];

impl RingOptions {
    fn letters(self) -> String {
        FLAG_LETTERS.iter().zip(self.flags).filter(|&(_, is_set)| is_set).map(|(letter, _)| letter).collect()
    }

    fn of_letters(group: Option<u32>, letters: &str) -> Result<Self, String> {
        let options = Self { group, flags: FLAG_LETTERS.map(|letter| letters.contains(letter)) };
        match options.letters() == letters {
            true => Ok(options),
            false => Err(format!("it is not some of the letters `{}`, in this order", String::from_iter(FLAG_LETTERS))),
        }
    }
}

impl From<CreateOptions> for RingOptions {
    fn from(options: CreateOptions) -> Self {
        let (group, flags) = options.to_parts();
        Self { group, flags }
    }
}

impl From<RingOptions> for CreateOptions {
    fn from(RingOptions { group, flags }: RingOptions) -> Self {
        Self::from_parts((group, flags))
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Writer::new(WHAT, VERSION)
            .number("rank", self.rank as u64)
            .number("workers", self.worker_count as u64)
            .number("patience-ms", u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX));
        let mut line = self.rings.write(line.field("label", &self.label));
        if let Some(directory) = &self.directory {
            line = line.field("directory", directory.as_os_str().as_bytes());
        }
        if let Some(limit) = self.message_limit_bytes {
            line = line.number("limit", limit as u64);
        }
        for (name, tag) in [("broadcast-tag", &self.broadcast_tag), ("response-tag", &self.response_tag)] {
            if let Some(tag) = tag {
                line = line.field(name, tag);
            }
        }
        if let Some(group) = self.options.group {
            line = line.number("group", group);
        }
        if self.options.flags.contains(&true) {
            line = line.field("segments", self.options.letters());
        }
        if let Some(UrgentRing { name, depth }) = &self.urgent {
            line = line.field("urgent-ring", name).number("urgent-depth", *depth as u64);
        }
        if let Some(Parent { pid, pid_namespace }) = self.parent {
            line = line.number("parent", pid).number("parent-namespace", pid_namespace);
        }
        if let Some(InheritedPipe { number, device, inode }) = self.pipe {
            line = line.number("pipe", number).number("pipe-device", device).number("pipe-inode", inode);
        }
        f.pad(&line.finish())
    }
}

impl FromStr for Invitation {
    type Err = InvalidConfigText;

    fn from_str(line: &str) -> Result<Self, InvalidConfigText> {
        let mut fields = Fields::of(line, WHAT, VERSION)?;
        let worker_count = fields.number("workers")?;
        let rank = fields.parsed("rank", |text| match text.parse() {
            Ok(rank) if rank < worker_count => Ok(rank),
            _ => Err(format!("there are {worker_count} workers")),
        })?;
        let invitation = Self {
            rank,
            worker_count,
            label: fields.parsed("label", |label| Ok(label.to_owned()))?,
            rings: RunnerMyelonTransportConfig::read(&mut fields)?,
            directory: fields.optional("directory", |bytes| Ok(PathBuf::from(OsString::from_vec(bytes))))?,
            message_limit_bytes: fields.optional_number("limit")?,
            broadcast_tag: fields.optional_text("broadcast-tag")?,
            response_tag: fields.optional_text("response-tag")?,
            options: {
                let group = fields.optional_number("group")?;
                let letters = |bytes: Vec<u8>| RingOptions::of_letters(group, &String::from_utf8_lossy(&bytes));
                fields.optional("segments", letters)?.unwrap_or(RingOptions { group, flags: [false; 4] })
            },
            urgent: match fields.optional_text("urgent-ring")? {
                Some(name) => Some(UrgentRing { name, depth: fields.number("urgent-depth")? }),
                None => None,
            },
            patience: Duration::from_millis(fields.number("patience-ms")?),
            parent: match fields.optional_number("parent")? {
                Some(pid) => Some(Parent { pid, pid_namespace: fields.number("parent-namespace")? }),
                None => None,
            },
            pipe: match fields.optional_number("pipe")? {
                Some(number) => Some(InheritedPipe {
                    number,
                    device: fields.number("pipe-device")?,
                    inode: fields.number("pipe-inode")?,
                }),
                None => None,
            },
        };
        fields.finish()?;
        Ok(invitation)
    }
}

#[cfg(feature = "serde")]
impl From<Invitation> for String {
    fn from(invitation: Invitation) -> Self {
        invitation.to_string()
    }
}

#[cfg(feature = "serde")]
impl TryFrom<String> for Invitation {
    type Error = InvalidConfigText;

    fn try_from(line: String) -> Result<Self, InvalidConfigText> {
        line.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::WaitStrategy;
    use proptest::prelude::*;

    fn any_rings() -> impl Strategy<Value = RunnerMyelonTransportConfig> {
        ("[a-z0-9]{1,14}", 1usize.., "[a-z0-9]{1,14}", 1usize..).prop_map(
            |(rpc_ring_name, rpc_depth, response_ring_name, response_depth)| RunnerMyelonTransportConfig {
                rpc_ring_name,
                rpc_depth,
                response_ring_name,
                response_depth,
                wait_strategy: WaitStrategy::Adaptive,
            },
        )
    }

    fn any_invitation() -> impl Strategy<Value = Invitation> {
        let ranks = (1usize..300).prop_flat_map(|workers| (0..workers, Just(workers)));
        let directory = proptest::option::of(proptest::collection::vec(1u8.., 1..40));
        let tags = (any::<Option<String>>(), any::<Option<String>>());
        let rest =
            (any::<Option<usize>>(), any::<u64>(), any::<Option<(u32, u64)>>(), any::<Option<(u32, u64, u64)>>());
        let options =
            (any::<Option<u32>>(), any::<[bool; 4]>()).prop_map(|(group, flags)| RingOptions { group, flags });
        let urgent = proptest::option::of(("[a-z0-9]{1,14}", any::<usize>()))
            .prop_map(|urgent| urgent.map(|(name, depth)| UrgentRing { name, depth }));
        (ranks, (any::<String>(), any_rings(), options, urgent), directory, tags, rest).prop_map(
            |(
                (rank, worker_count),
                (label, rings, options, urgent),
                directory,
                (broadcast_tag, response_tag),
                (message_limit_bytes, ms, parent, pipe),
            )| Invitation {
                rank,
                worker_count,
                label,
                rings,
                options,
                urgent,
                directory: directory.map(|bytes| PathBuf::from(OsString::from_vec(bytes))),
                message_limit_bytes,
                broadcast_tag,
                response_tag,
                patience: Duration::from_millis(ms),
                parent: parent.map(|(pid, pid_namespace)| Parent { pid, pid_namespace }),
                pipe: pipe.map(|(number, device, inode)| InheritedPipe { number, device, inode }),
            },
        )
    }

    proptest! {
        #[test]
        fn an_invitation_is_what_its_line_says(invitation in any_invitation()) {
            let line = invitation.to_string();
            prop_assert!(line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:,=%".contains(&byte)), "{}", line);
            prop_assert_eq!(line.parse(), Ok(invitation));
        }

        #[test]
        fn no_line_makes_anybody_panic(line in "(myelon-worker:1)?\\PC*") {
            let _ = line.parse::<Invitation>();
        }
    }

    #[test]
    fn a_line_of_an_earlier_version_is_refused_as_that() {
        let error = "myelon-worker:2,rank=0,workers=1,sum=0123456789abcdef".parse::<Invitation>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the text has version 2, this program reads version 3; use one version of the library on both sides"
        );
    }

    #[test]
    fn a_rank_beyond_the_workers_is_named() {
        let rings = RunnerMyelonTransportConfig {
            rpc_ring_name: "p".into(),
            rpc_depth: 1,
            response_ring_name: "r".into(),
            response_depth: 1,
            wait_strategy: WaitStrategy::Block,
        };
        let invitation = Invitation {
            rank: 2,
            worker_count: 2,
            label: "tp-engine".into(),
            rings,
            options: RingOptions::default(),
            urgent: None,
            directory: None,
            message_limit_bytes: None,
            broadcast_tag: None,
            response_tag: None,
            patience: Duration::ZERO,
            parent: None,
            pipe: None,
        };
        let error = invitation.to_string().parse::<Invitation>().unwrap_err();
        assert_eq!(error.to_string(), "the field `rank` is `2`: there are 2 workers");
    }
}
