//! Settings from the environment: absent, valid, or an error that names the variable and its value.
//!
//! The docs of `myelon` list all variables, and a test compares that list with the sources.

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
