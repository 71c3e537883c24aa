//! What can be wrong with frames that another process has written.

/// Why a message was skipped. The stream goes on with the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Flags that no sender of this library sets: an unknown bit, or a time or trace id on a frame that begins no
    /// message.
    #[error("a frame has flags {flags:#04x}, which no sender of this library sets")]
    Flags {
        /// The flags.
        flags: u8,
    },
    /// A frame's length does not match its position in the message, or is more than a frame holds.
    #[error("a frame holds {len_bytes} bytes where {wanted_bytes} belong")]
    Length {
        /// What the header says, in bytes.
        len_bytes: u32,
        /// The length that it should have: exactly, at most or at least, depending on the check that failed.
        wanted_bytes: usize,
    },
    /// A frame's number in its message is not the next one.
    #[error("frame {found} came where frame {wanted} of a message belongs")]
    Index {
        /// Its index.
        found: u16,
        /// The next index.
        wanted: u32,
    },
    /// A frame of another message between the frames of one.
    #[error("a frame of message {found} is between the frames of message {wanted}")]
    Foreign {
        /// Its message.
        found: u32,
        /// The message whose frames surround it.
        wanted: u32,
    },
    /// The frame marked as the last is not the one that completes the message.
    #[error("a message of {frames} frames ends with frame {index}")]
    End {
        /// The number of its frames, computed from its length.
        frames: u32,
        /// The frame at which it ended, or should have ended.
        index: u16,
    },
    /// A split message claims to fit into one frame, or to be longer than a message can be.
    #[error("a split message says that it has {total_bytes} bytes")]
    Total {
        /// The claimed length.
        total_bytes: u64,
    },
    /// A message is longer than this receiver's limit. Raise the limit if the message is legitimate.
    #[error(
        "a message of {total_bytes} bytes is longer than this receiver's limit of {limit_bytes}; raise the limit if such messages are wanted"
    )]
    BeyondLimit {
        /// Its length.
        total_bytes: u64,
        /// The limit.
        limit_bytes: usize,
    },
    /// A message began and did not end: its sender died or is faulty.
    #[error("message {msg_id} stops after {have_bytes} of {total_bytes} bytes")]
    Unfinished {
        /// The message.
        msg_id: u32,
        /// How many of its bytes have come.
        have_bytes: usize,
        /// Its length, in bytes.
        total_bytes: usize,
    },
    /// A frame in the middle of a message whose beginning never came.
    #[error("frame {index} of message {msg_id} came without a beginning")]
    NoBeginning {
        /// The message.
        msg_id: u32,
        /// The frame.
        index: u16,
    },
}
