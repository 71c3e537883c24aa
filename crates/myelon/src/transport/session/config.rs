//! What one runner must know of its session, and the default depths of rings.

use super::layout::{
    DEFAULT_MYELON_RESPONSE_DEPTH, DEFAULT_MYELON_RPC_DEPTH, MyelonTransportLayout, SessionLayoutError, check_depths,
};
use super::name::validate_segment_name;
use super::text::{self, Fields, InvalidConfigText, Writer};
use disruptor_mp::{InvalidWaitStrategy, WaitStrategy};
use std::fmt;
use std::str::FromStr;

/// The beginning of a runner's line.
const WHAT: &str = "myelon-runner";

/// Version of its fields.
const VERSION: u32 = 1;

/// How deep a session's rings are, and how its endpoints wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "UncheckedConfig"))]
pub struct MyelonTransportConfig {
    /// The depth of the ring to all runners: in slots for frames, in bytes for records.
    pub rpc_depth: usize,
    /// The depth of each ring back: in slots for frames, in bytes for records.
    pub response_depth: usize,
    /// How both ends wait.
    pub wait_strategy: WaitStrategy,
}

/// The same fields before they are checked, so that a configuration file cannot contain what the constructor refuses.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct UncheckedConfig {
    rpc_depth: usize,
    response_depth: usize,
    wait_strategy: WaitStrategy,
}

#[cfg(feature = "serde")]
impl TryFrom<UncheckedConfig> for MyelonTransportConfig {
    type Error = SessionLayoutError;

    fn try_from(unchecked: UncheckedConfig) -> Result<Self, SessionLayoutError> {
        Self::new(unchecked.rpc_depth, unchecked.response_depth, unchecked.wait_strategy)
    }
}

impl MyelonTransportConfig {
    /// A configuration of these depths and this wait strategy.
    ///
    /// # Errors
    /// `NoDepth` if a depth is 0: a ring has at least one slot, or one byte.
    pub fn new(
        rpc_depth: usize,
        response_depth: usize,
        wait_strategy: WaitStrategy,
    ) -> Result<Self, SessionLayoutError> {
        check_depths(rpc_depth, response_depth)?;
        Ok(Self { rpc_depth, response_depth, wait_strategy })
    }

    /// The configuration of a program whose options may be absent: defaults replace absent ones. `busy_spin` is
    /// `Some(true)` for spinning, `Some(false)` for sleeping in the kernel, and `None` for the default.
    ///
    /// # Errors
    /// As [`new`](Self::new), for a depth that was given: the defaults are never 0.
    pub fn resolve(
        rpc_depth: Option<usize>,
        response_depth: Option<usize>,
        busy_spin: Option<bool>,
    ) -> Result<Self, SessionLayoutError> {
        let wait_strategy = match busy_spin {
            Some(true) => WaitStrategy::BusySpin,
            Some(false) => WaitStrategy::Block,
            None => WaitStrategy::Adaptive,
        };
        Self::new(
            rpc_depth.unwrap_or(DEFAULT_MYELON_RPC_DEPTH),
            response_depth.unwrap_or(DEFAULT_MYELON_RESPONSE_DEPTH),
            wait_strategy,
        )
    }
}

impl Default for MyelonTransportConfig {
    fn default() -> Self {
        Self::resolve(None, None, None).expect("no default depth is 0")
    }
}

/// What one runner needs to find its two rings.
///
/// `Display` writes it as one line of text without blanks, quotes or anything else that a shell, an environment or JSON
/// would have to escape, and `FromStr` reads it back. The line has a version and a checksum.
///
/// ```
/// use myelon::transport::{MyelonTransportLayout, WaitStrategy, RunnerMyelonTransportConfig};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layout = MyelonTransportLayout::for_session("engine-0", 2, 1024, 256)?;
/// let config = RunnerMyelonTransportConfig::for_rank(&layout, 1, WaitStrategy::Adaptive)?;
/// let argument = config.to_string(); // "myelon-runner:1,rpc=...,sum=..."
/// assert_eq!(argument.parse::<RunnerMyelonTransportConfig>()?, config);
/// # Ok(())
/// # }
/// ```
/// Source: RFC 0009, "The line".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "UncheckedRunner"))]
pub struct RunnerMyelonTransportConfig {
    /// The name of the ring to all runners.
    pub rpc_ring_name: String,
    /// Its depth: in slots for frames, in bytes for records.
    pub rpc_depth: usize,
    /// The name of the ring from this runner back.
    pub response_ring_name: String,
    /// Its depth: in slots for frames, in bytes for records.
    pub response_depth: usize,
    /// How the runner waits.
    pub wait_strategy: WaitStrategy,
}

/// The same fields before they are checked: a file is trusted as little as a line.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct UncheckedRunner {
    rpc_ring_name: String,
    rpc_depth: usize,
    response_ring_name: String,
    response_depth: usize,
    wait_strategy: WaitStrategy,
}

#[cfg(feature = "serde")]
impl TryFrom<UncheckedRunner> for RunnerMyelonTransportConfig {
    type Error = SessionLayoutError;

    fn try_from(unchecked: UncheckedRunner) -> Result<Self, SessionLayoutError> {
        let UncheckedRunner { rpc_ring_name, rpc_depth, response_ring_name, response_depth, wait_strategy } = unchecked;
        validate_segment_name(&rpc_ring_name)?;
        validate_segment_name(&response_ring_name)?;
        check_depths(rpc_depth, response_depth)?;
        Ok(Self { rpc_ring_name, rpc_depth, response_ring_name, response_depth, wait_strategy })
    }
}

impl RunnerMyelonTransportConfig {
    /// What runner `rank` of the session must know.
    ///
    /// # Errors
    /// `NoSuchRank` if the session has no such runner.
    pub fn for_rank(
        layout: &MyelonTransportLayout,
        rank: usize,
        wait_strategy: WaitStrategy,
    ) -> Result<Self, SessionLayoutError> {
        let no_such_rank = SessionLayoutError::NoSuchRank { rank, runner_count: layout.runner_count() };
        Ok(Self {
            rpc_ring_name: layout.rpc_ring_name(),
            rpc_depth: layout.rpc_depth(),
            response_ring_name: layout.response_ring_name(rank).ok_or(no_such_rank)?,
            response_depth: layout.response_depth(),
            wait_strategy,
        })
    }

    /// Adds the fields of this configuration to a line.
    pub(crate) fn write(&self, line: Writer) -> Writer {
        line.field("rpc", &self.rpc_ring_name)
            .number("rpc-depth", self.rpc_depth as u64)
            .field("response", &self.response_ring_name)
            .number("response-depth", self.response_depth as u64)
            .field("wait", self.wait_strategy.to_string())
    }

    /// Takes the fields of a configuration out of a line.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, InvalidConfigText> {
        Ok(Self {
            rpc_ring_name: fields.parsed("rpc", read_name)?,
            rpc_depth: fields.parsed("rpc-depth", read_depth)?,
            response_ring_name: fields.parsed("response", read_name)?,
            response_depth: fields.parsed("response-depth", read_depth)?,
            wait_strategy: fields
                .parsed("wait", |text| text.parse().map_err(|error: InvalidWaitStrategy| error.to_string()))?,
        })
    }
}

impl fmt::Display for RunnerMyelonTransportConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.write(Writer::new(WHAT, VERSION)).finish())
    }
}

impl FromStr for RunnerMyelonTransportConfig {
    type Err = InvalidConfigText;

    fn from_str(text: &str) -> Result<Self, InvalidConfigText> {
        let mut fields = Fields::of(text, WHAT, VERSION)?;
        let config = Self::read(&mut fields)?;
        fields.finish()?;
        Ok(config)
    }
}

fn read_name(text: &str) -> Result<String, String> {
    validate_segment_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn read_depth(text: &str) -> Result<usize, String> {
    match text::number(text)? {
        0 => Err("a ring has at least one slot, or one byte".to_owned()),
        depth => Ok(depth),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn any_wait() -> impl Strategy<Value = WaitStrategy> {
        prop_oneof![
            Just(WaitStrategy::BusySpin),
            Just(WaitStrategy::BusySpinWithSpinLoopHint),
            any::<u32>().prop_map(|spins| WaitStrategy::SpinThenYield { spins }),
            any::<u32>().prop_map(|micros| WaitStrategy::Sleep(Duration::from_micros(micros.into()))),
            Just(WaitStrategy::Block),
            Just(WaitStrategy::Adaptive)
        ]
    }

    fn any_config() -> impl Strategy<Value = RunnerMyelonTransportConfig> {
        ("[A-Za-z0-9_-]{1,14}", 1..=usize::MAX, "[A-Za-z0-9_-]{1,14}", 1..=usize::MAX, any_wait()).prop_map(
            |(rpc_ring_name, rpc_depth, response_ring_name, response_depth, wait_strategy)| {
                RunnerMyelonTransportConfig {
                    rpc_ring_name,
                    rpc_depth,
                    response_ring_name,
                    response_depth,
                    wait_strategy,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_config_is_what_its_line_says(config in any_config()) {
            prop_assert_eq!(config.to_string().parse(), Ok(config));
        }

        #[test]
        fn no_line_makes_anybody_panic(text in "(myelon-runner:1)?\\PC*") {
            let _ = text.parse::<RunnerMyelonTransportConfig>();
        }

        #[test]
        fn no_fields_with_a_right_sum_make_anybody_panic(name in "rpc|rpc-depth|wait|x", value: Vec<u8>) {
            // A line with such an error was written on purpose, or by a version of this library that did not change its
            // version number.
            let name: &'static str = Box::leak(name.into_boxed_str());
            prop_assert!(Writer::new(WHAT, VERSION).field(name, value).finish().parse::<RunnerMyelonTransportConfig>().is_err());
        }
    }

    #[test]
    fn a_config_for_a_rank_that_is_not_there_is_refused() {
        let layout = MyelonTransportLayout::for_session("label", 2, 1024, 256).unwrap();
        let config = |rank| RunnerMyelonTransportConfig::for_rank(&layout, rank, WaitStrategy::Block);
        assert_eq!(config(1).unwrap().response_ring_name, layout.response_ring_name(1).unwrap());
        assert_eq!(config(2), Err(SessionLayoutError::NoSuchRank { rank: 2, runner_count: 2 }));
    }

    #[test]
    fn a_name_that_would_leave_its_directory_is_not_read() {
        let layout = MyelonTransportLayout::for_session("label", 2, 1024, 256).unwrap();
        let mut config = RunnerMyelonTransportConfig::for_rank(&layout, 0, WaitStrategy::Block).unwrap();
        config.rpc_ring_name = "../etc".into();
        let error = config.to_string().parse::<RunnerMyelonTransportConfig>().unwrap_err();
        assert!(matches!(error, InvalidConfigText::Value { field: "rpc", .. }), "{error}");
    }

    #[test]
    fn options_that_are_absent_have_defaults() {
        let config = MyelonTransportConfig::resolve(None, Some(7), Some(true));
        assert_eq!(config, MyelonTransportConfig::new(DEFAULT_MYELON_RPC_DEPTH, 7, WaitStrategy::BusySpin));
        assert_eq!(MyelonTransportConfig::default().wait_strategy, WaitStrategy::Adaptive);
        let sleeping = MyelonTransportConfig::resolve(None, None, Some(false)).unwrap();
        assert_eq!(sleeping.wait_strategy, WaitStrategy::Block);
    }

    #[test]
    fn a_depth_of_zero_is_refused_whichever_way_it_comes() {
        let no_depth = |ring| Err(SessionLayoutError::NoDepth { ring });
        assert_eq!(MyelonTransportConfig::new(0, 8, WaitStrategy::Block), no_depth("rpc"));
        assert_eq!(MyelonTransportConfig::new(8, 0, WaitStrategy::Block), no_depth("response"));
        assert_eq!(MyelonTransportConfig::resolve(Some(0), None, None), no_depth("rpc"));
        assert_eq!(MyelonTransportConfig::resolve(None, Some(0), None), no_depth("response"));

        let layout = MyelonTransportLayout::for_session("label", 2, 1024, 256).unwrap();
        let config = RunnerMyelonTransportConfig::for_rank(&layout, 0, WaitStrategy::Block).unwrap();
        for (field, config) in [
            ("rpc-depth", RunnerMyelonTransportConfig { rpc_depth: 0, ..config.clone() }),
            ("response-depth", RunnerMyelonTransportConfig { response_depth: 0, ..config }),
        ] {
            match config.to_string().parse::<RunnerMyelonTransportConfig>() {
                Err(InvalidConfigText::Value { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{other:?}"),
            }
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn json_is_checked_as_lines_are() {
        let layout = MyelonTransportLayout::for_session("label", 2, 1024, 256).unwrap();
        let runner = RunnerMyelonTransportConfig::for_rank(&layout, 0, WaitStrategy::Block).unwrap();
        let runner = serde_json::to_string(&runner).unwrap();
        for (good, bad) in [
            (layout.rpc_ring_name(), "../../etc/passwd"),
            (layout.response_ring_name(0).unwrap(), "a/b"),
            ("\"rpc_depth\":1024".to_owned(), "\"rpc_depth\":0"),
            ("\"response_depth\":256".to_owned(), "\"response_depth\":0"),
        ] {
            let damaged = runner.replace(&good, bad);
            assert_ne!(damaged, runner);
            assert!(serde_json::from_str::<RunnerMyelonTransportConfig>(&damaged).is_err(), "{damaged}");
        }
        let config = serde_json::to_string(&MyelonTransportConfig::default()).unwrap();
        for depth in ["1024", "256"] {
            let damaged = config.replace(depth, "0");
            assert!(serde_json::from_str::<MyelonTransportConfig>(&damaged).is_err(), "{damaged}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn configs_survive_json() {
        let layout = MyelonTransportLayout::for_session("label", 2, 1024, 256).unwrap();
        let config = RunnerMyelonTransportConfig::for_rank(&layout, 0, WaitStrategy::Block).unwrap();
        let json = serde_json::to_string(&(&config, MyelonTransportConfig::default())).unwrap();
        assert_eq!(serde_json::from_str(&json).ok(), Some((config, MyelonTransportConfig::default())));
    }
}
