//! How long the last messages of a sender were.

/// Messages of a run. A length is remembered until the end of the run after its own: for 32 to 63 messages. So if a
/// stream has a long message now and then, at most one in 64 messages is longer than all remembered ones; and one huge
/// message is forgotten soon.
const RUN: u8 = 32;

/// The longest of the last messages: the likely maximum for the next one.
pub(super) struct RecentLengths {
    /// The longest of this run and the one before.
    longest_bytes: usize,
    /// The longest of this run.
    of_run_bytes: usize,
    /// Messages until the next run.
    left: u8,
}

impl RecentLengths {
    /// The state of a sender that has sent nothing.
    pub(super) fn new() -> Self {
        Self { longest_bytes: 0, of_run_bytes: 0, left: RUN }
    }

    /// The longest that is remembered.
    #[inline]
    pub(super) fn longest_bytes(&self) -> usize {
        self.longest_bytes
    }

    /// A message of `len_bytes` bytes was encoded.
    #[inline]
    pub(super) fn note(&mut self, len_bytes: usize) {
        if len_bytes > self.of_run_bytes {
            self.of_run_bytes = len_bytes;
            self.longest_bytes = self.longest_bytes.max(len_bytes);
        }
        self.left -= 1;
        if self.left == 0 {
            *self = Self { longest_bytes: self.of_run_bytes, of_run_bytes: 0, left: RUN };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_remembered_for_a_run_at_least_and_two_at_most() {
        for before in 0..usize::from(RUN) {
            let mut recent = RecentLengths::new();
            let lengths = std::iter::repeat_n(10, before).chain([1000]);
            lengths.for_each(|len| recent.note(len));
            let remembered = (1..).take_while(|_| {
                let is_known = recent.longest_bytes() == 1000;
                recent.note(10);
                is_known
            });
            let remembered = remembered.count();
            assert!((usize::from(RUN)..2 * usize::from(RUN)).contains(&remembered), "{remembered} after {before}");
            assert_eq!(recent.longest_bytes(), 10);
        }
    }
}
