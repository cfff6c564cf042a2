//! Memory in which bytes are put together before they are written.

use std::io;

use super::{
    aligned::AlignedBytes,
    storage::{PackFile, write_full},
};

/// Gathers consecutive bytes of one file and writes them in large aligned pieces.
pub(super) struct Staging {
    gathered: AlignedBytes,
    capacity: usize,
    /// Where in the file the first gathered byte belongs; a multiple of the page.
    at: u64,
}

impl Staging {
    /// Memory for pieces of this many bytes, a multiple of the page.
    pub(super) fn new(capacity: usize) -> Self {
        Self { gathered: AlignedBytes::with_capacity(capacity), capacity, at: 0 }
    }

    /// Forgets what was gathered, and begins at a page of the file.
    pub(super) fn begin(&mut self, at: u64) {
        self.gathered.truncate(0);
        self.at = at;
    }

    /// Takes the next bytes of the file; writes where the memory is full.
    pub(super) fn put(&mut self, file: &dyn PackFile, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.capacity.saturating_sub(self.gathered.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.gathered.extend(now);
            bytes = later;
            if self.gathered.len() >= self.capacity {
                self.write(file)?;
            }
        }
        Ok(())
    }

    /// Fills the last page with zeros and writes it all. The next byte then begins a page.
    pub(super) fn end(&mut self, file: &dyn PackFile) -> io::Result<()> {
        self.gathered.fill_page();
        self.write(file)
    }

    fn write(&mut self, file: &dyn PackFile) -> io::Result<()> {
        write_full(file, self.gathered.rest(0), self.at)?;
        self.at = self.at.saturating_add(self.gathered.len() as u64);
        self.gathered.truncate(0);
        Ok(())
    }
}
