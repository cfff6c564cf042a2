//! An object on its way out.

use std::{
    fmt,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use kluis_keys::StudyKey;
use tokio::sync::mpsc;

use crate::{
    Location, RecordHeader, RecordPart, VaultError,
    buffers::{ReadBuffer, ReadBuffers},
    limits::{INLINE_METADATA_BYTES, PIECE_BYTES, READ_BYTES, READ_CHUNKS},
    record::{CHUNK_LEN, HEADER_LEN, TAG_LEN},
    sealing::Sealing,
};

const CHUNK: u64 = CHUNK_LEN as u64;
const SEALED_CHUNK: u64 = CHUNK + TAG_LEN as u64;

/// The stored bytes of one record, wherever they are.
#[async_trait]
pub(crate) trait RecordBytes: Send + Sync {
    /// Exactly this many bytes from this place in the record.
    async fn read(&self, offset: u64, length: usize) -> Result<ReadBuffer, VaultError>;
}

/// Reads an object: any range of it, decrypting the chunks that the range touches, each one verified. Cheap to clone.
#[derive(Clone)]
pub struct ObjectReader {
    inner: Arc<Inner>,
}

struct Inner {
    location: Location,
    header: RecordHeader,
    sealing: Arc<Sealing>,
    metadata: Vec<u8>,
    record: Box<dyn RecordBytes>,
    buffers: Arc<ReadBuffers>,
}

impl ObjectReader {
    /// Opens the record with these parts; `metadata` is still sealed.
    pub(crate) async fn new(
        location: Location,
        header: RecordHeader,
        metadata: Vec<u8>,
        key: &StudyKey,
        record: Box<dyn RecordBytes>,
        buffers: Arc<ReadBuffers>,
    ) -> Result<Self, VaultError> {
        if header.key != key.id() {
            return Err(VaultError::OtherKey { location });
        }
        let damaged = |part| VaultError::Damaged { location, part };
        let object_key = key.unwrap(header.object, &header.wrapped).map_err(|_| damaged(RecordPart::Key))?;
        let sealing = Arc::new(Sealing::new(header.object, header.kind, &object_key)?);
        let metadata = if metadata.len() <= INLINE_METADATA_BYTES {
            sealing.open_metadata(metadata)
        } else {
            let sealing = Arc::clone(&sealing);
            let opened = tokio::task::spawn_blocking(move || sealing.open_metadata(metadata)).await;
            opened.map_err(|_| VaultError::Closed)?
        };
        let metadata = metadata.ok_or(damaged(RecordPart::Metadata))?;
        Ok(Self { inner: Arc::new(Inner { location, header, sealing, metadata, record, buffers }) })
    }

    /// What the record says of itself.
    #[must_use]
    pub fn header(&self) -> &RecordHeader {
        &self.inner.header
    }

    /// The object's length in bytes.
    #[must_use]
    pub fn plain_len(&self) -> u64 {
        self.inner.header.plain_length
    }

    /// The metadata that was kept with it.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        &self.inner.metadata
    }

    /// A range of the object of at most [`READ_BYTES`]; empty ranges within it are allowed.
    ///
    /// # Errors
    /// [`VaultError::Range`]; [`VaultError::Damaged`] with the chunk; [`VaultError::Io`].
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, VaultError> {
        self.check_range(&range, READ_BYTES)?;
        if range.is_empty() { Ok(Bytes::new()) } else { self.inner.piece(range).await }
    }

    /// Streams a range in pieces of at most 512 KiB, the next one read while the last is on its way. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`VaultError::Range`]; the stream itself yields those of [`read`](Self::read), and ends after the first.
    pub fn stream(&self, range: Range<u64>) -> Result<ObjectStream, VaultError> {
        self.check_range(&range, u64::MAX)?;
        let (sender, pieces) = mpsc::channel(1);
        let left = range.end.saturating_sub(range.start);
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let mut at = range.start;
            while at < range.end {
                let end = piece_end(at, range.end);
                let piece = inner.piece(at..end).await;
                let is_last = piece.is_err();
                // The receiver is gone when the reader has lost interest.
                if sender.send(piece).await.is_err() || is_last {
                    return;
                }
                at = end;
            }
        });
        Ok(ObjectStream { pieces, left })
    }

    fn check_range(&self, range: &Range<u64>, most: u64) -> Result<(), VaultError> {
        let length = self.plain_len();
        let wanted = range.end.checked_sub(range.start).filter(|wanted| *wanted <= most);
        if wanted.is_none() || range.end > length {
            return Err(VaultError::Range { from: range.start, to: range.end, length });
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reader = f.debug_struct("ObjectReader");
        reader.field("location", &self.inner.location).field("header", &self.inner.header).finish_non_exhaustive()
    }
}

/// Pieces end on multiples of their length, so that no chunk is opened twice.
fn piece_end(at: u64, end: u64) -> u64 {
    (at / PIECE_BYTES).saturating_add(1).saturating_mul(PIECE_BYTES).min(end)
}

impl Inner {
    /// A non-empty range within the object.
    async fn piece(&self, range: Range<u64>) -> Result<Bytes, VaultError> {
        let (first, last) = (range.start / CHUNK, range.end.saturating_sub(1) / CHUNK);
        let plain_start = first.saturating_mul(CHUNK);
        let plain_end = last.saturating_add(1).saturating_mul(CHUNK).min(self.header.plain_length);
        let mut plain = ReadBuffers::take(&self.buffers, as_length(plain_end.saturating_sub(plain_start)));
        let mut number = first;
        for chunks in plain.chunks_mut(READ_CHUNKS * CHUNK_LEN) {
            let tags = chunks.len().div_ceil(CHUNK_LEN).saturating_mul(TAG_LEN);
            let offset = number.saturating_mul(SEALED_CHUNK).saturating_add(HEADER_LEN as u64);
            let sealed = self.record.read(offset, chunks.len().saturating_add(tags)).await?;
            for (from, to) in sealed.chunks(CHUNK_LEN.saturating_add(TAG_LEN)).zip(chunks.chunks_mut(CHUNK_LEN)) {
                let is_final = number.saturating_add(1) == self.header.chunks();
                let opened = self.sealing.open_chunk(number, is_final, from, to);
                opened.ok_or(VaultError::Damaged { location: self.location, part: RecordPart::Chunk(number) })?;
                number = number.saturating_add(1);
            }
        }
        let skip = as_length(range.start.saturating_sub(plain_start));
        let keep = as_length(range.end.saturating_sub(range.start));
        Ok(Bytes::from_owner(plain).slice(skip..skip.saturating_add(keep)))
    }
}

/// Lengths here are those of a piece, at most [`READ_BYTES`] and two chunks.
fn as_length(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// A range of an object on its way out.
#[derive(Debug)]
pub struct ObjectStream {
    pieces: mpsc::Receiver<Result<Bytes, VaultError>>,
    left: u64,
}

impl ObjectStream {
    /// Bytes still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.left
    }
}

impl Stream for ObjectStream {
    type Item = Result<Bytes, VaultError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match ready!(self.pieces.poll_recv(context)) {
            Some(Ok(piece)) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Ok(piece)
            }
            Some(Err(error)) => {
                self.left = 0;
                Err(error)
            }
            // The reading task was stopped: say so rather than end early as if this were all.
            None => {
                self.left = 0;
                Err(VaultError::Closed)
            }
        };
        Poll::Ready(Some(piece))
    }
}
