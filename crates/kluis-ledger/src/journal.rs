//! The journal `entries.log`: the entries behind the last cut, in one file that is only appended to.
//!
//! It is the truth for everything that is not yet in durable full bundles, so that an append costs one write and a sync
//! one flush. Header: magic (8), index of the first entry (u64), CRC-32 of these 16 bytes. Record: length (u16), CRC-32
//! of index (u64) and entry, entry. All numbers big-endian.

use std::{
    io::{BufReader, Read},
    sync::Arc,
};

use crate::{
    error::LedgerError,
    files::{Files, JOURNAL},
    limits::TILE_WIDTH,
    storage::{Input, LogFile, write_full},
};

const MAGIC: &[u8; 8] = b"KLUISLG1";
pub(crate) const HEADER_BYTES: u64 = 20;
pub(crate) const RECORD_BYTES: u64 = 6;

/// The open journal.
pub(crate) struct Journal {
    pub(crate) file: Arc<dyn LogFile>,
    pub(crate) base: u64,
    pub(crate) length: u64,
    count: u64,
    /// Where in the file each bundle begins, from `base` on.
    bundles: Vec<u64>,
    /// Bytes for which space is taken behind the last record, and the place up to which that was done.
    reserve: u64,
    reserved_to: u64,
}

impl Journal {
    /// Makes a journal without entries, durable on return.
    pub(crate) fn create(files: &Files) -> Result<Self, LedgerError> {
        files.replace(JOURNAL, &header(0))?;
        Self::at(files, 0, HEADER_BYTES, 0, Vec::new())
    }

    /// Opens a journal that a [`Reader`] has read to its end, and cuts what stands behind the last whole record.
    ///
    /// What `is_doubtful` is written once more, the same to the same place: where a flush had failed, the kernel shows
    /// pages that never came to the disk, and would call the next flush a success.
    pub(crate) fn resume(files: &Files, reader: &Reader, is_doubtful: bool) -> Result<Self, LedgerError> {
        let journal = Self::at(files, reader.base, reader.offset, reader.count, reader.bundles.clone())?;
        let length = journal.file.length().map_err(LedgerError::io("read", JOURNAL))?;
        if length != reader.offset {
            journal.file.set_length(reader.offset).map_err(LedgerError::io("cut", JOURNAL))?;
            journal.file.sync().map_err(LedgerError::io("sync", JOURNAL))?;
        }
        if is_doubtful {
            let mut bytes = vec![0; usize::try_from(reader.offset).unwrap_or_default()];
            let mut input = Input { file: Arc::clone(&journal.file), at: 0 };
            input.read_exact(&mut bytes).map_err(LedgerError::io("read", JOURNAL))?;
            write_full(&*journal.file, &bytes, 0).map_err(LedgerError::io("write", JOURNAL))?;
            journal.file.sync().map_err(LedgerError::io("sync", JOURNAL))?;
        }
        Ok(journal)
    }

    fn at(files: &Files, base: u64, length: u64, count: u64, bundles: Vec<u64>) -> Result<Self, LedgerError> {
        Ok(Self { file: files.open(JOURNAL)?, base, length, count, bundles, reserve: 0, reserved_to: 0 })
    }

    /// From now on the space of so many bytes is taken before they are written: for a log that must go on when the disk is
    /// full.
    pub(crate) fn reserve(&mut self, bytes: u64) {
        self.reserve = bytes;
        self.reserved_to = 0;
        self.renew_reserve();
    }

    /// Takes space anew once half of it is used. What cannot be had now is tried again at the next append.
    fn renew_reserve(&mut self) {
        if self.reserve == 0 || self.reserved_to.saturating_sub(self.length) > self.reserve / 2 {
            return;
        }
        match self.file.reserve(self.length, self.reserve) {
            Ok(()) => self.reserved_to = self.length.saturating_add(self.reserve),
            Err(error) => tracing::debug!(%error, "no space could be reserved for the journal"),
        }
    }

    /// Writes a batch behind the last record, all or nothing. `Err(true)` where even the undoing failed.
    pub(crate) fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), (LedgerError, bool)> {
        let mut bytes = Vec::with_capacity(entries.iter().map(|entry| entry.len() + 6).sum());
        let mut bundles = Vec::new();
        for (index, entry) in (self.base + self.count..).zip(entries) {
            if index.is_multiple_of(TILE_WIDTH) {
                bundles.push(self.length + bytes.len() as u64);
            }
            push_record(&mut bytes, index, entry);
        }
        if let Err(error) = write_full(&*self.file, &bytes, self.length) {
            // a part may stand there, with whole records among it, which a later start would take for entries
            let is_lost = self.file.set_length(self.length).is_err();
            // the cut gave the space behind it back
            self.reserved_to = 0;
            return Err((LedgerError::io("append to", JOURNAL)(error), is_lost));
        }
        self.length += bytes.len() as u64;
        self.count += entries.len() as u64;
        self.bundles.extend(bundles);
        self.renew_reserve();
        Ok(())
    }

    /// Drops the entries before `target`, a multiple of 256 that is not above the size. Durable on return.
    pub(crate) fn cut_before(&mut self, files: &Files, target: u64) -> Result<(), LedgerError> {
        let skipped = usize::try_from((target - self.base) / TILE_WIDTH).unwrap_or(usize::MAX);
        let start = self.bundles.get(skipped).copied().unwrap_or(self.length);
        let mut bytes = header(target).to_vec();
        let mut tail = vec![0; usize::try_from(self.length - start).unwrap_or_default()];
        let mut input = Input { file: Arc::clone(&self.file), at: start };
        input.read_exact(&mut tail).map_err(LedgerError::io("read", JOURNAL))?;
        bytes.append(&mut tail);
        files.replace(JOURNAL, &bytes)?;
        let moved = start - HEADER_BYTES;
        let bundles = self.bundles.iter().skip(skipped).map(|offset| offset - moved).collect();
        let reserve = self.reserve;
        *self = Self::at(files, target, self.length - moved, self.base + self.count - target, bundles)?;
        self.reserve(reserve);
        Ok(())
    }
}

/// Reads the records of a journal in order.
pub(crate) struct Reader {
    input: BufReader<Input>,
    pub(crate) base: u64,
    /// Whole records read so far.
    pub(crate) count: u64,
    /// End of the last whole record in the file.
    pub(crate) offset: u64,
    bundles: Vec<u64>,
    end: u64,
}

/// What stands next in a journal.
pub(crate) enum Next {
    /// The next entry.
    Entry(Vec<u8>),
    /// The end.
    End,
    /// Bytes that are no whole record.
    Torn,
}

impl Reader {
    pub(crate) fn open(files: &Files) -> Result<Self, LedgerError> {
        let file = files.open(JOURNAL)?;
        let end = file.length().map_err(LedgerError::io("read", JOURNAL))?;
        let mut input = BufReader::new(Input { file, at: 0 });
        let mut found = [0; HEADER_BYTES as usize];
        let damaged = || LedgerError::Damaged { file: JOURNAL.to_owned(), index: 0 };
        if end < HEADER_BYTES {
            return Err(damaged());
        }
        input.read_exact(&mut found).map_err(LedgerError::io("read", JOURNAL))?;
        let [_, _, _, _, _, _, _, _, base @ .., _, _, _, _] = found;
        let base = u64::from_be_bytes(base);
        if found != header(base) || !base.is_multiple_of(TILE_WIDTH) {
            return Err(damaged());
        }
        Ok(Self { input, base, count: 0, offset: HEADER_BYTES, bundles: Vec::new(), end })
    }

    /// Index of the entry that [`Reader::next`] would return.
    pub(crate) fn index(&self) -> u64 {
        self.base + self.count
    }

    /// Bytes behind the last whole record.
    pub(crate) fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.offset)
    }

    pub(crate) fn next(&mut self) -> Result<Next, LedgerError> {
        let left = self.remaining();
        if left == 0 {
            return Ok(Next::End);
        }
        let mut head = [0; RECORD_BYTES as usize];
        if left < RECORD_BYTES {
            return Ok(Next::Torn);
        }
        self.read(&mut head)?;
        let [high, low, crc @ ..] = head;
        let length = u16::from_be_bytes([high, low]);
        if left < RECORD_BYTES + u64::from(length) {
            return Ok(Next::Torn);
        }
        let mut entry = vec![0; usize::from(length)];
        self.read(&mut entry)?;
        let index = self.index();
        if checksum(index, &entry) != u32::from_be_bytes(crc) {
            return Ok(Next::Torn);
        }
        if index.is_multiple_of(TILE_WIDTH) {
            self.bundles.push(self.offset);
        }
        self.offset += RECORD_BYTES + u64::from(length);
        self.count += 1;
        Ok(Next::Entry(entry))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), LedgerError> {
        self.input.read_exact(bytes).map_err(LedgerError::io("read", JOURNAL))
    }
}

/// Whether there is a journal with anything but a header in it.
pub(crate) fn has_entries(files: &Files) -> Result<bool, LedgerError> {
    match files.open(JOURNAL) {
        Ok(file) => Ok(file.length().map_err(LedgerError::io("read", JOURNAL))? > HEADER_BYTES),
        Err(LedgerError::Missing(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn header(base: u64) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    let start = MAGIC.iter().copied().chain(base.to_be_bytes());
    let crc = crc32fast::hash(&start.clone().collect::<Vec<u8>>()).to_be_bytes();
    for (to, from) in bytes.iter_mut().zip(start.chain(crc)) {
        *to = from;
    }
    bytes
}

fn push_record(bytes: &mut Vec<u8>, index: u64, entry: &[u8]) {
    bytes.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(&checksum(index, entry).to_be_bytes());
    bytes.extend_from_slice(entry);
}

fn checksum(index: u64, entry: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index.to_be_bytes());
    hasher.update(entry);
    hasher.finalize()
}
