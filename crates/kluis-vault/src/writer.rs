//! An object on its way in.

use std::{fmt, sync::Arc};

use blake3::Hasher;
use crc32fast::Hasher as Checksum;
use kluis_keys::{ObjectId, ObjectKey, StudyKey};

use crate::{
    RecordHeader, RecordKind, VaultError,
    disk::{AlignedBytes, Shared, Spill},
    limits::{
        INLINE_METADATA_BYTES, METADATA_BYTES, OBJECT_BYTES, SLOW_SPILL_HAND_BYTES, SLOW_SPILL_WRITE_BYTES,
        SPILL_HAND_BYTES, SPILL_WRITE_BYTES,
    },
    record::{self, CHUNK_LEN, HEADER_LEN},
    sealing::Sealing,
};

/// Seals an object's bytes as they arrive. Up to the vault's limit (8 MiB) the sealed bytes are gathered in memory, more
/// than that goes to a file of its own, already sealed. Dropping it leaves nothing.
pub struct ObjectWriter {
    kind: RecordKind,
    id: ObjectId,
    key: ObjectKey,
    /// Set up at the first chunk.
    sealing: Option<Arc<Sealing>>,
    /// Room for the header (until spilled), sealed chunks, and from `open` on the plain bytes of the open chunk.
    buffer: AlignedBytes,
    open: usize,
    chunks: u64,
    plain_length: u64,
    /// Of the chunks that are sealed.
    digest: Hasher,
    checksum: Checksum,
    spill: Option<Spill>,
    /// It goes to a file because memory is short: with as little of it as will do.
    is_slow: bool,
    /// While a write is under way, and for good when it failed or was given up.
    is_broken: bool,
    shared: Arc<Shared>,
}

/// A sealed object that waits for [`Vault::commit`](crate::Vault::commit). Dropping it leaves nothing.
pub struct SealedObject {
    pub(crate) header: RecordHeader,
    pub(crate) bytes: SealedBytes,
}

/// A whole record but for its header, for which there is room at the front.
pub(crate) enum SealedBytes {
    Memory(AlignedBytes),
    Spilled(Spill),
}

impl ObjectWriter {
    pub(crate) fn new(kind: RecordKind, shared: Arc<Shared>) -> Self {
        Self {
            kind,
            id: ObjectId::random(),
            key: ObjectKey::random(),
            sealing: None,
            buffer: AlignedBytes::default(),
            open: 0,
            chunks: 0,
            plain_length: 0,
            digest: Hasher::new(),
            checksum: Checksum::new(),
            spill: None,
            is_slow: false,
            is_broken: false,
            shared,
        }
    }

    /// The object's id.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Plain bytes taken so far.
    #[must_use]
    pub fn plain_len(&self) -> u64 {
        self.plain_length
    }

    /// BLAKE3 of the plain bytes taken so far.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = self.digest.clone();
        digest.update(self.buffer.rest(self.open));
        *digest.finalize().as_bytes()
    }

    /// Takes the next bytes. Seals on the caller's task; waits only when sealed bytes of a large object go to disk.
    ///
    /// # Errors
    /// [`VaultError::StorageFull`] or [`VaultError::Io`] for a large object; [`VaultError::ObjectTooLong`]. After an
    /// error, or when the call was not awaited to its end, everything else gives [`VaultError::Broken`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(VaultError::Broken);
        }
        let length = self.plain_length.checked_add(bytes.len() as u64).filter(|length| *length <= OBJECT_BYTES);
        self.plain_length = length.ok_or(VaultError::ObjectTooLong)?;
        self.make_room_for_header();
        let mut rest = bytes;
        while !rest.is_empty() {
            // A full chunk stays open until more arrives: only then is it known not to be the last.
            let mut room = CHUNK_LEN.saturating_sub(self.buffer.len().saturating_sub(self.open));
            if room == 0 {
                self.seal_chunk(false)?;
                self.write_out(self.hand_bytes()).await?;
                room = CHUNK_LEN;
            }
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.buffer.extend(now);
            rest = later;
        }
        self.is_broken = false;
        Ok(())
    }

    /// Bytes in memory; of a spilled object, those that wait for the disk are not among them.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the object goes to a file of its own.
    #[must_use]
    pub fn is_spilled(&self) -> bool {
        self.spill.is_some()
    }

    /// Lets the object go to a file of its own from now on, however small it is: it then holds no more than
    /// [`SLOW_SPILL_BYTES`](crate::SLOW_SPILL_BYTES) in memory. One that already does is left as it is.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn spill(&mut self) -> Result<(), VaultError> {
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(VaultError::Broken);
        }
        if self.spill.is_none() {
            self.is_slow = true;
            // the open chunk is not sealed yet
            self.make_room_for_header();
            let open = self.buffer.rest(self.open).to_vec();
            self.buffer.truncate(self.open);
            let spill = Shared::spill(&self.shared, SLOW_SPILL_WRITE_BYTES).await?;
            self.spill = Some(spill);
            self.write_out(0).await?;
            self.buffer = AlignedBytes::with_capacity(SLOW_SPILL_HAND_BYTES.saturating_add(CHUNK_LEN));
            self.buffer.extend(&open);
        }
        self.is_broken = false;
        Ok(())
    }

    /// Takes memory at the first byte only: many objects are announced and never come.
    fn make_room_for_header(&mut self) {
        if self.buffer.len() == 0 && self.spill.is_none() {
            self.buffer = self.shared.buffers.take();
            self.buffer.fill(HEADER_LEN);
            self.open = HEADER_LEN;
        }
    }

    fn hand_bytes(&self) -> usize {
        if self.is_slow { SLOW_SPILL_HAND_BYTES } else { SPILL_HAND_BYTES }
    }

    /// Ends the object: seals the last chunk and the metadata (kept with the object, at most
    /// [`METADATA_BYTES`]), and wraps the object key by the study's.
    ///
    /// # Errors
    /// [`VaultError::MetadataTooLong`]; [`VaultError::Keys`]; those of [`write`](Self::write).
    pub async fn finish(mut self, key: &StudyKey, metadata: &[u8]) -> Result<SealedObject, VaultError> {
        if self.is_broken {
            return Err(VaultError::Broken);
        }
        self.make_room_for_header();
        self.seal_chunk(true)?;
        let metadata = self.seal_metadata(metadata).await?;
        let header = RecordHeader {
            kind: self.kind,
            object: self.id,
            key: key.id(),
            wrapped: key.wrap(self.id, &self.key)?,
            plain_length: self.plain_length,
            metadata_length: metadata.len() as u64,
        };
        let padding = record::padding(&header);
        let start = self.buffer.len();
        self.buffer.extend(&metadata);
        self.buffer.fill(self.buffer.len().saturating_add(padding));
        self.checksum.update(self.buffer.rest(start));
        self.buffer.extend(&record::trailer(header.record_length(), self.checksum.clone().finalize()));
        self.open = self.buffer.len();
        self.write_out(0).await?;
        let bytes = match self.spill.take() {
            Some(spill) => SealedBytes::Spilled(spill.sync().await?),
            None => SealedBytes::Memory(std::mem::take(&mut self.buffer)),
        };
        Ok(SealedObject { header, bytes })
    }

    fn sealing(&mut self) -> Result<Arc<Sealing>, VaultError> {
        if let Some(sealing) = &self.sealing {
            return Ok(Arc::clone(sealing));
        }
        let sealing = Arc::new(Sealing::new(self.id, self.kind, &self.key)?);
        Ok(Arc::clone(self.sealing.insert(sealing)))
    }

    fn seal_chunk(&mut self, is_final: bool) -> Result<(), VaultError> {
        let sealing = self.sealing()?;
        let chunk = self.buffer.rest_mut(self.open);
        self.digest.update(chunk);
        let tag = sealing.seal_chunk(self.chunks, is_final, chunk)?;
        self.buffer.extend(&tag);
        self.checksum.update(self.buffer.rest(self.open));
        self.chunks = self.chunks.saturating_add(1);
        self.open = self.buffer.len();
        Ok(())
    }

    async fn seal_metadata(&mut self, metadata: &[u8]) -> Result<Vec<u8>, VaultError> {
        if metadata.len() > METADATA_BYTES {
            return Err(VaultError::MetadataTooLong { length: metadata.len() });
        }
        let sealing = self.sealing()?;
        if metadata.len() <= INLINE_METADATA_BYTES {
            return sealing.seal_metadata(metadata);
        }
        let metadata = metadata.to_vec();
        let sealed = tokio::task::spawn_blocking(move || sealing.seal_metadata(&metadata)).await;
        sealed.map_err(|_| VaultError::Closed)?
    }

    /// Writes sealed bytes to the object's own file where there are too many for memory, or at least `least` of them
    /// where there is such a file already. Between calls no chunk is open.
    async fn write_out(&mut self, least: usize) -> Result<(), VaultError> {
        let spill = match self.spill.take() {
            Some(spill) if self.buffer.len() < least => {
                self.spill = Some(spill);
                return Ok(());
            }
            Some(spill) => spill,
            None if self.buffer.len() <= self.shared.settings.gathered_bytes => return Ok(()),
            None => Shared::spill(&self.shared, SPILL_WRITE_BYTES).await?,
        };
        let (spill, buffer) = spill.append(std::mem::take(&mut self.buffer)).await?;
        (self.spill, self.buffer) = (Some(spill), buffer);
        self.open = self.buffer.len();
        Ok(())
    }
}

impl fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = f.debug_struct("ObjectWriter");
        writer.field("kind", &self.kind).field("id", &self.id).field("plain_length", &self.plain_length);
        writer.finish_non_exhaustive()
    }
}

impl SealedObject {
    /// The object's id.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.header.object
    }

    /// What the record will say of itself.
    #[must_use]
    pub fn header(&self) -> &RecordHeader {
        &self.header
    }

    /// Plain bytes.
    #[must_use]
    pub fn plain_len(&self) -> u64 {
        self.header.plain_length
    }

    /// Length of the whole record in bytes.
    #[must_use]
    pub fn record_len(&self) -> u64 {
        self.header.record_length()
    }
}

impl fmt::Debug for SealedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedObject").field("header", &self.header).finish_non_exhaustive()
    }
}
