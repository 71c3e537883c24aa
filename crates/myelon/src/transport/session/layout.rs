//! Which rings a session has, what they are called, and how deep they are.
//!
//! A layout is a value; making one touches no segment.

use super::name::{InvalidSegmentName, validate_segment_name};
use super::tag::compact_session_tag;
use disruptor_mp::schema::NAME_BYTES_MAX;
use disruptor_mp::{MmapTransportLayout, ShapeError};
use std::path::PathBuf;

/// The default prefix of the names of a session's rings.
pub const DEFAULT_TRANSPORT_PREFIX: &str = "vmy";

/// Depth of the ring from the scheduler to all runners, in slots of fixed frames. For a ring of records choose a depth
/// in bytes instead.
pub const DEFAULT_MYELON_RPC_DEPTH: usize = 1024;

/// Depth of a ring from one runner back to the scheduler, in slots of fixed frames. For a ring of records choose a
/// depth in bytes instead.
pub const DEFAULT_MYELON_RESPONSE_DEPTH: usize = 256;

/// Why there is no such layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionLayoutError {
    /// A session has at least one runner.
    #[error("a session has at least one worker, and 0 were asked for")]
    NoRunners,
    /// Without a prefix the rings of two programs with one label would have the same names.
    #[error("the prefix of the session's ring names is empty; give one, such as `vmy`")]
    NoPrefix,
    /// A ring has at least one slot, or one byte.
    #[error("the depth of the {ring} ring is 0: a ring has at least one slot, or one byte for records")]
    NoDepth {
        /// Which depth: `rpc` or `response`.
        ring: &'static str,
    },
    /// There can be no ring of that depth; the source says which is possible.
    #[error("the {ring} ring cannot be made: {source}")]
    Depth {
        /// Which ring: `broadcast` or `response`.
        ring: &'static str,
        /// What is wrong with it.
        r#source: ShapeError,
    },
    /// The content tag of a ring is not valid: see
    /// [`InvalidContentTag`](disruptor_mp::MultiProcessError::InvalidContentTag).
    #[error(
        "the {ring} ring cannot be made: {tag:?} is not a content tag, which has 1 to {NAME_BYTES_MAX} bytes and no character that cannot be seen"
    )]
    ContentTag {
        /// Which ring: `broadcast` or `response`.
        ring: &'static str,
        /// The tag that was given.
        tag: String,
    },
    /// The session has fewer runners. Ranks begin at 0.
    #[error("there is no worker {rank}: the session has {runner_count}, with ranks from 0")]
    NoSuchRank {
        /// The rank that was asked for.
        rank: usize,
        /// How many there are.
        runner_count: usize,
    },
    /// One of the rings would have a name that some systems refuse: the prefix is too long for this number of runners,
    /// or has characters that are not allowed.
    #[error(transparent)]
    Name(#[from] InvalidSegmentName),
}

/// The rings of one session: one from the scheduler to every runner, and one from each runner back.
///
/// ```
/// use myelon::transport::MyelonTransportLayout;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layout = MyelonTransportLayout::for_session("engine-0", 8, 1024, 256)?;
/// assert_eq!(layout.rpc_ring_name(), format!("vmy{}p", layout.session_tag()));
/// assert_eq!(layout.response_ring_name(7), Some(format!("vmy{}r7", layout.session_tag())));
/// # Ok(())
/// # }
/// ```
/// Source: RFC 0009, "Names".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "UncheckedLayout"))]
pub struct MyelonTransportLayout {
    label: String,
    prefix: String,
    session_tag: String,
    runner_count: usize,
    rpc_depth: usize,
    response_depth: usize,
}

/// Refuses a ring of no depth.
pub(super) fn check_depths(rpc_depth: usize, response_depth: usize) -> Result<(), SessionLayoutError> {
    for (ring, depth) in [("rpc", rpc_depth), ("response", response_depth)] {
        if depth == 0 {
            return Err(SessionLayoutError::NoDepth { ring });
        }
    }
    Ok(())
}

/// The same fields before they are checked, so that a configuration file cannot contain what the constructor refuses.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct UncheckedLayout {
    #[serde(default)]
    label: String,
    prefix: String,
    session_tag: String,
    runner_count: usize,
    rpc_depth: usize,
    response_depth: usize,
}

#[cfg(feature = "serde")]
impl TryFrom<UncheckedLayout> for MyelonTransportLayout {
    type Error = SessionLayoutError;

    fn try_from(unchecked: UncheckedLayout) -> Result<Self, SessionLayoutError> {
        let UncheckedLayout { label, prefix, session_tag, runner_count, rpc_depth, response_depth } = unchecked;
        Self { label, prefix, session_tag, runner_count, rpc_depth, response_depth }.checked()
    }
}

impl MyelonTransportLayout {
    /// The rings of the session `label`, whose names begin with [`DEFAULT_TRANSPORT_PREFIX`]. Depths are in slots for
    /// fixed frames and in bytes for records.
    ///
    /// # Errors
    /// [`SessionLayoutError`]: no runners, no depth, no prefix, or a name that becomes too long because there are too
    /// many runners.
    pub fn for_session(
        label: &str,
        runner_count: usize,
        rpc_depth: usize,
        response_depth: usize,
    ) -> Result<Self, SessionLayoutError> {
        Self::for_session_with_prefix(DEFAULT_TRANSPORT_PREFIX, label, runner_count, rpc_depth, response_depth)
    }

    /// [`for_session`](Self::for_session) with names that begin with `prefix`: at most four characters for sixteen
    /// runners.
    ///
    /// # Errors
    /// As `for_session`.
    pub fn for_session_with_prefix(
        prefix: &str,
        label: &str,
        runner_count: usize,
        rpc_depth: usize,
        response_depth: usize,
    ) -> Result<Self, SessionLayoutError> {
        let (label, prefix, session_tag) = (label.to_owned(), prefix.to_owned(), compact_session_tag(label));
        Self { label, prefix, session_tag, runner_count, rpc_depth, response_depth }.checked()
    }

    fn checked(self) -> Result<Self, SessionLayoutError> {
        check_depths(self.rpc_depth, self.response_depth)?;
        if self.prefix.is_empty() {
            return Err(SessionLayoutError::NoPrefix);
        }
        let highest_rank = self.runner_count.checked_sub(1).ok_or(SessionLayoutError::NoRunners)?;
        validate_segment_name(&self.rpc_ring_name())?;
        // Names grow with the rank, so the last one is the longest.
        validate_segment_name(&self.name_of_response_ring(highest_rank))?;
        Ok(self)
    }

    fn name_of_response_ring(&self, rank: usize) -> String {
        format!("{}{}r{rank:x}", self.prefix, self.session_tag)
    }

    /// The name of the session.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The prefix of the rings' names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The tag of the session's label.
    pub fn session_tag(&self) -> &str {
        &self.session_tag
    }

    /// How many runners answer.
    pub fn runner_count(&self) -> usize {
        self.runner_count
    }

    /// Slots, or bytes, of the ring to all runners.
    pub fn rpc_depth(&self) -> usize {
        self.rpc_depth
    }

    /// Slots, or bytes, of each ring back.
    pub fn response_depth(&self) -> usize {
        self.response_depth
    }

    /// The ring from the scheduler to all runners: `{prefix}{tag}p`.
    pub fn rpc_ring_name(&self) -> String {
        format!("{}{}p", self.prefix, self.session_tag)
    }

    /// The ring of urgent messages from the scheduler to all runners, if the session has one: `{prefix}{tag}u`.
    pub fn urgent_ring_name(&self) -> String {
        format!("{}{}u", self.prefix, self.session_tag)
    }

    /// The ring from runner `rank` back: `{prefix}{tag}r{rank:x}`. `None` if there is no such runner.
    pub fn response_ring_name(&self, rank: usize) -> Option<String> {
        (rank < self.runner_count).then(|| self.name_of_response_ring(rank))
    }

    /// The rings back, by rank.
    pub fn response_ring_names(&self) -> impl ExactSizeIterator<Item = String> + '_ {
        (0..self.runner_count).map(|rank| self.name_of_response_ring(rank))
    }

    /// The ring to all runners as a file in `root`.
    pub fn rpc_mmap_layout(&self, root: impl Into<PathBuf>) -> MmapTransportLayout {
        Self::file_of_ring(root, &self.rpc_ring_name())
    }

    /// The ring from runner `rank` back as a file in `root`. `None` if there is no such runner.
    pub fn response_mmap_layout(&self, root: impl Into<PathBuf>, rank: usize) -> Option<MmapTransportLayout> {
        Some(Self::file_of_ring(root, &self.response_ring_name(rank)?))
    }

    /// The file in `root` of a ring with a name that was checked.
    pub(crate) fn file_of_ring(root: impl Into<PathBuf>, ring: &str) -> MmapTransportLayout {
        MmapTransportLayout::new(root, ring).expect("a session's names are stricter than those of files")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::session::SEGMENT_NAME_LIMIT_MACOS;
    use std::collections::HashSet;
    use std::path::Path;

    #[test]
    fn every_ring_has_a_name_of_its_own_that_every_system_takes() {
        let layout = MyelonTransportLayout::for_session("a label of any length, with spaces", 256, 8, 8).unwrap();
        let mut names: HashSet<_> = layout.response_ring_names().collect();
        names.insert(layout.rpc_ring_name());
        assert_eq!(names.len(), 257);
        assert!(names.iter().all(|name| name.len() <= SEGMENT_NAME_LIMIT_MACOS && name.starts_with("vmy")));
        assert!(layout.response_ring_name(255).unwrap().ends_with("rff"));
        assert_eq!(layout.response_ring_name(256), None);
        assert_eq!(layout.response_mmap_layout("/run", 256), None);
        let path = layout.rpc_mmap_layout("/run").ring_path();
        assert_eq!(path, Path::new("/run").join(format!("{}.ring", layout.rpc_ring_name())));
    }

    #[test]
    fn a_layout_that_cannot_be_is_refused_with_the_reason() {
        let layout = |prefix, runners, rpc, response| {
            MyelonTransportLayout::for_session_with_prefix(prefix, "label", runners, rpc, response)
        };
        assert_eq!(layout("vmy", 0, 1, 1), Err(SessionLayoutError::NoRunners));
        assert_eq!(layout("", 1, 1, 1), Err(SessionLayoutError::NoPrefix));
        assert_eq!(layout("vmy", 1, 0, 1), Err(SessionLayoutError::NoDepth { ring: "rpc" }));
        assert_eq!(layout("vmy", 1, 1, 0), Err(SessionLayoutError::NoDepth { ring: "response" }));
        let too_long = |result| matches!(result, Err(SessionLayoutError::Name(InvalidSegmentName::TooLong { .. })));
        assert!(too_long(layout("vmy", 257, 1, 1)));
        assert!(too_long(layout("engine", 1, 1, 1)));
        assert!(layout("vmy4", 16, 1, 1).is_ok() && too_long(layout("vmy4", 17, 1, 1)));
        assert!(matches!(layout("v/y", 1, 1, 1), Err(SessionLayoutError::Name(InvalidSegmentName::Character { .. }))));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn deserialising_a_layout_checks_it() {
        let layout = MyelonTransportLayout::for_session("label", 2, 1024, 256).unwrap();
        let json = serde_json::to_string(&layout).unwrap();
        assert_eq!(serde_json::from_str::<MyelonTransportLayout>(&json).unwrap(), layout);
        let damaged = json.replace("\"runner_count\":2", "\"runner_count\":0");
        assert!(serde_json::from_str::<MyelonTransportLayout>(&damaged).is_err());
    }
}
