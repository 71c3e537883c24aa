//! What travels: steps to all workers, answers back. Packed by hand, like an engine that counts bytes; the example
//! `typed` has codecs.
//!
//! Real sizes: a decode step of 256 sequences, and the tokens that it produces.

use super::Failure;

/// A decode step of 256 sequences, packed.
pub(crate) const STEP_BYTES: usize = 4224;

/// What one rank says after such a step.
pub(crate) const ANSWER_BYTES: usize = 3136;

/// Which ranks answer a step: the message's kind.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Reply {
    FromRank0,
    FromAll,
}

/// What happens to a worker in a step, because this is an example.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Accident {
    Stops,
    IsKilled,
}

/// One step.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) number: u64,
    pub(crate) reply: Reply,
    /// The rank and its accident.
    pub(crate) accident: Option<(usize, Accident)>,
}

impl Reply {
    pub(crate) fn kind(self) -> u8 {
        match self {
            Self::FromRank0 => 1,
            Self::FromAll => 2,
        }
    }

    fn from_kind(kind: u8) -> Result<Self, Failure> {
        match kind {
            1 => Ok(Self::FromRank0),
            2 => Ok(Self::FromAll),
            other => Err(format!("no step has the kind {other}").into()),
        }
    }
}

impl Step {
    /// Number, rank of the accident, accident, and then the space of block tables and tokens.
    pub(crate) fn encode(&self) -> [u8; STEP_BYTES] {
        let mut bytes = [0; STEP_BYTES];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        if let Some((rank, accident)) = self.accident {
            bytes[8] = rank as u8;
            bytes[9] = if accident == Accident::Stops { 1 } else { 2 };
        }
        bytes
    }

    /// # Errors
    /// These bytes are no step.
    pub(crate) fn decode(bytes: &[u8], kind: u8) -> Result<Self, Failure> {
        if bytes.len() != STEP_BYTES {
            return Err(format!("a step has {STEP_BYTES} bytes, and not {}", bytes.len()).into());
        }
        let rank = usize::from(bytes[8]);
        let accident = match bytes[9] {
            0 => None,
            1 => Some((rank, Accident::Stops)),
            2 => Some((rank, Accident::IsKilled)),
            other => return Err(format!("there is no accident {other}").into()),
        };
        Ok(Self { number: number_of(bytes)?, reply: Reply::from_kind(kind)?, accident })
    }
}

/// The answer to the step of that number.
pub(crate) fn answer(number: u64) -> [u8; ANSWER_BYTES] {
    let mut bytes = [0; ANSWER_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The number of the step that these bytes answer.
///
/// # Errors
/// They are no answer.
pub(crate) fn answered(bytes: &[u8]) -> Result<u64, Failure> {
    match bytes.len() {
        ANSWER_BYTES => number_of(bytes),
        other => Err(format!("an answer has {ANSWER_BYTES} bytes, and not {other}").into()),
    }
}

fn number_of(bytes: &[u8]) -> Result<u64, Failure> {
    let number = bytes.first_chunk().ok_or("a message begins with a number of 8 bytes")?;
    Ok(u64::from_le_bytes(*number))
}
