//! What a message is made of, so that every byte of it is written and read, whoever carries it.
//!
//! **Lives here:** [`Payload`], which a sender writes; [`read`] and [`sum`], with which a receiver looks at all of it;
//! [`words`].
//! **Builds on:** nothing. **May touch it:** every workload whose messages are bytes.

/// Messages have a multiple of so many bytes: what [`sum`] adds up at once.
const BYTES_MULTIPLE: usize = 64;

/// The bytes of one message: the same number in every word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    number: u64,
    len_bytes: usize,
}

impl Payload {
    /// Message `number` of so many bytes.
    ///
    /// # Panics
    /// When `len_bytes` is not a positive multiple of 64.
    pub(crate) fn new(number: u64, len_bytes: usize) -> Self {
        assert!(len_bytes > 0 && len_bytes.is_multiple_of(BYTES_MULTIPLE), "there are no messages of {len_bytes} B");
        Self { number, len_bytes }
    }

    /// How many bytes it has.
    pub(crate) fn len_bytes(self) -> usize {
        self.len_bytes
    }

    /// The word of which the message is made, for carriers whose memory cannot be had as bytes before it is written.
    #[cfg(feature = "peers")]
    pub(crate) fn word(self) -> u64 {
        self.number
    }

    /// Writes every byte of `place`, which has as many as the message.
    #[inline(always)]
    pub(crate) fn write(self, place: &mut [u8]) {
        assert_eq!(place.len(), self.len_bytes, "the place is as long as the message");
        let (words, _) = place.as_chunks_mut::<8>();
        words.fill(self.number.to_ne_bytes());
    }

    /// What [`sum`] of it comes to.
    pub(crate) fn sum(self) -> u64 {
        self.number.wrapping_mul(words(self.len_bytes))
    }
}

/// How many words a message of so many bytes has.
pub(crate) fn words(len_bytes: usize) -> u64 {
    (len_bytes / size_of::<u64>()) as u64
}

/// What a receiver knows of a message after it has looked at every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The first word.
    pub(crate) number: u64,
    /// All words, added up, wrapping.
    pub(crate) sum: u64,
}

/// Reads every byte of a message; one that is too short to have a number is number zero and adds up to zero.
#[inline(always)]
pub(crate) fn read(bytes: &[u8]) -> Seen {
    let number = bytes.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word));
    Seen { number, sum: sum(bytes) }
}

/// All words of `bytes`, added up in eight independent sums so that the additions do not wait for one another. What is
/// left after the last 64 bytes is not looked at.
#[inline(always)]
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (groups, _) = bytes.as_chunks::<BYTES_MULTIPLE>();
    let mut sums = [0_u64; 8];
    for group in groups {
        let (words, _) = group.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_ne_bytes(*word));
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let payload = Payload::new(7, 1024);
        let mut bytes = vec![0xff; payload.len_bytes()];
        payload.write(&mut bytes);
        assert_eq!(read(&bytes), Seen { number: 7, sum: 7 * 128 });
        assert_eq!(payload.sum(), 7 * 128);
    }

    #[test]
    fn one_wrong_byte_shows_wherever_it_is() {
        let payload = Payload::new(1, 128);
        for place in 0..128 {
            let mut bytes = [0; 128];
            payload.write(&mut bytes);
            bytes[place] ^= 0x80;
            assert_ne!(read(&bytes).sum, payload.sum(), "{place}");
        }
    }
}
