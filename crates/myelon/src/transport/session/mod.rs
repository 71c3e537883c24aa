//! Sessions: a scheduler and its runners, the rings between them, and how a runner is told about them.
//!
//! Nothing here maps or waits, except the coordination cursor.

mod config;
mod coordination;
mod layout;
mod name;
mod tag;
pub(crate) mod text;

pub use config::{MyelonTransportConfig, RunnerMyelonTransportConfig};
pub use coordination::{coordination_cursor_name, ensure_coordination_cursor};
pub use layout::{
    DEFAULT_MYELON_RESPONSE_DEPTH, DEFAULT_MYELON_RPC_DEPTH, DEFAULT_TRANSPORT_PREFIX, MyelonTransportLayout,
    SessionLayoutError,
};
pub use name::{InvalidSegmentName, SEGMENT_NAME_LIMIT_MACOS, validate_segment_name};
pub use tag::compact_session_tag;
pub use text::InvalidConfigText;
