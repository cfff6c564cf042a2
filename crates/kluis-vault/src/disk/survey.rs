//! Going over packs and records to verify them. Files are opened anew, so that what is on the disk is looked at and not
//! what an open file still shows.

use std::{io, sync::Arc};

use blake3::Hasher;

use crate::{
    Candidate, Examined, Gap, Location, Position, RecordHeader, RecordPart, Stray, Survey, VaultError,
    limits::SCAN_RECORDS,
    record::{CHUNK_LEN, HEADER_LEN, TAG_LEN, TRAILER_LEN, trailer},
    sealing::Sealing,
};

use super::{
    pack::{self, Step, Walk},
    shared::Shared,
    spill,
    storage::{PackFile, read_full},
};

const SEALED_CHUNK: usize = CHUNK_LEN + TAG_LEN;
/// Bytes read at once: 16 sealed chunks.
const WINDOW_BYTES: usize = 16 * SEALED_CHUNK;
/// Strays in one answer at most; more follow with the next.
const STRAYS: usize = 1_000;
/// Longest name of a stray file that is told.
const NAME_BYTES: usize = 64;

/// What stands behind a position. Blocks.
pub(super) fn survey(shared: &Shared, after: Position, limit: u32) -> Result<Survey, VaultError> {
    let limit = limit.clamp(1, SCAN_RECORDS) as usize;
    let mut survey = Survey::default();
    if after == Position::START {
        stray_files(shared, &mut survey)?;
    }
    let mut from = after;
    while survey.records.len() < limit && survey.strays.len() < STRAYS {
        let next = shared.packs().range(from.pack..).next().map(|(pack, end)| (*pack, *end));
        let Some((pack, end)) = next else { return Ok(survey) };
        let at = if pack == from.pack { from.offset } else { 0 };
        from = match survey_pack(shared, pack, at, end, limit, &mut survey)? {
            Some(offset) => Position { pack, offset },
            None => match pack.checked_add(1) {
                Some(pack) => Position { pack, offset: 0 },
                None => return Ok(survey),
            },
        };
    }
    survey.next = Some(from);
    Ok(survey)
}

/// Where to go on in this pack; `None` where it is over.
fn survey_pack(
    shared: &Shared,
    pack: u64,
    at: u64,
    end: Option<u64>,
    limit: usize,
    survey: &mut Survey,
) -> Result<Option<u64>, VaultError> {
    let failed = |source| VaultError::io("read", source);
    let file = match shared.storage.open(&pack::name(pack)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // a pack that recovery found empty may have gone since its number was read
            if shared.packs().contains_key(&pack) {
                survey.strays.push(Stray::NoPack { pack });
            }
            return Ok(None);
        }
        Err(error) => return Err(VaultError::io("open", error)),
    };
    let length = file.length().map_err(failed)?;
    // behind the end of the pack that is being written stands what is not durable yet
    let end = end.unwrap_or(length);
    if at == 0 && !pack::has_first_page(&*file, pack).map_err(failed)? {
        survey.strays.push(Stray::FirstPage { pack });
    }
    if length < end {
        survey.strays.push(Stray::Gap(Gap { pack, offset: length, bytes: end.saturating_sub(length) }));
    }
    let mut walk = Walk { file: &*file, pack, at, end: end.min(length), is_thorough: false };
    while survey.records.len() < limit && survey.strays.len() < STRAYS {
        match walk.next().map_err(failed)? {
            Some(Step::Record(location, header)) => survey.records.push((location, header)),
            Some(Step::Gap { from, to }) => {
                survey.strays.push(Stray::Gap(Gap { pack, offset: from, bytes: to.saturating_sub(from) }));
            }
            None => return Ok(None),
        }
    }
    Ok(Some(walk.at))
}

fn stray_files(shared: &Shared, survey: &mut Survey) -> Result<(), VaultError> {
    // the list first: what is made meanwhile is in neither, or in the packs only
    let names = shared.storage.list().map_err(|source| VaultError::io("list", source))?;
    let packs = shared.packs();
    let newest = packs.last_key_value().map_or(0, |(pack, _)| *pack);
    for name in names {
        let is_ours = match pack::number(&name) {
            Some(number) => number > newest || packs.contains_key(&number),
            None => spill::is_part(&name),
        };
        if !is_ours && survey.strays.len() < STRAYS {
            let is_plain = name.len() <= NAME_BYTES
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
            survey.strays.push(Stray::File { name: is_plain.then_some(name) });
        }
    }
    Ok(())
}

/// Reads records and verifies them. Blocks.
pub(super) fn examine(shared: &Shared, candidates: Vec<Candidate>, is_full: bool) -> Vec<Result<Examined, VaultError>> {
    let mut open: Option<(u64, Arc<dyn PackFile>)> = None;
    let mut window = Window::default();
    let mut plain = vec![0; CHUNK_LEN];
    let one = |candidate: Candidate| {
        let location = candidate.location;
        let file = match &open {
            Some((pack, file)) if *pack == location.pack => Arc::clone(file),
            _ => {
                let file = shared.storage.open(&pack::name(location.pack)).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => VaultError::NoPack { location },
                    _ => VaultError::io("open", error),
                })?;
                open = Some((location.pack, Arc::clone(&file)));
                file
            }
        };
        window.begin(location);
        let mut reading = Reading { file: &*file, window: &mut window, plain: &mut plain, candidate: &candidate };
        let mut examined = Examined::default();
        let read = if is_full { reading.all(&mut examined) } else { reading.head(&mut examined) };
        match read {
            Ok(()) => Ok(examined),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                examined.damage.push(RecordPart::End);
                Ok(examined)
            }
            Err(error) => Err(VaultError::io("read", error)),
        }
    };
    candidates.into_iter().map(one).collect()
}

/// A stretch of a record in memory, read ahead of what is asked for.
#[derive(Default)]
struct Window {
    /// The record.
    from: u64,
    to: u64,
    /// Where `bytes` begin in the record.
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn begin(&mut self, location: Location) {
        (self.from, self.to) = (location.offset, location.end().offset);
        self.start = 0;
        self.bytes.clear();
    }

    /// This many bytes at a place in the record.
    fn get(&mut self, file: &dyn PackFile, at: u64, length: usize) -> io::Result<&[u8]> {
        let begins = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let held = begins.filter(|skip| skip.checked_add(length).is_some_and(|end| end <= self.bytes.len()));
        let skip = match held {
            Some(skip) => skip,
            None => {
                let place = self.from.saturating_add(at);
                let left = usize::try_from(self.to.saturating_sub(place)).unwrap_or(usize::MAX);
                if left < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.bytes.resize(length.max(WINDOW_BYTES).min(left), 0);
                self.start = at;
                read_full(file, &mut self.bytes, place)?;
                0
            }
        };
        let end = skip.saturating_add(length);
        self.bytes.get(skip..end).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

struct Reading<'a> {
    file: &'a dyn PackFile,
    window: &'a mut Window,
    plain: &'a mut [u8],
    candidate: &'a Candidate,
}

impl Reading<'_> {
    /// Header and metadata only.
    fn head(&mut self, examined: &mut Examined) -> io::Result<()> {
        let header = &self.candidate.header;
        let mut bytes = vec![0; usize::try_from(header.metadata_length).unwrap_or(0)];
        let at = self.candidate.location.offset.saturating_add(header.metadata_offset());
        let sealing = self.sealing(examined);
        read_full(self.file, &mut bytes, at)?;
        self.metadata(sealing.as_ref(), bytes, examined);
        Ok(())
    }

    /// Every byte.
    fn all(&mut self, examined: &mut Examined) -> io::Result<()> {
        let (location, header) = (self.candidate.location, &self.candidate.header);
        let bytes = self.window.get(self.file, 0, HEADER_LEN)?;
        if RecordHeader::decode(bytes, location.pack, location.offset).as_ref() != Some(header) {
            examined.damage.push(RecordPart::Header);
            return Ok(());
        }
        let sealing = self.sealing(examined);
        let mut checksum = crc32fast::Hasher::new();
        self.chunks(sealing.as_ref(), &mut checksum, examined)?;
        let metadata_offset = header.metadata_offset();
        let length = usize::try_from(header.metadata_length).unwrap_or(0);
        let sealed = self.window.get(self.file, metadata_offset, length)?.to_vec();
        checksum.update(&sealed);
        self.metadata(sealing.as_ref(), sealed, examined);
        let padding = crate::record::padding(header);
        let at = metadata_offset.saturating_add(header.metadata_length);
        let rest = self.window.get(self.file, at, padding.saturating_add(TRAILER_LEN))?;
        let (zeros, last) = rest.split_at_checked(padding).unwrap_or_default();
        checksum.update(zeros);
        if last != trailer(location.length, checksum.finalize()) {
            examined.damage.push(RecordPart::Checksum);
        }
        Ok(())
    }

    fn chunks(
        &mut self,
        sealing: Option<&Sealing>,
        checksum: &mut crc32fast::Hasher,
        examined: &mut Examined,
    ) -> io::Result<()> {
        let header = &self.candidate.header;
        let mut digest = Hasher::new();
        let (mut left, mut at, mut is_whole) = (header.plain_length, HEADER_LEN as u64, sealing.is_some());
        for number in 0..header.chunks() {
            let length = usize::try_from(left).map_or(CHUNK_LEN, |left| left.min(CHUNK_LEN));
            let sealed = self.window.get(self.file, at, length.saturating_add(TAG_LEN))?;
            checksum.update(sealed);
            let plain = self.plain.get_mut(..length).unwrap_or_default();
            let is_final = number.saturating_add(1) == header.chunks();
            if let Some(sealing) = sealing {
                if sealing.open_chunk(number, is_final, sealed, plain).is_some() {
                    digest.update(plain);
                } else {
                    is_whole = false;
                    if examined.damage.len() < Examined::DAMAGE_MAX {
                        examined.damage.push(RecordPart::Chunk(number));
                    }
                }
            }
            left = left.saturating_sub(length as u64);
            at = at.saturating_add(length as u64).saturating_add(TAG_LEN as u64);
        }
        examined.bytes = header.plain_length;
        examined.digest = is_whole.then(|| *digest.finalize().as_bytes());
        Ok(())
    }

    fn sealing(&self, examined: &mut Examined) -> Option<Sealing> {
        let (header, key) = (&self.candidate.header, self.candidate.key.as_ref()?);
        let opened = key.unwrap(header.object, &header.wrapped).ok();
        let sealing = opened.and_then(|key| Sealing::new(header.object, header.kind, &key).ok());
        if sealing.is_none() || key.id() != header.key {
            examined.damage.push(RecordPart::Key);
            return None;
        }
        sealing
    }

    fn metadata(&self, sealing: Option<&Sealing>, sealed: Vec<u8>, examined: &mut Examined) {
        let Some(sealing) = sealing else { return };
        examined.metadata = sealing.open_metadata(sealed);
        if examined.metadata.is_none() {
            examined.damage.push(RecordPart::Metadata);
        }
    }
}
