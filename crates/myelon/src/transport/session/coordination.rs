//! A cursor beside a ring, by which the programs of a session agree on something of their own.
//!
//! This library does not need it: rings know their members, and a topology knows its workers.

use super::name::SEGMENT_NAME_LIMIT_MACOS;
use super::tag::compact_session_tag;
use disruptor_mp::{MultiProcessError, MultiProcessResult, SharedCursor};

/// How often the cursor may change its owner during the call before the error is returned.
const ATTEMPTS: usize = 16;

/// The name of the cursor beside the ring `ring_name`: `{ring_name}_cr`. If that is longer than some system takes, it
/// is `cr_` and the tag of the ring's name. No ring of a session has such a name.
pub fn coordination_cursor_name(ring_name: &str) -> String {
    let readable = format!("{ring_name}_cr");
    match readable.len() <= SEGMENT_NAME_LIMIT_MACOS {
        true => readable,
        false => format!("cr_{}", compact_session_tag(ring_name)),
    }
}

/// The cursor beside the ring `ring_name`. If a live process has made it, this is a view of it. Otherwise it is a new
/// cursor at -1, which this process advances. [`SharedCursor::is_owner`] says which. A cursor that a dead process has
/// left is replaced.
///
/// # Errors
/// See [`MultiProcessError`].
pub fn ensure_coordination_cursor(ring_name: &str) -> MultiProcessResult<SharedCursor> {
    let name = coordination_cursor_name(ring_name);
    let mut attempts = 1;
    loop {
        match SharedCursor::create(&name, -1) {
            Err(MultiProcessError::AlreadyExists { .. }) => {}
            created => return created,
        }
        match SharedCursor::attach(&name) {
            // Its creator has removed it between the two looks, so this process tries to create it.
            Err(MultiProcessError::NotFound { .. }) if attempts < ATTEMPTS => attempts += 1,
            attached => return attached,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::session::{MyelonTransportLayout, validate_segment_name};
    use disruptor_mp::SharedCursorTrait;

    #[test]
    fn a_cursors_name_is_portable_and_that_of_no_ring() {
        let layout = MyelonTransportLayout::for_session("label", 256, 1, 1).unwrap();
        let rings: Vec<_> = layout.response_ring_names().chain([layout.rpc_ring_name(), "rpc".to_owned()]).collect();
        let mut names: Vec<_> = rings.iter().map(|ring| coordination_cursor_name(ring)).collect();
        assert_eq!(names.last().unwrap(), "rpc_cr");
        assert!(names.iter().all(|name| validate_segment_name(name).is_ok() && !rings.contains(name)));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), rings.len());
    }

    #[test]
    fn the_first_to_ask_owns_the_cursor_and_the_others_see_it() {
        let ring = testkit::names::short();
        let mut first = ensure_coordination_cursor(&ring).unwrap();
        let second = ensure_coordination_cursor(&ring).unwrap();
        assert!(first.is_owner() && !second.is_owner());
        first.advance_to(41).unwrap();
        assert_eq!(second.load(), 41);
        drop(first);
        let third = ensure_coordination_cursor(&ring).unwrap();
        assert!(third.is_owner() && third.load() == -1, "its owner has gone, and so has the cursor");
    }
}
