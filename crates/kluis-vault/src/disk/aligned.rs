//! Memory that begins on a page, so that it can be written past the page cache: writing gigabytes through the cache costs
//! a copy of each page and makes readers wait for its writeback.

use std::sync::{Mutex, PoisonError};

use crate::{
    limits::{IDLE_BUFFERS, RECORD_BUFFER_BYTES},
    record::PAGE,
};

const PAGE_BYTES: usize = PAGE as usize;

/// Bytes that are added at the end. Empty, it holds no memory.
#[derive(Default)]
pub(crate) struct AlignedBytes {
    /// What stands before `start` is never used.
    memory: Vec<u8>,
    /// The first byte on a page.
    start: usize,
}

impl AlignedBytes {
    /// Room for so many bytes before anything must be moved.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut memory: Vec<u8> = Vec::with_capacity(bytes.saturating_add(PAGE_BYTES));
        let start = memory.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        memory.resize(start, 0);
        Self { memory, start }
    }

    pub(crate) fn len(&self) -> usize {
        self.memory.len().saturating_sub(self.start)
    }

    fn capacity(&self) -> usize {
        self.memory.capacity().saturating_sub(self.start)
    }

    /// The bytes from this one on.
    pub(crate) fn rest(&self, at: usize) -> &[u8] {
        self.memory.get(self.start.saturating_add(at)..).unwrap_or_default()
    }

    pub(crate) fn rest_mut(&mut self, at: usize) -> &mut [u8] {
        self.memory.get_mut(self.start.saturating_add(at)..).unwrap_or_default()
    }

    /// The first `N` bytes, where there are so many.
    pub(crate) fn first_mut<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.rest_mut(0).first_chunk_mut()
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.memory.extend_from_slice(bytes);
    }

    /// Adds zeros up to this length.
    pub(crate) fn fill(&mut self, length: usize) {
        self.reserve(length.saturating_sub(self.len()));
        self.memory.resize(self.start.saturating_add(length.max(self.len())), 0);
    }

    /// Adds zeros up to the end of the page.
    pub(crate) fn fill_page(&mut self) {
        self.fill(self.len().next_multiple_of(PAGE_BYTES));
    }

    /// Forgets the bytes from this one on, and keeps the memory.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.memory.truncate(self.start.saturating_add(length));
    }

    /// Itself, or other memory where it is larger than that. It must be empty.
    pub(crate) fn no_larger_than(self, bytes: usize) -> Self {
        if self.capacity() > bytes.saturating_add(PAGE_BYTES) { Self::with_capacity(bytes) } else { self }
    }

    /// Where the memory is too small the bytes go to one twice as large; what the allocator gives begins anywhere.
    fn reserve(&mut self, more: usize) {
        let needed = self.len().saturating_add(more);
        if needed > self.capacity() {
            let mut larger = Self::with_capacity(needed.max(self.capacity().saturating_mul(2)));
            larger.memory.extend_from_slice(self.rest(0));
            *self = larger;
        }
    }
}

/// Memory for records that was used before: new memory costs a page fault each 4 KiB. What it held was sealed.
#[derive(Default)]
pub(crate) struct Buffers {
    idle: Mutex<Vec<AlignedBytes>>,
}

impl Buffers {
    /// Empty memory for a record.
    pub(crate) fn take(&self) -> AlignedBytes {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| AlignedBytes::with_capacity(RECORD_BUFFER_BYTES))
    }

    /// Gives memory back that is of no more use. What is larger than most records need is let go.
    pub(crate) fn give(&self, mut bytes: AlignedBytes) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_use = (RECORD_BUFFER_BYTES..=RECORD_BUFFER_BYTES.saturating_mul(2)).contains(&bytes.capacity());
        if is_of_use && idle.len() < IDLE_BUFFERS {
            bytes.truncate(0);
            idle.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_on_a_page_as_they_grow() {
        let mut bytes = AlignedBytes::default();
        assert_eq!((bytes.len(), bytes.rest(0)), (0, &[][..]));
        let mut all: Vec<u8> = Vec::new();
        for piece in 0..200_u8 {
            let piece = vec![piece; 1_000];
            bytes.extend(&piece);
            all.extend(&piece);
            assert_eq!(bytes.rest(0).as_ptr().align_offset(PAGE_BYTES), 0);
        }
        assert_eq!(bytes.rest(0), all);
        assert_eq!(bytes.rest(199_999), [199]);
        bytes.fill_page();
        assert_eq!(bytes.len(), 49 * PAGE_BYTES);
        assert!(bytes.rest(200_000).iter().all(|byte| *byte == 0));
        bytes.truncate(10);
        assert_eq!(bytes.rest(0), [0; 10]);
    }

    #[test]
    fn memory_comes_back_and_is_bounded() {
        let buffers = Buffers::default();
        let mut first = buffers.take();
        first.extend(b"sealed");
        let place = first.rest(0).as_ptr();
        buffers.give(first);
        let mut again = buffers.take();
        assert_eq!(again.len(), 0);
        again.extend(b"x");
        assert_eq!(again.rest(0).as_ptr(), place);
        let many: Vec<AlignedBytes> = (0..IDLE_BUFFERS + 5).map(|_| buffers.take()).collect();
        many.into_iter().for_each(|bytes| buffers.give(bytes));
        buffers.give(AlignedBytes::with_capacity(RECORD_BUFFER_BYTES * 3));
        assert_eq!(buffers.idle.lock().unwrap().len(), IDLE_BUFFERS);
    }
}
