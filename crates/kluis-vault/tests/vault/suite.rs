//! What every vault must do. A new implementation adds its own `#[tokio::test]` that calls [`vault_suite`].

use std::sync::Arc;

use kluis_keys::KeyId;
use kluis_vault::{
    DiskVault, Position, RecordKind, RecordPart, Settings, Vault, VaultError, simulation::SimulatedDisk,
};
use tempfile::TempDir;

use crate::fixture::{CHUNK, bytes, collect, load, seal, simulated, small, store, study_key, study_keys};

#[tokio::test]
async fn disk_passes() {
    let dirs = TempDir::new().unwrap();
    let count = std::cell::Cell::new(0);
    vault_suite(|| {
        count.set(count.get() + 1);
        let directory = dirs.path().join(count.get().to_string());
        Arc::new(DiskVault::open(&directory, Settings::default()).unwrap())
    })
    .await;
}

#[tokio::test]
async fn disk_passes_when_nearly_everything_is_spilled() {
    vault_suite(|| simulated(&SimulatedDisk::new(), small())).await;
}

#[tokio::test]
async fn disk_passes_with_a_pack_for_every_batch() {
    vault_suite(|| simulated(&SimulatedDisk::new(), Settings { pack_bytes: 0, ..Settings::default() })).await;
}

/// `make` gives a new, empty vault at every call.
pub async fn vault_suite(make: impl Fn() -> Arc<dyn Vault>) {
    objects_come_back(&*make()).await;
    ranges_come_back(&*make()).await;
    metadata_comes_back(&*make()).await;
    records_say_what_they_are(&*make()).await;
    scan_gives_commit_order(&*make()).await;
    uncommitted_objects_are_not_there(&*make()).await;
    another_key_opens_nothing(&*make()).await;
    concurrent_commits_all_hold(make()).await;
    nothing_to_commit_is_no_error(&*make()).await;
}

async fn objects_come_back(vault: &dyn Vault) {
    let key = study_key().await;
    let mib = 1024 * 1024;
    let sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK, 8 * mib - 1, 8 * mib, 8 * mib + 1, 20 * mib];
    for (seed, size) in sizes.into_iter().enumerate() {
        let object = bytes(size, seed as u8);
        // In pieces that meet and miss the chunks' borders.
        for piece in [1_000_000, CHUNK, 131_072 - 12] {
            let mut writer = vault.begin(RecordKind::Instance);
            for part in object.chunks(piece) {
                writer.write(part).await.unwrap();
            }
            assert_eq!(writer.plain_len(), size as u64);
            let sealed = writer.finish(&key, b"").await.unwrap();
            assert_eq!(sealed.plain_len(), size as u64);
            let location = vault.commit(vec![sealed]).await.unwrap()[0];
            assert!(load(vault, &key, location).await.unwrap() == object, "{size} bytes in pieces of {piece}");
            vault.check(location).await.unwrap();
        }
    }
}

async fn ranges_come_back(vault: &dyn Vault) {
    let key = study_key().await;
    let size = 20 * CHUNK + 5;
    let object = bytes(size, 1);
    let location = store(vault, &key, &object).await.unwrap();
    let reader = vault.open(location, &key).await.unwrap();
    let edges = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 8 * CHUNK - 1, 8 * CHUNK, 8 * CHUNK + 1, size - 6, size - 5, size];
    for from in edges {
        for to in edges.into_iter().filter(|to| *to >= from) {
            let read = reader.read(from as u64..to as u64).await.unwrap();
            assert!(read == object[from..to], "{from}..{to}");
        }
    }
    let size = size as u64;
    for (from, to) in [(0, size + 1), (size, size + 1), (size + 1, size + 1), (5, 4), (0, u64::MAX), (u64::MAX, 0)] {
        #[allow(clippy::reversed_empty_ranges, reason = "what a careless caller gives")]
        let (read, stream) = (reader.read(from..to).await, reader.stream(from..to));
        assert!(matches!(read, Err(VaultError::Range { .. })), "{from}..{to}");
        assert!(matches!(stream, Err(VaultError::Range { .. })), "{from}..{to}");
    }
    let long = bytes(9 * 1024 * 1024, 2);
    let location = store(vault, &key, &long).await.unwrap();
    let reader = vault.open(location, &key).await.unwrap();
    let most = kluis_vault::READ_BYTES;
    assert!(reader.read(7..7 + most).await.unwrap() == long[7..7 + most as usize]);
    assert!(matches!(reader.read(0..most + 1).await, Err(VaultError::Range { .. })), "longer than one read");
}

async fn metadata_comes_back(vault: &dyn Vault) {
    let key = study_key().await;
    for size in [0, 1, 5_000, 127 * 1024, 129 * 1024, 3 * 1024 * 1024] {
        let metadata = bytes(size, 9);
        let mut writer = vault.begin(RecordKind::Instance);
        writer.write(b"object").await.unwrap();
        let sealed = writer.finish(&key, &metadata).await.unwrap();
        let location = vault.commit(vec![sealed]).await.unwrap()[0];
        let reader = vault.open(location, &key).await.unwrap();
        assert!(reader.metadata() == metadata, "{size} bytes");
        assert_eq!(collect(&reader).await.unwrap(), b"object");
    }
    let too_long = vec![0; kluis_vault::METADATA_BYTES + 1];
    let writer = vault.begin(RecordKind::Instance);
    assert!(matches!(writer.finish(&key, &too_long).await, Err(VaultError::MetadataTooLong { .. })));
    // All zeros: compressed to almost nothing, and bounded when it is opened.
    let sealed = vault.begin(RecordKind::Instance).finish(&key, &too_long[1..]).await.unwrap();
    assert!(sealed.record_len() < 64 * 1024);
    let location = vault.commit(vec![sealed]).await.unwrap()[0];
    assert_eq!(vault.open(location, &key).await.unwrap().metadata().len(), kluis_vault::METADATA_BYTES);
}

async fn records_say_what_they_are(vault: &dyn Vault) {
    let key = study_key().await;
    for kind in [RecordKind::Instance, RecordKind::Manifest, RecordKind::Conflict] {
        let mut writer = vault.begin(kind);
        let id = writer.id();
        writer.write(&bytes(70_000, 0)).await.unwrap();
        let sealed = writer.finish(&key, b"metadata").await.unwrap();
        let expected = sealed.header().clone();
        assert_eq!((expected.kind, expected.object, expected.key), (kind, id, key.id()));
        assert_eq!((sealed.id(), expected.plain_length), (id, 70_000));
        let length = sealed.record_len();
        let location = vault.commit(vec![sealed]).await.unwrap()[0];
        assert_eq!(location.length, length);
        assert_eq!(vault.inspect(location).await.unwrap(), expected);
        assert_eq!(vault.check(location).await.unwrap(), expected);
        assert_eq!(vault.open(location, &key).await.unwrap().header(), &expected);
    }
}

async fn scan_gives_commit_order(vault: &dyn Vault) {
    let key = study_key().await;
    assert!(vault.scan(Position::START, 10).await.unwrap().is_empty());
    let mut locations = Vec::new();
    let mut ids = Vec::new();
    for round in 0..6_u8 {
        // Small and spilled ones, alone and together.
        let mut objects = vec![seal(vault, &key, &bytes(100, round)).await.unwrap()];
        if round % 2 == 1 {
            objects.push(seal(vault, &key, &bytes(9 * 1024 * 1024, round)).await.unwrap());
            objects.push(seal(vault, &key, &bytes(5 * CHUNK, round)).await.unwrap());
        }
        let sealed: Vec<_> = objects.iter().map(|object| object.id()).collect();
        let committed = vault.commit(objects).await.unwrap();
        let mut places: Vec<_> = committed.into_iter().zip(sealed).collect();
        // Within one call the order is the vault's; between calls it is theirs.
        places.sort_by_key(|(location, _)| *location);
        assert!(locations.last().is_none_or(|last| *last < places[0].0), "a later commit lies behind");
        locations.extend(places.iter().map(|(location, _)| *location));
        ids.extend(places.iter().map(|(_, id)| *id));
        assert_eq!(vault.position().await.unwrap(), locations.last().unwrap().end());
    }
    for limit in [1, 2, 100] {
        let (mut after, mut found) = (Position::START, Vec::new());
        loop {
            let page = vault.scan(after, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some((last, _)) = page.last() else { break };
            after = last.end();
            found.extend(page);
        }
        assert_eq!(found.iter().map(|(location, _)| *location).collect::<Vec<_>>(), locations, "limit {limit}");
        assert_eq!(found.iter().map(|(_, header)| header.object).collect::<Vec<_>>(), ids, "limit {limit}");
    }
    let recovery = vault.recover(vault.position().await.unwrap()).await.unwrap();
    assert_eq!(recovery, kluis_vault::Recovery::default(), "nothing to recover in a running vault");
}

async fn uncommitted_objects_are_not_there(vault: &dyn Vault) {
    let key = study_key().await;
    let mut writer = vault.begin(RecordKind::Instance);
    writer.write(&bytes(9 * 1024 * 1024, 1)).await.unwrap();
    drop(writer);
    drop(seal(vault, &key, &bytes(9 * 1024 * 1024, 2)).await.unwrap());
    drop(seal(vault, &key, b"small").await.unwrap());
    assert!(vault.scan(Position::START, 10).await.unwrap().is_empty());
    assert_eq!(vault.position().await.unwrap(), Position::START);
}

async fn another_key_opens_nothing(vault: &dyn Vault) {
    let keys = study_keys().await;
    let key = keys.get_or_create(KeyId([1; 32])).await.unwrap();
    let other = keys.get_or_create(KeyId([2; 32])).await.unwrap();
    let impostor = study_keys().await.get_or_create(KeyId([1; 32])).await.unwrap();
    let location = store(vault, &key, b"object").await.unwrap();
    assert!(matches!(vault.open(location, &other).await, Err(VaultError::OtherKey { .. })));
    let opened = vault.open(location, &impostor).await;
    assert!(matches!(opened, Err(VaultError::Damaged { part: RecordPart::Key, .. })), "same id, other bytes");
}

async fn concurrent_commits_all_hold(vault: Arc<dyn Vault>) {
    let key = study_key().await;
    let tasks: Vec<_> = (0..24_u8)
        .map(|seed| {
            let (vault, key) = (Arc::clone(&vault), Arc::clone(&key));
            tokio::spawn(async move {
                let size = if seed % 8 == 0 { 9 * 1024 * 1024 } else { 30_000 * usize::from(seed) };
                let object = bytes(size, seed);
                let location = store(&*vault, &key, &object).await.unwrap();
                (location, object)
            })
        })
        .collect();
    let mut locations = Vec::new();
    for task in tasks {
        let (location, object) = task.await.unwrap();
        assert!(load(&*vault, &key, location).await.unwrap() == object);
        locations.push(location);
    }
    locations.sort();
    let scanned = vault.scan(Position::START, 100).await.unwrap();
    assert_eq!(scanned.into_iter().map(|(location, _)| location).collect::<Vec<_>>(), locations);
}

async fn nothing_to_commit_is_no_error(vault: &dyn Vault) {
    assert!(vault.commit(Vec::new()).await.unwrap().is_empty());
    let nowhere = kluis_vault::Location { pack: 77, offset: 4096, length: 4096 };
    assert!(matches!(vault.inspect(nowhere).await, Err(VaultError::NoPack { .. })));
}
