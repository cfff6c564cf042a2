//! A pack file: its name, its first page, and the walk over its records.

use std::io;

use crate::{
    Location, RecordHeader,
    record::{ALIGNMENT, HEADER_LEN, MAGIC as RECORD_MAGIC, PAGE, TRAILER_LEN, trailer},
};

use super::storage::{PackFile, read_full};

/// Records begin behind the pack's first page.
pub(super) const FIRST_RECORD: u64 = PAGE;

const MAGIC: [u8; 8] = *b"kluispak";
const VERSION: u16 = 1;
const CHECK_BYTES: usize = 1024 * 1024;
/// Read at once where the next record is searched; a multiple of the records' alignment.
const SEARCHED_BYTES: usize = 64 * 1024;

/// The file of a pack.
pub(super) fn name(pack: u64) -> String {
    format!("{pack:016x}.pack")
}

/// The pack of a file; `None` for a file of another kind.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".pack")?;
    let is_ours = digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(digits, 16).ok().filter(|_| is_ours)
}

/// A pack's first page: magic, version, number, checksum.
pub(super) fn first_page(pack: u64) -> Vec<u8> {
    let mut page = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &pack.to_le_bytes()].concat();
    page.extend(crc32fast::hash(&page).to_le_bytes());
    page.resize(FIRST_RECORD as usize, 0);
    page
}

/// Whether the pack begins as it should.
pub(super) fn has_first_page(file: &dyn PackFile, pack: u64) -> io::Result<bool> {
    let mut page = vec![0; FIRST_RECORD as usize];
    match read_full(file, &mut page, 0) {
        Ok(()) => Ok(page == first_page(pack)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether up to a page of bytes holds zeros only.
pub(super) fn is_zero(file: &dyn PackFile, from: u64, to: u64) -> io::Result<bool> {
    let mut page = [0; PAGE as usize];
    let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let part = page.get_mut(..length).ok_or(io::ErrorKind::InvalidInput)?;
    read_full(file, part, from)?;
    Ok(part.iter().all(|byte| *byte == 0))
}

/// The record that begins here and ends by `end`, going by its header alone.
pub(super) fn header_at(file: &dyn PackFile, pack: u64, offset: u64, end: u64) -> io::Result<Option<RecordHeader>> {
    if end.saturating_sub(offset) < HEADER_LEN as u64 {
        return Ok(None);
    }
    let mut bytes = [0; HEADER_LEN];
    read_full(file, &mut bytes, offset)?;
    let header = RecordHeader::decode(&bytes, pack, offset);
    Ok(header.filter(|header| header.location(pack, offset).end().offset <= end))
}

/// Whether everything between header and trailer is what was written.
pub(super) fn has_whole_body(file: &dyn PackFile, location: Location) -> io::Result<bool> {
    let mut at = location.offset.saturating_add(HEADER_LEN as u64);
    let end = location.end().offset.saturating_sub(TRAILER_LEN as u64);
    let mut checksum = crc32fast::Hasher::new();
    let mut buffer = vec![0; CHECK_BYTES];
    while at < end {
        let length = usize::try_from(end.saturating_sub(at)).map_or(CHECK_BYTES, |left| left.min(CHECK_BYTES));
        let part = buffer.get_mut(..length).unwrap_or_default();
        read_full(file, part, at)?;
        checksum.update(part);
        at = at.saturating_add(length as u64);
    }
    let mut last = [0; TRAILER_LEN];
    read_full(file, &mut last, end)?;
    Ok(last == trailer(location.length, checksum.finalize()))
}

/// What a walk meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Record(Location, RecordHeader),
    /// Bytes that are no record, up to the next record or the end.
    Gap {
        from: u64,
        to: u64,
    },
}

/// Goes over a pack's records from `at` to `end`.
pub(super) struct Walk<'a> {
    pub(super) file: &'a dyn PackFile,
    pub(super) pack: u64,
    pub(super) at: u64,
    pub(super) end: u64,
    /// Whether a record counts only when its checksum holds, not for its header alone.
    pub(super) is_thorough: bool,
}

impl Walk<'_> {
    /// The next step, or `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Step>> {
        self.at = self.at.max(FIRST_RECORD);
        if let Some(header) = self.header(self.at)? {
            return Ok(Some(self.step_over(&header)));
        }
        // the zeros that fill the last page of a batch are no gap
        let page = self.at.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX).min(self.end);
        if page > self.at && is_zero(self.file, self.at, page)? {
            self.at = page;
            if let Some(header) = self.header(self.at)? {
                return Ok(Some(self.step_over(&header)));
            }
        }
        if self.at >= self.end {
            return Ok(None);
        }
        let from = self.at;
        let mut to = self.next_magic(from)?;
        // A header names its place, so that nothing else passes for one.
        while to < self.end && self.header(to)?.is_none() {
            to = self.next_magic(to)?;
        }
        self.at = to.min(self.end);
        Ok(Some(Step::Gap { from, to: self.at }))
    }

    fn step_over(&mut self, header: &RecordHeader) -> Step {
        let location = header.location(self.pack, self.at);
        self.at = location.end().offset;
        Step::Record(location, header.clone())
    }

    /// The next place behind `from` where a record could begin, or the end.
    fn next_magic(&self, from: u64) -> io::Result<u64> {
        let mut at = (from / ALIGNMENT).saturating_add(1).saturating_mul(ALIGNMENT);
        let mut buffer = vec![0; SEARCHED_BYTES];
        while at < self.end {
            let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(SEARCHED_BYTES);
            let part = buffer.get_mut(..left.min(SEARCHED_BYTES)).unwrap_or_default();
            read_full(self.file, part, at)?;
            let found = part.chunks(ALIGNMENT as usize).position(|slot| slot.starts_with(&RECORD_MAGIC));
            if let Some(slot) = found {
                return Ok(at.saturating_add(slot as u64 * ALIGNMENT));
            }
            at = at.saturating_add(part.len() as u64);
        }
        Ok(self.end)
    }

    fn header(&self, at: u64) -> io::Result<Option<RecordHeader>> {
        if at >= self.end {
            return Ok(None);
        }
        match header_at(self.file, self.pack, at, self.end)? {
            Some(header) if self.is_thorough && !has_whole_body(self.file, header.location(self.pack, at))? => Ok(None),
            found => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_name_gives_its_number_and_nothing_else_does() {
        for pack in [0, 1, 0xabc, u64::MAX] {
            assert_eq!(number(&name(pack)), Some(pack));
        }
        for other in ["", ".pack", "1.pack", "000000000000000A.pack", "+00000000000000a.pack", "0000000000000001.part"]
        {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
