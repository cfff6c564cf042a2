//! Packs of a vault whose disk another hand wrote: no record is believed that is not whole, none is opened that was not
//! sealed by us, and what recovery cuts is never a whole record.
//!
//! The checksums of headers and records are set right here, as anyone could: they are no secret, and without them no input
//! would come behind the first page. The form is written down a second time, so that a change of the vault's is noticed.

use std::sync::{Arc, OnceLock};

use kluis_keys::{KeyId, KeyRing, MemoryKeyTable, ObjectId, RootProvider, StudyKey, WRAPPED_OBJECT_KEY_LEN};
use kluis_vault::{DiskVault, Location, Position, RecordHeader, Settings, Vault, simulation::SimulatedDisk};
use tokio::runtime::Runtime;

use crate::input::Input;

const PAGE: usize = 4096;
/// Records begin and end on multiples of this.
const ALIGNMENT: usize = 64;
const HEADER: usize = 256;
const TRAILER: usize = 16;
const NAME: &str = "0000000000000001.pack";
/// The longest pack that is made.
const PACK: usize = 256 << 10;
const KEY: [u8; 32] = [1; 32];

/// `first page (1) | steps`, each of which appends a record, a forged one or other bytes, or changes what stands there.
pub fn pack_reader(data: &[u8]) {
    let mut input = Input(data);
    let pack = Pack::made(&mut input);
    let asked = Location { pack: 1, offset: input.longest(), length: input.longest() };
    RUNTIME.with(|runtime| {
        let Some(runtime) = runtime else { return };
        runtime.block_on(read(&pack.bytes, asked));
    });
}

thread_local! {
    static RUNTIME: Option<Runtime> =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_time().build().ok();
}

/// A key that sealed none of the records.
fn key() -> Option<&'static Arc<StudyKey>> {
    static RING: OnceLock<Option<KeyRing>> = OnceLock::new();
    static KEYS: OnceLock<Option<Arc<StudyKey>>> = OnceLock::new();
    let ring = RING.get_or_init(|| {
        let folder = tempfile::tempdir().ok()?;
        KeyRing::create(&folder.path().join("keys"), &RootProvider::KeyFile(folder.path().join("root.key"))).ok()
    });
    let make = || {
        let keys = ring.as_ref()?.study_keys(Arc::new(MemoryKeyTable::new()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
        std::thread::spawn(move || runtime.block_on(keys.get_or_create(KeyId(KEY))).ok()).join().ok()?
    };
    KEYS.get_or_init(make).as_ref()
}

async fn read(bytes: &[u8], asked: Location) {
    let disk = SimulatedDisk::new();
    let storage = disk.mount();
    let Ok(file) = storage.create(NAME) else { return };
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let Ok(written) = file.write_at(rest, at as u64) else { return };
        at += written;
    }
    let Ok(vault) = DiskVault::with_storage(disk.mount(), Settings::default()) else { return };
    let listed = scanned(&vault).await;
    let mut whole = 0;
    let mut behind = 0;
    for (location, header) in &listed {
        assert_eq!(location.pack, 1);
        assert!(is_aligned(location.offset) && is_aligned(location.length) && location.length > 0);
        assert!(location.offset >= behind, "records overlap");
        behind = location.offset + location.length;
        assert!(behind <= bytes.len() as u64, "a record ends behind its pack");
        assert!(header.plain_length + header.metadata_length < location.length, "a record is longer than it is");
        let inspected = vault.inspect(*location).await;
        assert!(inspected.is_ok_and(|inspected| inspected == *header), "a record that is listed cannot be inspected");
        let is_whole = is_whole(bytes, *location);
        assert_eq!(vault.check(*location).await.is_ok(), is_whole, "a checksum is believed or doubted wrongly");
        whole += u64::from(is_whole);
        if let Some(key) = key() {
            assert!(vault.open(*location, key).await.is_err(), "a record is opened that nobody sealed");
        }
    }
    if let Ok(header) = vault.inspect(asked).await {
        assert!(
            listed.iter().any(|(location, listed)| *location == asked && *listed == header) || is_aligned(asked.offset)
        );
    }
    assert!(vault.check(asked).await.is_err() || is_whole(bytes, asked));
    // inside a broken record others may stand, which no list shows
    recovered(&vault, &disk, bytes, whole, whole == listed.len() as u64).await;
}

async fn recovered(vault: &DiskVault, disk: &SimulatedDisk, bytes: &[u8], whole: u64, listed_whole: bool) {
    let found = vault.recover(Position::START).await;
    assert!(found.is_ok(), "recovery fails: {:?}", found.err());
    let Ok(found) = found else { return };
    if listed_whole {
        assert!(found.records >= whole, "{} of {whole} whole records are left", found.records);
    }
    let left = disk.bytes(NAME);
    let is_page_new = bytes.iter().take(4_096).all(|byte| *byte == 0);
    let kept = if is_page_new { 4_096 } else { 0 };
    assert!(
        left.is_empty() || bytes.get(kept..left.len()) == left.get(kept..),
        "recovery changed what it did not cut, and was no missing first page"
    );
    let cut: u64 = found.cuts.iter().map(|cut| cut.bytes).sum();
    assert_eq!(cut, (bytes.len() - left.len()) as u64);
    let again = vault.recover(Position::START).await;
    assert!(
        again.is_ok_and(|again| again.cuts.is_empty() && again.records == found.records),
        "recovery does not settle"
    );
    if found.gaps.is_empty() {
        assert_eq!(scanned(vault).await.len() as u64, found.records);
    }
}

/// All records, asked for a few at a time.
async fn scanned(vault: &DiskVault) -> Vec<(Location, RecordHeader)> {
    let mut all: Vec<(Location, RecordHeader)> = Vec::new();
    loop {
        let after = all.last().map_or(Position::START, |(location, _)| location.end());
        let next = vault.scan(after, 3).await;
        assert!(next.is_ok(), "a scan fails: {:?}", next.err());
        let next = next.unwrap_or_default();
        assert!(next.len() <= 3);
        if next.is_empty() {
            break;
        }
        all.extend(next);
        assert!(all.len() <= PACK / (HEADER + ALIGNMENT), "more records than there is room for");
    }
    let at_once = vault.scan(Position::START, 10_000).await;
    assert!(at_once.is_ok_and(|at_once| at_once == all), "a scan in steps finds others");
    all
}

fn is_aligned(number: u64) -> bool {
    number.is_multiple_of(ALIGNMENT as u64)
}

/// Whether the trailer of the record fits what stands before it.
fn is_whole(bytes: &[u8], location: Location) -> bool {
    let whole = || {
        let from = usize::try_from(location.offset).ok()?;
        let record = bytes.get(from..from.checked_add(usize::try_from(location.length).ok()?)?)?;
        let (body, trailer) = record.get(HEADER..)?.split_last_chunk::<TRAILER>()?;
        Some(*trailer == trailer_of(location.length, body))
    };
    whole().unwrap_or_default()
}

fn trailer_of(length: u64, body: &[u8]) -> [u8; TRAILER] {
    let mut trailer = [0; TRAILER];
    let fields = b"kend".iter().copied().chain(crc32fast::hash(body).to_le_bytes()).chain(length.to_le_bytes());
    trailer.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    trailer
}

/// A pack in the making.
struct Pack {
    bytes: Vec<u8>,
}

impl Pack {
    fn made(input: &mut Input<'_>) -> Self {
        let mut pack = Self { bytes: Vec::new() };
        match input.byte() {
            0 => {
                let number = 1_u64.to_le_bytes();
                let page = [b"kluispak".as_slice(), &1_u16.to_le_bytes(), &number].concat();
                let sum = crc32fast::hash(&page).to_le_bytes();
                pack.append(&[page.as_slice(), &sum].concat());
                pack.bytes.resize(PAGE, 0);
            }
            1 => pack.bytes.resize(PAGE, 0),
            _ => pack.append(input.take(32)),
        }
        for _ in 0..32 {
            if input.is_empty() {
                break;
            }
            pack.step(input);
        }
        pack
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 6 {
            0 => {
                let length = self.bytes.len().next_multiple_of(ALIGNMENT);
                self.bytes.resize(length, 0);
                let (kind, plain, metadata) = (input.byte() % 4, input.short() / 2, input.short() / 8);
                self.record(kind, u64::from(plain), u64::from(metadata), None);
            }
            1 => {
                let (kind, plain, metadata) = (input.byte(), input.longest(), input.longest());
                let place = (input.longest(), u64::from(input.byte()), input.longest());
                self.record(kind, plain, metadata, Some(place));
            }
            2 => {
                let length = usize::from(input.byte());
                self.append(input.take(length));
                self.bytes.resize(self.bytes.len().next_multiple_of(PAGE), 0);
            }
            3 => {
                let length = usize::from(input.short());
                self.append(input.take(length));
            }
            4 => {
                let (at, flip) = (input.long() as usize, input.byte());
                let length = self.bytes.len().max(1);
                if let Some(byte) = self.bytes.get_mut(at % length) {
                    *byte ^= flip;
                }
            }
            _ => {
                let less = usize::from(input.short());
                self.bytes.truncate(self.bytes.len().saturating_sub(less));
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() <= PACK {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// A record whose header has its checksum, and whose trailer fits where it can be written at all; `place` puts other
    /// numbers for length, pack and offset.
    fn record(&mut self, kind: u8, plain: u64, metadata: u64, place: Option<(u64, u64, u64)>) {
        let sealed = plain.saturating_add(plain.div_ceil(64 << 10).max(1).saturating_mul(16));
        let end = sealed.saturating_add(metadata).saturating_add((HEADER + TRAILER) as u64);
        let length = end.div_ceil(ALIGNMENT as u64).saturating_mul(ALIGNMENT as u64);
        let offset = self.bytes.len() as u64;
        let (said_length, said_pack, said_offset) = place.unwrap_or((length, 1, offset));
        let mut header =
            [b"kluisrec".as_slice(), &1_u16.to_le_bytes(), &[kind, 0], &(64_u32 << 10).to_le_bytes()].concat();
        header.extend(ObjectId([3; 16]).0);
        header.extend(KEY);
        header.extend([5; WRAPPED_OBJECT_KEY_LEN]);
        // zeros mean the right numbers
        let numbers = [plain, metadata, said_length, said_pack, said_offset];
        let right = [plain, metadata, length, 1, offset];
        for (said, right) in numbers.into_iter().zip(right) {
            header.extend(if place.is_some() && said == 0 { right } else { said }.to_le_bytes());
        }
        header.resize(HEADER - 4, 0);
        header.extend(crc32fast::hash(&header).to_le_bytes());
        let room = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(HEADER + TRAILER);
        if room > PACK - self.bytes.len().min(PACK) {
            self.append(&header);
            return;
        }
        let body = vec![kind; room];
        self.append(&[header.as_slice(), &body, &trailer_of(length, &body)].concat());
    }
}

#[cfg(test)]
mod tests {
    use kluis_vault::RecordKind;

    use super::*;

    /// Without this the target would look at nothing but refusals when the form of a record changes.
    #[test]
    fn records_made_here_are_records_to_the_vault() {
        let mut pack = Pack::made(&mut Input(&[0]));
        for (kind, plain, metadata) in [(1, 0, 0), (2, 100_000, 7), (3, 5_000, 4_000)] {
            pack.record(kind, plain, metadata, None);
        }
        let disk = SimulatedDisk::new();
        disk.mount().create(NAME).unwrap().write_at(&pack.bytes, 0).unwrap();
        let vault = DiskVault::with_storage(disk.mount(), Settings::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(scanned(&vault));
        let kinds = [RecordKind::Instance, RecordKind::Manifest, RecordKind::Conflict];
        assert_eq!(found.iter().map(|(_, header)| header.kind).collect::<Vec<_>>(), kinds);
        for (location, header) in found {
            assert!(runtime.block_on(vault.check(location)).is_ok_and(|checked| checked == header));
        }
        assert!(key().is_some());
    }
}
