//! Stored bytes that someone changed.

use std::sync::Arc;

use kluis_keys::StudyKey;
use kluis_vault::{
    DiskVault, Location, Position, RecordKind, RecordPart, Settings, Vault, VaultError, simulation::SimulatedDisk,
};

use crate::fixture::{CHUNK, bytes, load, simulated, store, study_key};

const HEADER: usize = 256;
const SEALED_CHUNK: usize = CHUNK + 16;

fn pack_name(location: Location) -> String {
    format!("{:016x}.pack", location.pack)
}

/// Opens the record, reads all of it, and checks it without a key.
async fn read_all(vault: &DiskVault, key: &StudyKey, location: Location) -> Result<Vec<u8>, VaultError> {
    let object = load(vault, key, location).await;
    vault.check(location).await?;
    object
}

async fn stored(object: &[u8]) -> (SimulatedDisk, Arc<DiskVault>, Arc<StudyKey>, Location) {
    let (disk, key) = (SimulatedDisk::new(), study_key().await);
    let vault = simulated(&disk, Settings::default());
    let location = store(&*vault, &key, object).await.unwrap();
    (disk, vault, key, location)
}

#[tokio::test]
async fn every_flipped_byte_of_a_record_is_found() {
    let (disk, vault, key, location) = stored(&bytes(1_000, 1)).await;
    let start = location.offset as usize;
    for at in start..location.end().offset as usize {
        disk.tamper(&pack_name(location), |bytes| bytes[at] ^= 0x40);
        let found = read_all(&vault, &key, location).await;
        assert!(matches!(found, Err(VaultError::Damaged { .. })), "byte {}", at - start);
        disk.tamper(&pack_name(location), |bytes| bytes[at] ^= 0x40);
    }
    assert!(read_all(&vault, &key, location).await.unwrap() == bytes(1_000, 1));
}

#[tokio::test]
async fn damage_is_named_by_its_part() {
    let object = bytes(3 * CHUNK + 100, 1);
    let (disk, vault, key, location) = stored(&object).await;
    let header = vault.inspect(location).await.unwrap();
    let metadata = HEADER + 3 * SEALED_CHUNK + 116;
    let cases = [
        (0, RecordPart::Header),
        (HEADER - 1, RecordPart::Header),
        (HEADER, RecordPart::Chunk(0)),
        (HEADER + SEALED_CHUNK - 1, RecordPart::Chunk(0)),
        (HEADER + SEALED_CHUNK, RecordPart::Chunk(1)),
        (HEADER + 3 * SEALED_CHUNK, RecordPart::Chunk(3)),
        (metadata, RecordPart::Metadata),
        (metadata + header.metadata_length as usize - 1, RecordPart::Metadata),
    ];
    for (at, expected) in cases {
        let at = location.offset as usize + at;
        disk.tamper(&pack_name(location), |bytes| bytes[at] ^= 1);
        let error = load(&*vault, &key, location).await.unwrap_err();
        assert!(
            matches!(error, VaultError::Damaged { location: place, part } if place == location && part == expected),
            "{error}"
        );
        let checked = vault.check(location).await.unwrap_err();
        assert!(matches!(checked, VaultError::Damaged { part: RecordPart::Header | RecordPart::Checksum, .. }));
        disk.tamper(&pack_name(location), |bytes| bytes[at] ^= 1);
    }
    // A range is read without the damaged chunk, and not with it.
    let at = location.offset as usize + HEADER + SEALED_CHUNK + 5;
    disk.tamper(&pack_name(location), |bytes| bytes[at] ^= 1);
    let reader = vault.open(location, &key).await.unwrap();
    assert!(reader.read(0..CHUNK as u64).await.unwrap() == object[..CHUNK]);
    assert!(reader.read(0..CHUNK as u64 + 1).await.is_err());
    assert!(reader.read(2 * CHUNK as u64..2 * CHUNK as u64 + 9).await.unwrap() == object[2 * CHUNK..2 * CHUNK + 9]);
}

#[tokio::test]
async fn swapped_chunks_are_found() {
    let (disk, vault, key, location) = stored(&bytes(3 * CHUNK, 1)).await;
    let first = location.offset as usize + HEADER;
    disk.tamper(&pack_name(location), |bytes| {
        let (one, two) = bytes[first..first + 2 * SEALED_CHUNK].split_at_mut(SEALED_CHUNK);
        one.swap_with_slice(two);
    });
    let error = load(&*vault, &key, location).await.unwrap_err();
    assert!(matches!(error, VaultError::Damaged { part: RecordPart::Chunk(0), .. }), "{error}");
}

#[tokio::test]
async fn object_shortened_to_a_chunk_is_found() {
    let (disk, vault, key, location) = stored(&bytes(2 * CHUNK, 1)).await;
    let header = vault.inspect(location).await.unwrap();
    let start = location.offset as usize;
    // As an attacker would: lengths and checksums made to fit, the metadata moved up.
    disk.tamper(&pack_name(location), |bytes| {
        let metadata = start + HEADER + 2 * SEALED_CHUNK;
        let length = header.metadata_length as usize;
        bytes.copy_within(metadata..metadata + length, start + HEADER + SEALED_CHUNK);
        let record = (HEADER + SEALED_CHUNK + length + 16).next_multiple_of(64);
        bytes[start + 124..start + 132].copy_from_slice(&(CHUNK as u64).to_le_bytes());
        bytes[start + 140..start + 148].copy_from_slice(&(record as u64).to_le_bytes());
        let sum = crc32fast::hash(&bytes[start..start + 252]).to_le_bytes();
        bytes[start + 252..start + 256].copy_from_slice(&sum);
    });
    let (shorter, _) = vault.scan(Position::START, 1).await.unwrap()[0];
    assert_eq!(vault.inspect(shorter).await.unwrap().plain_length, CHUNK as u64, "the forgery stands by itself");
    let error = load(&*vault, &key, shorter).await.unwrap_err();
    assert!(matches!(error, VaultError::Damaged { part: RecordPart::Chunk(0), .. }), "no final flag: {error}");
    assert!(load(&*vault, &key, location).await.is_err());
}

#[tokio::test]
async fn swapped_records_are_found() {
    let (disk, vault, key, one) = stored(&bytes(1_000, 1)).await;
    let two = store(&*vault, &key, &bytes(1_000, 2)).await.unwrap();
    assert_eq!(one.length, two.length);
    disk.tamper(&pack_name(one), |bytes| {
        let (first, second) = bytes.split_at_mut(two.offset as usize);
        first[one.offset as usize..one.end().offset as usize].swap_with_slice(&mut second[..one.length as usize]);
    });
    for location in [one, two] {
        let error = vault.open(location, &key).await.unwrap_err();
        assert!(matches!(error, VaultError::Damaged { part: RecordPart::Header, .. }), "{error}");
    }
}

#[tokio::test]
async fn bodies_under_exchanged_headers_are_found() {
    let (disk, vault, key, one) = stored(&bytes(1_000, 1)).await;
    let two = store(&*vault, &key, &bytes(1_000, 2)).await.unwrap();
    disk.tamper(&pack_name(one), |bytes| {
        let (first, second) = bytes.split_at_mut(two.offset as usize);
        let body = one.offset as usize + HEADER..one.offset as usize + one.length as usize;
        first[body].swap_with_slice(&mut second[HEADER..one.length as usize]);
    });
    for location in [one, two] {
        let error = vault.open(location, &key).await.unwrap_err();
        assert!(matches!(error, VaultError::Damaged { part: RecordPart::Metadata, .. }), "{error}");
    }
}

#[tokio::test]
async fn kind_cannot_be_changed() {
    let (disk, vault, key, location) = stored(&bytes(1_000, 1)).await;
    let start = location.offset as usize;
    disk.tamper(&pack_name(location), |bytes| {
        bytes[start + 10] = 3;
        let sum = crc32fast::hash(&bytes[start..start + 252]).to_le_bytes();
        bytes[start + 252..start + 256].copy_from_slice(&sum);
    });
    assert_eq!(vault.inspect(location).await.unwrap().kind, RecordKind::Conflict, "the forgery stands by itself");
    assert!(matches!(vault.open(location, &key).await, Err(VaultError::Damaged { .. })));
}

#[tokio::test]
async fn pack_cut_short_or_gone_is_named() {
    let (disk, vault, key, location) = stored(&bytes(5_000, 1)).await;
    drop(vault);
    disk.tamper(&pack_name(location), |bytes| bytes.truncate(location.offset as usize + 300));
    let vault = simulated(&disk, Settings::default());
    let error = vault.open(location, &key).await.unwrap_err();
    assert!(matches!(error, VaultError::Damaged { part: RecordPart::End, .. }), "{error}");
    disk.tamper(&pack_name(location), |bytes| bytes.truncate(100));
    let error = vault.open(location, &key).await.unwrap_err();
    assert!(matches!(error, VaultError::Damaged { .. }), "{error}");
    let elsewhere = Location { pack: location.pack + 1, ..location };
    assert!(matches!(vault.open(elsewhere, &key).await, Err(VaultError::NoPack { .. })));
}

/// The record behind a damaged one is still found.
#[tokio::test]
async fn scan_goes_on_behind_damage() {
    let (disk, vault, key, one) = stored(&bytes(9_000, 1)).await;
    let two = store(&*vault, &key, &bytes(9_000, 2)).await.unwrap();
    let three = store(&*vault, &key, &bytes(9_000, 3)).await.unwrap();
    for (damaged, left) in [(one, [two, three]), (two, [one, three])] {
        disk.tamper(&pack_name(one), |bytes| bytes[damaged.offset as usize + 20] ^= 1);
        let found = vault.scan(Position::START, 9).await.unwrap();
        assert_eq!(found.into_iter().map(|(location, _)| location).collect::<Vec<_>>(), left);
        disk.tamper(&pack_name(one), |bytes| bytes[damaged.offset as usize + 20] ^= 1);
    }
    // One with a damaged body is listed, so that it can be named.
    disk.tamper(&pack_name(one), |bytes| bytes[two.offset as usize + 300] ^= 1);
    assert_eq!(vault.scan(Position::START, 9).await.unwrap().len(), 3);
    assert!(matches!(vault.check(two).await, Err(VaultError::Damaged { part: RecordPart::Checksum, .. })));
}
