//! AES-256-GCM over an object's chunks (the STREAM construction) and its metadata.
//!
//! One random key per object. Nonce = domain 1 | zeros 2 | counter 8 | final flag 1; associated data = object id, kind,
//! counter. So a chunk that was moved, swapped, left out or taken from another object does not open, nor does an object
//! that was cut at a chunk's border.

use std::{cell::RefCell, io};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use kluis_keys::{ObjectId, ObjectKey};

use zstd::bulk::Compressor;

use crate::{
    RecordKind, VaultError,
    limits::{INLINE_METADATA_BYTES, METADATA_BYTES},
    record::TAG_LEN,
};

const CHUNKS: u8 = 1;
const METADATA: u8 = 2;
/// Level 1 compresses DICOM JSON and header bytes within a few percent of level 3, twice as fast.
const ZSTD_LEVEL: i32 = 1;

/// Seals or opens the parts of one object.
pub(crate) struct Sealing {
    key: LessSafeKey,
    associated: [u8; 17],
}

impl Sealing {
    pub(crate) fn new(object: ObjectId, kind: RecordKind, key: &ObjectKey) -> Result<Self, VaultError> {
        let key = UnboundKey::new(&AES_256_GCM, key.as_bytes());
        let key = key.map_err(|_| VaultError::Library { operation: "key set-up" })?;
        let mut associated = [kind.code(); 17];
        for (to, from) in associated.iter_mut().zip(object.0) {
            *to = from;
        }
        Ok(Self { key: LessSafeKey::new(key), associated })
    }

    /// Seals a chunk in place; its tag belongs behind it.
    pub(crate) fn seal_chunk(
        &self,
        number: u64,
        is_final: bool,
        chunk: &mut [u8],
    ) -> Result<[u8; TAG_LEN], VaultError> {
        self.seal(CHUNKS, number, is_final, chunk)
    }

    /// Opens a sealed chunk into `plain`, which is shorter by the tag. `None` when it is not what was sealed.
    pub(crate) fn open_chunk(&self, number: u64, is_final: bool, sealed: &[u8], plain: &mut [u8]) -> Option<()> {
        let (body, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_LEN)?)?;
        if cfg!(kluis_bench_bare) {
            plain.copy_from_slice(body);
            return Some(());
        }
        let aad = Aad::from(self.aad(number));
        self.key.open_separate_gather(nonce(CHUNKS, number, is_final), aad, body, tag, plain).ok()
    }

    /// Compresses and seals metadata: its length (8), zstd, tag.
    pub(crate) fn seal_metadata(&self, metadata: &[u8]) -> Result<Vec<u8>, VaultError> {
        let compressed = compress(metadata).map_err(|_| VaultError::Library { operation: "compression" })?;
        let mut sealed = Vec::with_capacity(compressed.len().saturating_add(8 + TAG_LEN));
        sealed.extend((metadata.len() as u64).to_le_bytes());
        sealed.extend(compressed);
        let tag = self.seal(METADATA, 0, true, &mut sealed)?;
        sealed.extend(tag);
        Ok(sealed)
    }

    /// Undoes [`seal_metadata`](Self::seal_metadata). `None` when it is not what was sealed.
    pub(crate) fn open_metadata(&self, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let plain: &[u8] = if cfg!(kluis_bench_bare) {
            sealed.get(..sealed.len().checked_sub(TAG_LEN)?)?
        } else {
            self.key.open_in_place(nonce(METADATA, 0, true), Aad::from(self.aad(0)), &mut sealed).ok()?
        };
        let (length, compressed) = plain.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= METADATA_BYTES)?;
        zstd::bulk::decompress(compressed, length).ok().filter(|metadata| metadata.len() == length)
    }

    fn seal(&self, domain: u8, number: u64, is_final: bool, part: &mut [u8]) -> Result<[u8; TAG_LEN], VaultError> {
        if cfg!(kluis_bench_bare) {
            return Ok([0; TAG_LEN]);
        }
        let aad = Aad::from(self.aad(number));
        let tag = self.key.seal_in_place_separate_tag(nonce(domain, number, is_final), aad, part);
        let tag = tag.ok().and_then(|tag| tag.as_ref().try_into().ok());
        tag.ok_or(VaultError::Library { operation: "sealing" })
    }

    fn aad(&self, number: u64) -> [u8; 25] {
        let mut bytes = [0; 25];
        for (to, from) in bytes.iter_mut().zip(self.associated.into_iter().chain(number.to_be_bytes())) {
            *to = from;
        }
        bytes
    }
}

thread_local! {
    /// Setting one up takes as long as compressing a header.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

fn compress(metadata: &[u8]) -> io::Result<Vec<u8>> {
    if metadata.len() > INLINE_METADATA_BYTES {
        // what a large one needs is not kept by each thread that ever compressed one
        return zstd::bulk::compress(metadata, ZSTD_LEVEL);
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(ZSTD_LEVEL)?),
        };
        compressor.compress(metadata)
    })
}

fn nonce(domain: u8, number: u64, is_final: bool) -> Nonce {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    Nonce::assume_unique_for_key([domain, 0, 0, a, b, c, d, e, f, g, h, u8::from(is_final)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A nonce used twice gives the key stream away: the same bytes sealed in any two places look different.
    #[test]
    fn no_two_places_share_a_nonce() {
        let sealing = Sealing::new(ObjectId([1; 16]), RecordKind::Instance, &ObjectKey::random()).unwrap();
        let mut seen = std::collections::HashSet::new();
        for number in [0, 1, 2, 255, 256, 65_535, 65_536, 1 << 32, 1 << 48, u64::MAX] {
            for is_final in [false, true] {
                for domain in [CHUNKS, METADATA] {
                    let mut sealed = vec![0; 32];
                    sealing.seal(domain, number, is_final, &mut sealed).unwrap();
                    assert!(seen.insert(sealed[..32].to_vec()), "{domain} {number} {is_final}");
                }
            }
        }
    }

    #[test]
    fn chunk_opens_only_in_its_place() {
        let (id, kind, key) = (ObjectId([1; 16]), RecordKind::Instance, ObjectKey::random());
        let sealing = Sealing::new(id, kind, &key).unwrap();
        let mut sealed = b"chunk".to_vec();
        let tag = sealing.seal_chunk(3, false, &mut sealed).unwrap();
        sealed.extend(tag);
        let mut plain = [0; 5];
        sealing.open_chunk(3, false, &sealed, &mut plain).unwrap();
        assert_eq!(&plain, b"chunk");
        assert!(sealing.open_chunk(4, false, &sealed, &mut plain).is_none(), "another number");
        assert!(sealing.open_chunk(3, true, &sealed, &mut plain).is_none(), "as the last one");
        assert!(sealing.open_chunk(3, false, &sealed[..15], &mut plain).is_none(), "shorter than a tag");
        assert!(sealing.open_chunk(3, false, &sealed, &mut plain[..4]).is_none(), "another length");
        assert!(sealing.open_metadata(sealed.clone()).is_none(), "as metadata");
        for (id, kind) in [(ObjectId([2; 16]), kind), (id, RecordKind::Manifest)] {
            let other = Sealing::new(id, kind, &key).unwrap();
            assert!(other.open_chunk(3, false, &sealed, &mut plain).is_none(), "{id} {kind:?}");
        }
    }

    #[test]
    fn metadata_longer_than_it_may_be_is_not_unpacked() {
        let sealing = Sealing::new(ObjectId([1; 16]), RecordKind::Instance, &ObjectKey::random()).unwrap();
        let bomb = zstd::bulk::compress(&vec![0; METADATA_BYTES + 1], ZSTD_LEVEL).unwrap();
        for said in [METADATA_BYTES + 1, METADATA_BYTES, 5, usize::MAX] {
            let mut sealed = [&(said as u64).to_le_bytes(), bomb.as_slice()].concat();
            let tag = sealing.seal(METADATA, 0, true, &mut sealed).unwrap();
            sealed.extend(tag);
            assert!(sealing.open_metadata(sealed).is_none(), "says {said}");
        }
    }
}
