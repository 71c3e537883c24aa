//! Settings from the environment: absent, valid, or an error that names the variable and its value.
//!
//! | variable | meaning | read by |
//! |---|---|---|
//! | `MYELON_WAIT` | wait strategy of every endpoint | builders |
//! | `MYELON_WRITE_VIA` | where payloads are written first | builders of producers |
//! | `MYELON_SHUTDOWN_GRACE_MS` | grace period of managed publishing, ms | `enable_required_consumer_liveness` |
//! | `MYELON_PROCESS_CORE` | core to pin a thread to that builds an endpoint | builders |
//! | `MYELON_PRODUCER_CORE` | the same, for producers only | `build_producer` |
//! | `MYELON_CONSUMER_CORE` | the same, for consumers only | `build_consumer` |
//! | `MYELON_AUTO_CONSUMER_CORE` | core of the thread of an `AutoConsumer` | `handle_events_*` |

use crate::error::{CoreSetting, MultiProcessError};
use std::str::FromStr;

/// The number in variable `name`, or `None` if it is not set.
pub(crate) fn number<N: FromStr>(name: &'static str) -> Result<Option<N>, MultiProcessError> {
    match std::env::var_os(name) {
        None => Ok(None),
        Some(value) => match value.to_str().and_then(|text| text.parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(MultiProcessError::InvalidSetting { name, value: value.to_string_lossy().into_owned() }),
        },
    }
}

/// The core that variable `name` asks for; `chosen` if it is not set.
pub(crate) fn core(name: &'static str, chosen: Option<CoreSetting>) -> Result<Option<CoreSetting>, MultiProcessError> {
    Ok(number(name)?.map(|core| CoreSetting { asked_by: name, core }).or(chosen))
}
