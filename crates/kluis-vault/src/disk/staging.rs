//! Memory in which bytes are put together before they are written: page-aligned, so that the write can go past the page
//! cache. Writing gigabytes through the cache costs a copy of each page and makes readers wait for its writeback.

use std::io;

use crate::record::PAGE;

use super::storage::{PackFile, write_full};

/// Gathers consecutive bytes of one file and writes them in large aligned pieces.
pub(super) struct Staging {
    memory: Vec<u8>,
    /// The first aligned byte of the memory.
    skew: usize,
    capacity: usize,
    filled: usize,
    /// Where in the file the first gathered byte belongs; a multiple of the page.
    at: u64,
}

impl Staging {
    /// Memory for pieces of this many bytes, a multiple of the page.
    pub(super) fn new(capacity: usize) -> Self {
        let page = PAGE as usize;
        let memory = vec![0; capacity.saturating_add(page)];
        let skew = memory.as_ptr().align_offset(page).min(page);
        Self { memory, skew, capacity, filled: 0, at: 0 }
    }

    /// Forgets what was gathered, and begins at a page of the file.
    pub(super) fn begin(&mut self, at: u64) {
        self.filled = 0;
        self.at = at;
    }

    /// Takes the next bytes of the file; writes where the memory is full.
    pub(super) fn put(&mut self, file: &dyn PackFile, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.capacity.saturating_sub(self.filled);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let from = self.skew.saturating_add(self.filled);
            let place = self.memory.get_mut(from..from.saturating_add(now.len())).ok_or(io::ErrorKind::OutOfMemory)?;
            place.copy_from_slice(now);
            self.filled = self.filled.saturating_add(now.len());
            bytes = later;
            if self.filled == self.capacity {
                self.write(file)?;
            }
        }
        Ok(())
    }

    /// Fills the last page with zeros and writes it all. The next byte then begins a page.
    pub(super) fn end(&mut self, file: &dyn PackFile) -> io::Result<()> {
        let full = self.filled.next_multiple_of(PAGE as usize);
        let (from, to) = (self.skew.saturating_add(self.filled), self.skew.saturating_add(full));
        self.memory.get_mut(from..to).ok_or(io::ErrorKind::OutOfMemory)?.fill(0);
        self.filled = full;
        self.write(file)
    }

    fn write(&mut self, file: &dyn PackFile) -> io::Result<()> {
        let bytes = self.memory.get(self.skew..self.skew.saturating_add(self.filled)).unwrap_or_default();
        write_full(file, bytes, self.at)?;
        self.at = self.at.saturating_add(self.filled as u64);
        self.filled = 0;
        Ok(())
    }
}
