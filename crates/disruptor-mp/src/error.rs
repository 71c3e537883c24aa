//! Why a ring could not be built or attached to: one enum of situations.
//!
//! As everywhere in this crate, the text of an error contains its causes, each once: a program only has to print
//! `{error}`. The field `source` keeps the cause; [`Error::source`](std::error::Error::source) returns only what the
//! text does not say, so a program that prints the chain prints nothing twice. (`r#source` tells thiserror so.)
//!
//! The errors of a running ring are in `ring::ends::error`.

use crate::counters::TableError;
use crate::liveness::{Ending, ProcessState, went};
use crate::ring::ends::via::InvalidWriteVia;
use crate::ring::identity::InvalidConsumerId;
use crate::ring::membership::JoinError;
use crate::ring::memory::layout::{ShapeError, SizeUnit};
use crate::schema::{Difference, MessageSchema, SchemaError};
use crate::segment::{CreateError, GcError, OpenError, SegmentMake, called_at};
use crate::sync::affinity::usable_cores;
use crate::sync::wait::InvalidWaitSetting;
use std::fmt;
use std::time::Duration;

/// Result of building or attaching.
pub type MultiProcessResult<T> = Result<T, MultiProcessError>;

/// Why a ring could not be built or attached to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MultiProcessError {
    /// There is no ring of that name. Its producer has not started yet, or is gone. Start the producer first, or wait
    /// for it: [`attach_when_ready`](crate::SharedDisruptorBuilder::attach_when_ready).
    #[error("there is no ring at {place}; start its producer first, or wait for it with `attach_when_ready`")]
    NotFound {
        /// The ring.
        place: String,
    },
    /// There is a ring of that name without a producer: a process that died has left it, or its producer has just
    /// closed it. Only for a program that needs a live producer: see
    /// [`attach_when_ready`](crate::SharedDisruptorBuilder::attach_when_ready). Start the producer again.
    #[error(
        "the ring at {place} has no producer: process {pid} {}; start the producer again{}",
        went(*how), and_besides(.difference)
    )]
    NoProducer {
        /// The ring.
        place: String,
        /// Its last producer, as seen in its own pid namespace. It may live, unless `how` says that it was killed.
        pid: u32,
        /// How that producer ended.
        how: Ending,
        /// Why this program cannot use the ring that was left either, if that is so.
        difference: Option<Box<MultiProcessError>>,
    },
    /// There was no ring with a live producer in time. The source says what there was instead. Start the producer, or
    /// wait longer.
    #[error("there was nothing to attach to at {place} within {waited:.1?}: {}", instead(.source))]
    NotReadyInTime {
        /// The ring.
        place: String,
        /// How long the wait was.
        waited: Duration,
        /// Why this process could not attach when it gave up.
        r#source: Box<MultiProcessError>,
    },
    /// This process may not use the ring, or may not create it there. The source says who may, and what to do.
    #[error("{source}")]
    PermissionDenied {
        /// The ring.
        place: String,
        /// The call that was refused.
        r#source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is something under that name, and `create` never opens. Choose another name, or remove it with
    /// [`gc`](crate::gc()), which leaves what a process uses.
    #[error("{place} exists already; choose another name, or remove it (gc) if no process uses it")]
    AlreadyExists {
        /// The ring.
        place: String,
    },
    /// Another producer has the ring. A stopped producer still holds its lock, so it has the ring as well. To take over
    /// from a stopped process, end it first.
    #[error(
        "{place} is in use by producer process {pid}, which is {state}; end that process first, or choose another name"
    )]
    InUse {
        /// The ring.
        place: String,
        /// The producer, as seen in its own pid namespace.
        pid: u32,
        /// What it is doing.
        state: ProcessState,
    },
    /// Something else is in use under that name: a segment of another kind, of another version of the layout, or of
    /// another byte order. End the processes that use it, or choose another name; once no process uses it,
    /// `build_producer` replaces it.
    #[error(
        "{place} is in use and cannot be used by this program: it is {found}; this program needs {wanted}; end the processes that use it, \
         or choose another name"
    )]
    InUseAsOther {
        /// The ring.
        place: String,
        /// What is there.
        found: SegmentMake,
        /// What this program builds.
        wanted: SegmentMake,
    },
    /// There is a counters file whose process is gone, and `build_producer` does not destroy its numbers: build with
    /// [`replace`](crate::SharedDisruptorBuilder::replace), remove it with [`gc`](crate::gc()), or choose another name.
    #[error(
        "{place} is not a ring but a counters file that its process has left; ask for `replace()`, or remove it (gc), if its numbers are not \
         wanted, or choose another name"
    )]
    HoldsCounters {
        /// The ring.
        place: String,
    },
    /// `take_over` of a ring without a consumer to take it over for. Replace the ring instead. (If its producer is
    /// alive, the error is `InUse`.)
    #[error("no live consumer is left in {place}: there is nothing to take over; replace the ring instead")]
    NothingToTakeOver {
        /// The ring.
        place: String,
    },
    /// The ring has other events than this program: `difference` names the first field that is not the same on both
    /// sides. Give both programs the same type, or choose another name.
    #[error("{place} holds other events: {difference}; give both programs the same type")]
    IncompatibleEvent {
        /// The ring.
        place: String,
        /// What is different.
        difference: Box<Difference>,
    },
    /// The events carry other content than this program expects: see
    /// [`with_content_tag`](crate::SharedDisruptorBuilder::with_content_tag). If both tags are schemas of messages, the
    /// text names the first difference in the message, as `#[message]` of the crate `myelon` describes it; give both
    /// programs the same type, or the same tag.
    #[error("{place} carries {}", content(.found, .wanted))]
    IncompatibleContent {
        /// The ring.
        place: String,
        /// The ring's content tag. For a described message, it can be parsed as a
        /// [`MessageSchema`](crate::schema::MessageSchema).
        found: Option<String>,
        /// This program's.
        wanted: Option<String>,
    },
    /// A content tag has 1 to 256 bytes and no character that cannot be seen, or is the schema of a message.
    #[error("{tag:?} cannot be a content tag: it needs 1 to {max} bytes and no character that cannot be seen", max = crate::schema::NAME_BYTES_MAX)]
    InvalidContentTag {
        /// What was given.
        tag: String,
    },
    /// The ring has another size than was asked for. A consumer need not give a size.
    #[error(
        "{place} has {found} {unit}, and this program asks for {wanted}; give both programs the same size, or give consumers none (0)"
    )]
    OtherSize {
        /// The ring.
        place: String,
        /// The unit of both numbers.
        unit: SizeUnit,
        /// What the ring has.
        found: u64,
        /// What was asked for.
        wanted: u64,
    },
    /// The ring has another shape than was asked for. Give both programs the same number.
    #[error("{place}: {field} is {found}, and this program asks for {wanted}; give both programs the same number")]
    IncompatibleLayout {
        /// The ring.
        place: String,
        /// What is different.
        field: &'static str,
        /// What the ring has.
        found: u64,
        /// What was asked for.
        wanted: u64,
    },
    /// The ring keeps its entries for consumers with other ids than this producer does. Give both programs the same
    /// prefix.
    #[error(
        "{place} keeps entries for consumer ids that begin with `{found}`, and this program asks for `{wanted}`; give both programs the \
         same prefix"
    )]
    IncompatiblePrefix {
        /// The ring.
        place: String,
        /// The prefix of those ids; empty: any.
        found: String,
        /// The prefix that this program asks for.
        wanted: String,
    },
    /// The schema in the ring cannot be read: the ring is damaged, or another version of the library made it. End its
    /// processes; then `build_producer` replaces it.
    #[error(
        "{place} has a schema that cannot be read: {source}; end its processes and create it again, with one version of the library"
    )]
    DamagedSchema {
        /// The ring.
        place: String,
        /// Why.
        r#source: SchemaError,
    },
    /// The counters there cannot be read; the source says why. If they are damaged, end the processes of the segment
    /// and create it again.
    #[error(
        "{place} has counters that cannot be read: {source}; if they are damaged, end its processes and create it again"
    )]
    DamagedCounters {
        /// The segment.
        place: String,
        /// Why.
        r#source: TableError,
    },
    /// The segment there is not one that can be used: not ready, damaged, of another version or another kind. The
    /// source says which.
    #[error("{source}")]
    Unusable {
        /// The ring.
        place: String,
        /// Which of the answers it was.
        r#source: OpenError,
    },
    /// The segment of that name belongs to another user, and this process may not remove it. It was not changed: see
    /// [`CreateError::NotOwner`].
    #[error(
        "{place} belongs to user {owner_uid}, and this process (user {}) may not remove it; it was left as it is: run as that user, let \
         that user or root remove it, or choose another name",
        rustix::process::geteuid().as_raw()
    )]
    NotOwner {
        /// The ring.
        place: String,
        /// The user that owns it.
        owner_uid: u32,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is less room than the ring needs. The text and the source say which limit was met, and how to raise it:
    /// the file system is full ([`CreateError::NoSpace`]), or the memory limit of the process's control group is
    /// reached ([`CreateError::MemoryLimit`]), which a larger file system does not change. The limits of file length
    /// and locked memory, and a lack of inodes, are [`Create`](Self::Create).
    #[error("{source}")]
    NoSpace {
        /// The ring.
        place: String,
        /// The length of the whole segment.
        wanted_bytes: u64,
        /// What was free in the file system, or what the memory limit leaves.
        available_bytes: u64,
        /// Which limit was met, and what to do.
        r#source: CreateError,
    },
    /// The consumers that start-up waits for did not join in time. Nothing was published. Start the missing consumers,
    /// or wait longer.
    #[error("{joined} of {wanted} consumers joined {place} within {waited:?}; start the others, or wait longer")]
    CoordinationTimeout {
        /// The ring.
        place: String,
        /// How many consumers had joined.
        joined: usize,
        /// How many the start-up waits for.
        wanted: usize,
        /// How long.
        waited: Duration,
    },
    /// The ring could not be joined.
    #[error("{place} could not be joined: {source}")]
    Join {
        /// The ring.
        place: String,
        /// Why: id in use, table full, and so on.
        r#source: JoinError,
    },
    /// The ring was replaced or removed while we attached. Attach again.
    #[error("{place} was replaced; attach again")]
    Replaced {
        /// The ring.
        place: String,
    },
    /// A configuration with `create` was given to a view, which only reads. Only a producer creates a ring: make one
    /// with the configuration's `builder`.
    #[error(
        "{place} is to be created, which only its producer can do; make a producer with the configuration's `builder`"
    )]
    OnlyProducersCreate {
        /// The ring.
        place: String,
    },
    /// The ring cannot have that shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// `BufferUntilConsumers` was asked to hold more than the ring has room for, or nothing.
    #[error("a start-up buffer holds 1 to {capacity} {unit} in a ring of {capacity}, and {max_buffer} were asked for")]
    BufferSize {
        /// The unit of all numbers.
        unit: SizeUnit,
        /// How much it should hold.
        max_buffer: usize,
        /// The size of the ring.
        capacity: usize,
    },
    /// The list of required consumers is empty, so every managed call would succeed. Name at least one, or publish
    /// unmanaged.
    #[error("no consumer of {place} is required; name at least one, or publish with calls that are not managed")]
    NoRequiredConsumers {
        /// The ring.
        place: String,
    },
    /// Start-up was asked to wait for no consumer. Such a wait ends before any consumer has joined: expect at least
    /// one, or choose [`Immediate`](crate::CoordinationMode::Immediate).
    #[error("start-up of {place} waits for 0 consumers: expect at least one, or choose `CoordinationMode::Immediate`")]
    NoConsumersExpected {
        /// The ring.
        place: String,
    },
    /// Start-up was asked to wait for more consumers than the ring has entries for, so it could only time out.
    #[error(
        "start-up of {place} waits for {expected} consumers, and there are entries for {max_consumers}: expect fewer, or make more entries"
    )]
    TooManyExpected {
        /// The ring.
        place: String,
        /// Consumers to wait for.
        expected: usize,
        /// Entries for them.
        max_consumers: usize,
    },
    /// The ring was replaced several times by one with messages of another type before these consumers had read it, and
    /// each of those rings is kept for them. No further one is kept. Start these consumers, or give up their unread
    /// messages with [`replace`](crate::SharedDisruptorBuilder::replace).
    #[error(
        "{place} was not created: no more older rings can be kept for consumers that have not read them ({}); start these consumers, or give up their unread messages with `replace`",
        .ids.join(", ")
    )]
    TooManyOlderRings {
        /// The ring.
        place: String,
        /// The consumers with entries in it.
        ids: Vec<String>,
    },
    /// Every id begins with an empty prefix, so it selects nothing. Give the prefix, or choose
    /// [`enable_discovery`](crate::SharedDisruptorBuilder::enable_discovery), which counts every consumer.
    #[error("the prefix by which the consumers of {place} are selected is empty: give one, or use `enable_discovery`")]
    EmptyPrefix {
        /// The ring.
        place: String,
    },
    /// The text cannot be a consumer's id.
    #[error(transparent)]
    InvalidConsumerId(#[from] InvalidConsumerId),
    /// `MYELON_WAIT` names no strategy.
    #[error(transparent)]
    InvalidWaitSetting(#[from] InvalidWaitSetting),
    /// `MYELON_WRITE_VIA` names no way to write payloads.
    #[error(transparent)]
    InvalidWriteVia(#[from] InvalidWriteVia),
    /// An environment variable that must be a number has another value, or is too large.
    #[error("{name} is set to `{value}`, which is not a number it can take: use a whole number from 0")]
    InvalidSetting {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A thread could not be pinned to the chosen core: there is no such core, or this process may not use it. Choose
    /// one of `usable`.
    #[error("{}: a thread cannot be pinned to core {}: {source}; {}", asked.asked_by, asked.core, Usable(usable))]
    Core {
        /// The chosen core, and what chose it.
        asked: CoreSetting,
        /// The cores that this process may use; empty if the system did not say.
        usable: Vec<usize>,
        /// What the system said.
        r#source: std::io::Error,
    },
    /// A segment could not be created; the source says why.
    #[error("{source}")]
    Create {
        /// The ring.
        place: String,
        /// Why.
        r#source: CreateError,
    },
    /// A damaged segment has the name and could not be removed; the source says why. Remove it, or choose another name.
    #[error("what is in the place of a new ring could not be removed: {source}")]
    CleanUp {
        /// The ring.
        place: String,
        /// Why.
        r#source: GcError,
    },
    /// The operating system refused something; `source` is its error.
    #[error("{call} failed for {place}: {source}")]
    Os {
        /// The ring.
        place: String,
        /// What was tried.
        call: &'static str,
        /// What it said.
        r#source: std::io::Error,
    },
}

/// The core that a thread is to run on, and what chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoreSetting {
    /// What chose the core: the name of a variable of the environment, or of a function of the builder.
    pub asked_by: &'static str,
    /// The number of the core, from 0, as the system counts them.
    pub core: usize,
}

impl CoreSetting {
    /// The error if the system refuses it.
    pub(crate) fn refused(self, source: std::io::Error) -> MultiProcessError {
        MultiProcessError::Core { asked: self, usable: usable_cores(), source }
    }
}

/// The cores that a process may use, as runs: `this process may use cores 0-3, 8`.
struct Usable<'a>(&'a [usize]);

impl fmt::Display for Usable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("which cores this process may use is not known");
        }
        f.write_str(if self.0.len() == 1 { "this process may use core " } else { "this process may use cores " })?;
        for (index, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match run {
                [only] => write!(f, "{only}")?,
                [first, .., last] => write!(f, "{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

/// What was there instead of a ring with a live producer. The text names the place before this.
fn instead(found: &MultiProcessError) -> String {
    match found {
        // Its own text advises to wait, which was done.
        MultiProcessError::NotFound { .. } => "there is no ring; start its producer, or wait longer".to_owned(),
        found => found.to_string(),
    }
}

/// The rest of the text about a ring without a producer.
fn and_besides(difference: &Option<Box<MultiProcessError>>) -> String {
    difference.as_ref().map_or_else(String::new, |difference| format!("; besides, {difference}"))
}

/// What a ring carries and what is expected, as the rest of a sentence.
fn content(found: &Option<String>, wanted: &Option<String>) -> String {
    let schema = |tag: &Option<String>| MessageSchema::parse(tag.as_ref()?).ok();
    if let (Some(there), Some(here)) = (schema(found), schema(wanted))
        && let Some(difference) = here.first_difference(&there)
    {
        return format!("other messages: {difference}; give both programs the same type");
    }
    let tag = |tag: &Option<String>| match (schema(tag), tag) {
        (Some(schema), _) => {
            let (name, codec) = (schema.type_name(), schema.codec());
            format!("messages `{name}` by {codec} (schema {:016x})", schema.fingerprint())
        }
        (None, Some(tag)) => format!("`{tag}`"),
        (None, None) => "no content tag".to_owned(),
    };
    format!("{}, and this program expects {}; give both programs the same content tag", tag(found), tag(wanted))
}

impl MultiProcessError {
    /// Whether a wait for peers timed out.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::CoordinationTimeout { .. } | Self::NotReadyInTime { .. })
    }

    /// Whether the next try may succeed: there is no ring yet, it is changing hands, or a dead process has left it. For
    /// loops that try by themselves; [`attach_when_ready`](crate::SharedDisruptorBuilder::attach_when_ready) is one.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. }
                | Self::NoProducer { .. }
                | Self::Replaced { .. }
                | Self::Join { source: JoinError::JoinInProgress, .. }
                | Self::Unusable { source: OpenError::NotReady { .. }, .. }
        )
    }

    pub(crate) fn from_open(place: &crate::segment::Place, source: OpenError) -> Self {
        let place = place.to_string();
        match source {
            OpenError::NotFound { .. } => Self::NotFound { place },
            OpenError::PermissionDenied { .. } => Self::PermissionDenied { place, source: Box::new(source) },
            source => Self::Unusable { place, source },
        }
    }

    pub(crate) fn from_create(place: &crate::segment::Place, source: CreateError) -> Self {
        let other = || called_at(place);
        let place = place.to_string();
        match source {
            CreateError::AlreadyExists { .. } => Self::AlreadyExists { place: other() },
            CreateError::PermissionDenied { .. } | CreateError::Group { .. } => {
                Self::PermissionDenied { place, source: Box::new(source) }
            }
            CreateError::NoSpace { wanted_bytes, available_bytes, .. }
            | CreateError::MemoryLimit { wanted_bytes, available_bytes, .. } => {
                Self::NoSpace { place, wanted_bytes, available_bytes, source }
            }
            CreateError::HoldsCounters { .. } => Self::HoldsCounters { place: other() },
            CreateError::NotOwner { owner_uid, source, .. } => Self::NotOwner { place, owner_uid, source },
            source => Self::Create { place, source },
        }
    }

    pub(crate) fn from_join(place: String, source: JoinError) -> Self {
        match source {
            JoinError::Replaced => Self::Replaced { place },
            source => Self::Join { place, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Usable;

    #[test]
    fn the_cores_that_a_process_may_use_are_runs_with_the_right_number() {
        for (cores, text) in [
            (&[][..], "which cores this process may use is not known"),
            (&[3], "this process may use core 3"),
            (&[0, 1], "this process may use cores 0-1"),
            (&[0, 2], "this process may use cores 0, 2"),
            (&[0, 1, 2, 3, 8], "this process may use cores 0-3, 8"),
        ] {
            assert_eq!(Usable(cores).to_string(), text);
        }
    }
}
