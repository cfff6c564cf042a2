//! Keys and objects for the tests.

use std::sync::Arc;

use kluis_keys::{KeyId, KeyRing, MemoryKeyTable, RootProvider, StudyKey, StudyKeys};
use kluis_vault::{
    DiskVault, Location, ObjectReader, RecordKind, SealedObject, Settings, Vault, VaultError, simulation::SimulatedDisk,
};
use tempfile::TempDir;

pub const CHUNK: usize = 65_536;

pub async fn study_keys() -> StudyKeys {
    let dir = TempDir::new().unwrap();
    let provider = RootProvider::KeyFile(dir.path().join("root.key"));
    let ring = KeyRing::create(&dir.path().join("keys"), &provider).unwrap();
    ring.study_keys(Arc::new(MemoryKeyTable::new()))
}

pub async fn study_key() -> Arc<StudyKey> {
    study_keys().await.get_or_create(KeyId([1; 32])).await.unwrap()
}

/// Bytes that differ from place to place and from object to object.
pub fn bytes(length: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed).wrapping_add(1).wrapping_mul(0x9e37_79b9);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

pub async fn seal(vault: &dyn Vault, key: &StudyKey, object: &[u8]) -> Result<SealedObject, VaultError> {
    let mut writer = vault.begin(RecordKind::Instance);
    writer.write(object).await?;
    writer.finish(key, b"metadata").await
}

pub async fn store(vault: &dyn Vault, key: &StudyKey, object: &[u8]) -> Result<Location, VaultError> {
    let sealed = seal(vault, key, object).await?;
    Ok(vault.commit(vec![sealed]).await?[0])
}

pub async fn load(vault: &dyn Vault, key: &StudyKey, location: Location) -> Result<Vec<u8>, VaultError> {
    collect(&vault.open(location, key).await?).await
}

/// The whole object, over its stream.
pub async fn collect(reader: &ObjectReader) -> Result<Vec<u8>, VaultError> {
    use futures_util::StreamExt;

    let mut stream = reader.stream(0..reader.plain_len())?;
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        assert!(!piece.is_empty() && piece.len() <= 512 * 1024, "a piece of {} bytes", piece.len());
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

pub fn simulated(disk: &SimulatedDisk, settings: Settings) -> Arc<DiskVault> {
    Arc::new(DiskVault::with_storage(disk.mount(), settings).unwrap())
}

/// A vault in which everything beyond a few chunks is spilled.
pub fn small() -> Settings {
    Settings { gathered_bytes: 4 * CHUNK, ..Settings::default() }
}
