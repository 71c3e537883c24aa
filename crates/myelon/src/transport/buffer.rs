//! Aligned bytes that are used again for one message after the other.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// 16 bytes, aligned like a payload in a slot: a message that can be read in place there can be read in place here.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C, align(16))]
struct Block([u8; 16]);

/// A growing buffer that begins at a multiple of 16 bytes and keeps its memory, up to a limit.
pub(crate) struct AlignedBuffer {
    blocks: Vec<Block>,
    /// Bytes in use.
    len: usize,
    /// The limit of the memory, in bytes.
    limit_bytes: usize,
}

impl AlignedBuffer {
    /// An empty buffer, without memory.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { blocks: Vec::new(), len: 0, limit_bytes }
    }

    /// The bytes in use.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.blocks.as_bytes()[..self.len]
    }

    /// Bytes in use.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Empties the buffer; the memory stays.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// If that exceeds the limit. The caller must have compared the message's length with it.
    #[inline(always)]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.extend_with(bytes.len(), |place| place.copy_from_slice(bytes));
    }

    /// Appends `len_bytes` bytes, which `fill` writes.
    ///
    /// # Panics
    /// As [`extend`](Self::extend).
    #[inline(always)]
    pub(crate) fn extend_with(&mut self, len_bytes: usize, fill: impl FnOnce(&mut [u8])) {
        let end = self.len + len_bytes;
        if !self.has_memory_for(end) {
            self.grow(end);
        }
        fill(&mut self.blocks.as_mut_bytes()[self.len..end]);
        self.len = end;
    }

    /// `len_bytes` bytes to write to, with any content, and all of them in use.
    ///
    /// # Panics
    /// If that exceeds the limit.
    pub(crate) fn take(&mut self, len_bytes: usize) -> &mut [u8] {
        if !self.has_memory_for(len_bytes) {
            let blocks = self.grown_for(len_bytes);
            // The old content is no longer needed. The system provides zeroed pages, which take no memory until they
            // are written.
            self.blocks = Vec::new();
            self.blocks = Block::new_vec_zeroed(blocks).unwrap_or_else(|_| vec![Block::new_zeroed(); blocks]);
        }
        self.len = len_bytes;
        &mut self.blocks.as_mut_bytes()[..len_bytes]
    }

    /// Keeps the first `len_bytes` bytes of those in use.
    pub(crate) fn truncate(&mut self, len_bytes: usize) {
        self.len = self.len.min(len_bytes);
    }

    /// The bytes of memory that it has allocated.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.blocks.len() * size_of::<Block>()
    }

    /// Whether `len_bytes` bytes can be in use without more memory.
    #[inline(always)]
    fn has_memory_for(&self, len_bytes: usize) -> bool {
        len_bytes <= self.limit_bytes && len_bytes <= self.capacity_bytes()
    }

    /// Allocates memory for `len_bytes` bytes, and keeps the content.
    #[cold]
    fn grow(&mut self, len_bytes: usize) {
        let blocks = self.grown_for(len_bytes);
        self.blocks.reserve_exact(blocks - self.blocks.len());
        self.blocks.resize(blocks, Block::new_zeroed());
    }

    /// The number of blocks to allocate when those at hand do not suffice for `len_bytes` bytes: at least twice as
    /// many, so that appending copies each byte a few times at most.
    fn grown_for(&self, len_bytes: usize) -> usize {
        assert!(len_bytes <= self.limit_bytes, "{len_bytes} bytes in a buffer of at most {}", self.limit_bytes);
        let limit = self.limit_bytes.div_ceil(size_of::<Block>());
        len_bytes.div_ceil(size_of::<Block>()).max(self.blocks.len().saturating_mul(2)).min(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_was_appended_aligned_and_within_the_limit() {
        let mut buffer = AlignedBuffer::new(100);
        buffer.extend(&[1; 33]);
        buffer.extend(&[2; 67]);
        assert_eq!(buffer.bytes(), [[1; 33].as_slice(), &[2; 67]].concat());
        assert!(buffer.bytes().as_ptr().addr().is_multiple_of(16));
        assert_eq!(buffer.capacity_bytes(), 7 * 16, "100 bytes are seven blocks, however it grew");
        buffer.clear();
        buffer.extend(&[3]);
        assert_eq!(buffer.bytes(), [3]);
        assert_eq!(buffer.take(50).len(), 50);
    }

    #[test]
    #[should_panic(expected = "101 bytes in a buffer of at most 100")]
    fn it_does_not_grow_beyond_the_limit() {
        AlignedBuffer::new(100).take(101);
    }
}
