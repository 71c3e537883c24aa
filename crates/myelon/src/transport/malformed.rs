//! What can be wrong with frames that another process has written.

/// Why a message was skipped. The stream goes on with the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Flags that no sender of ours sets: an unknown bit, or a time or trace id where no message begins.
    #[error("a frame has flags {flags:#04x}, which mean nothing")]
    Flags {
        /// The flags.
        flags: u8,
    },
    /// A frame's length is not what its place in the message makes it, or is more than a frame holds.
    #[error("a frame holds {len_bytes} bytes where {wanted_bytes} belong")]
    Length {
        /// What the header says, in bytes.
        len_bytes: u32,
        /// What it would have to be: exactly, or at most, or at least, whichever it failed.
        wanted_bytes: usize,
    },
    /// A frame has another number in its message than the one that comes next.
    #[error("frame {found} came where frame {wanted} of a message belongs")]
    Index {
        /// Its index.
        found: u16,
        /// The next index.
        wanted: u32,
    },
    /// A frame of another message, or of another kind, between the frames of one.
    #[error("a frame of message {found} stands inside message {wanted}")]
    Foreign {
        /// Its message.
        found: u32,
        /// The message that it stands in.
        wanted: u32,
    },
    /// The frame that is marked as the last is not the one at which the message is complete.
    #[error("a message of {frames} frames ends with frame {index}")]
    End {
        /// Number of its frames, from its length.
        frames: u32,
        /// The frame at which it ended, or did not.
        index: u16,
    },
    /// A split message says that it is as long as one frame, or longer than one can be.
    #[error("a split message says that it has {total_bytes} bytes")]
    Total {
        /// What it says.
        total_bytes: u64,
    },
    /// A message is longer than this receiver's limit. Raise the limit if it is an honest one.
    #[error("a message of {total_bytes} bytes is beyond the limit of {limit_bytes}")]
    BeyondLimit {
        /// Its length.
        total_bytes: u64,
        /// The limit.
        limit_bytes: usize,
    },
    /// A message began and did not end: its sender died or went wrong.
    #[error("message {msg_id} stops after {have_bytes} of {total_bytes} bytes")]
    Unfinished {
        /// The message.
        msg_id: u32,
        /// What has come of it, in bytes.
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
