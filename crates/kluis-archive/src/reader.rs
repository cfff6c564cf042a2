//! Reading one object: its header, its data set, frames and bulk values, as streams of verified bytes.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use futures_util::{Stream, StreamExt, stream};
use kluis_dicom::{
    AeTitle,
    file_meta::{self, FileMeta},
    frames::{FrameError, FrameTable},
    implementation,
    part10::{BulkKind, Outline},
    transfer_syntax,
};
use kluis_keys::ObjectId;
use kluis_vault::ObjectReader;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    Archive, ArchiveError, Disclosed, Holding, Inner, Instance, RetrieveError,
    budget::{self, AnswerShare},
    error::chain,
    record::InstanceRecord,
};

/// Bytes read at once.
const STEP: u64 = 1 << 20;

/// The same where memory is short: a chunk of the vault.
const SLOW_STEP: u64 = 64 << 10;

/// What lies between two wanted ranges is read with them, and dropped, where it is no more than this: then it is in the
/// same chunk as one of them, or in the next.
const GAP: u64 = 4 << 10;

/// Reads ahead of the consumer.
const AHEAD: usize = 2;

/// One stored object, opened.
pub struct InstanceReader {
    record: InstanceRecord,
    object: Arc<Opened>,
}

/// A record of the vault, with the memory that it counts for.
struct Opened {
    reader: ObjectReader,
    share: Option<Arc<AnswerShare>>,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Archive {
    /// Opens one instance of a holding.
    ///
    /// # Errors
    /// [`RetrieveError::Archive`] where its record is damaged or its key destroyed.
    pub async fn open_instance(
        &self,
        holding: &Disclosed<Holding>,
        instance: &Instance,
    ) -> Result<InstanceReader, RetrieveError> {
        Ok(InstanceReader::open(&self.inner, instance, Some(holding.share())).await?)
    }
}

impl InstanceReader {
    /// Without a share, for work that is done one at a time, its memory is not counted.
    pub(crate) async fn open(
        inner: &Inner,
        instance: &Instance,
        share: Option<&Arc<AnswerShare>>,
    ) -> Result<Self, ArchiveError> {
        let key = inner.study_keys.get(instance.key_id).await?.ok_or(ArchiveError::KeyDestroyed)?;
        let told = |error| told(instance.object_id, error);
        let object = inner.vault.open(instance.location, &key).await.map_err(|error| told(error.into()))?;
        let record = InstanceRecord::from_bytes(object.metadata()).map_err(told)?;
        if object.header().object != instance.object_id || record.digest != instance.digest {
            return Err(ArchiveError::WrongRecord);
        }
        let memory = match share {
            Some(share) => share.opened(object.metadata().len().saturating_mul(2)).await?,
            None => None,
        };
        Ok(Self { record, object: Arc::new(Opened { reader: object, share: share.cloned(), _memory: memory }) })
    }

    pub(crate) fn record(&self) -> &InstanceRecord {
        &self.record
    }

    /// Everything but the bulk values.
    #[must_use]
    pub fn outline(&self) -> &Outline {
        &self.record.outline
    }

    /// Preamble, `DICM` and a fresh file meta group, to stand in front of [`InstanceReader::data_set`].
    #[must_use]
    pub fn file_meta(&self) -> Vec<u8> {
        // (0002,0016): the device that sent it; people and programs have no AE title
        let source = self.record.sender.strip_prefix("device:").and_then(|ae| ae.parse::<AeTitle>().ok());
        file_meta::write(&FileMeta {
            sop_class: &self.record.ids.sop_class,
            sop_instance: &self.record.ids.sop_instance,
            transfer_syntax: &self.record.outline.transfer_syntax,
            source_ae: source.as_ref(),
            implementation_class: &implementation::class_uid(),
            implementation_version: implementation::VERSION_NAME,
        })
    }

    /// Bytes of the data set as stored.
    #[must_use]
    pub fn data_set_length(&self) -> u64 {
        self.object.reader.plain_len()
    }

    /// The data set as stored.
    pub fn data_set(&self) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send + 'static {
        stored(Arc::clone(&self.object), vec![0..self.object.reader.plain_len()])
    }

    /// The frames of the pixel data.
    ///
    /// # Errors
    /// [`FrameError`] where there is none or it cannot be divided.
    pub fn frames(&self) -> Result<FrameTable, FrameError> {
        FrameTable::new(&self.record.outline)
    }

    /// Ranges of the data set, one after the other; of the inflated one where it is kept deflated, in ascending order.
    pub fn ranges(&self, ranges: Vec<Range<u64>>) -> stream::BoxStream<'static, Result<Bytes, ArchiveError>> {
        if self.is_deflated() {
            return inflated(Arc::clone(&self.object), ranges).boxed();
        }
        stored(Arc::clone(&self.object), ranges).boxed()
    }

    /// The places of bulk value `index`: one, or one for each fragment behind the offset table.
    #[must_use]
    pub fn bulk_ranges(&self, index: usize) -> Option<Vec<Range<u64>>> {
        let span = self.record.outline.header.bulk().get(index)?;
        Some(match &span.kind {
            BulkKind::Value => vec![span.offset..span.offset.saturating_add(span.length)],
            BulkKind::Fragments { fragments, .. } => fragments
                .iter()
                .skip(1)
                .map(|fragment| fragment.offset..fragment.offset.saturating_add(fragment.length))
                .collect(),
        })
    }

    fn is_deflated(&self) -> bool {
        transfer_syntax::lookup(self.record.outline.transfer_syntax.as_str())
            .is_some_and(|syntax| syntax.encoding.deflated)
    }
}

/// Says in the log which object is damaged: what goes to the client names none.
fn told(object: ObjectId, error: ArchiveError) -> ArchiveError {
    if error.is_damage() {
        tracing::error!(%object, error = chain(&error), "a stored object is damaged and was not given out whole");
    }
    error
}

/// Ranges of the stored bytes in ascending order, read in steps, a few ahead where there is memory for that.
fn stored(
    object: Arc<Opened>,
    ranges: Vec<Range<u64>>,
) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send + 'static {
    let left = ranges.iter().map(|range| range.end.saturating_sub(range.start)).fold(0, u64::saturating_add);
    let mut windows = Windows { ranges: ranges.into_iter(), next: None, left };
    let steps = std::iter::from_fn({
        let object = Arc::clone(&object);
        move || {
            let ahead = object.share.as_ref().map(|share| share.ahead(windows.left.min(STEP)));
            let (most, memory) = match ahead {
                Some(None) => (SLOW_STEP, None),
                Some(memory) => (STEP, memory),
                None => (STEP, None),
            };
            windows.next(most).map(|window| (window, memory))
        }
    });
    stream::iter(steps)
        .map(move |(window, memory)| {
            let object = Arc::clone(&object);
            async move {
                let bytes = object.reader.read(window.span.clone()).await;
                let bytes = bytes.map_err(|error| told(object.reader.header().object, error.into()))?;
                if let Some(share) = &object.share {
                    share.note(bytes.len())?;
                }
                Ok(budget::counted(window.cut(bytes), memory))
            }
        })
        .buffered(AHEAD)
}

/// Divides ranges into what is read at once.
struct Windows {
    ranges: std::vec::IntoIter<Range<u64>>,
    /// What is left of the range that was begun.
    next: Option<Range<u64>>,
    /// Wanted bytes that are still to come.
    left: u64,
}

/// What is read at once, and what of it is wanted.
struct Window {
    span: Range<u64>,
    parts: Vec<Range<u64>>,
}

impl Windows {
    /// The next at most `most` bytes.
    fn next(&mut self, most: u64) -> Option<Window> {
        let first = self.take()?;
        let end = first.end.min(first.start.saturating_add(most));
        let mut window = Window { span: first.start..end, parts: vec![first.start..end] };
        if end < first.end {
            self.next = Some(end..first.end);
            self.left = self.left.saturating_sub(most);
            return Some(window);
        }
        while let Some(range) = self.take() {
            let is_near = range.start >= window.span.end && range.start - window.span.end <= GAP;
            if !is_near || range.end.saturating_sub(window.span.start) > most {
                self.next = Some(range);
                break;
            }
            window.span.end = range.end;
            window.parts.push(range);
        }
        let taken: u64 = window.parts.iter().map(|part| part.end.saturating_sub(part.start)).sum();
        self.left = self.left.saturating_sub(taken);
        Some(window)
    }

    fn take(&mut self) -> Option<Range<u64>> {
        self.next.take().or_else(|| self.ranges.find(|range| !range.is_empty()))
    }
}

impl Window {
    /// The wanted bytes out of those of the span.
    fn cut(&self, bytes: Bytes) -> Bytes {
        if self.parts.len() == 1 {
            return bytes;
        }
        let mut wanted = BytesMut::with_capacity(bytes.len());
        for part in &self.parts {
            let place = |at: u64| usize::try_from(at.saturating_sub(self.span.start)).unwrap_or(usize::MAX);
            wanted.extend_from_slice(bytes.get(place(part.start)..place(part.end)).unwrap_or_default());
        }
        wanted.freeze()
    }
}

struct Inflating {
    compressed: stream::BoxStream<'static, Result<Bytes, ArchiveError>>,
    input: Bytes,
    inflate: Decompress,
    ranges: std::vec::IntoIter<Range<u64>>,
    wanted: Option<Range<u64>>,
    /// What is inflated and has not been looked at: the next range may begin in the same block.
    block: Bytes,
    /// Where in the inflated data set it begins.
    at: u64,
    is_over: bool,
}

/// Ranges of the inflated data set (PS3.5 A.5): everything before them is inflated and dropped. The gate has bounded the
/// inflated length when the object came.
fn inflated(object: Arc<Opened>, ranges: Vec<Range<u64>>) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send {
    let length = object.reader.plain_len();
    let mut ranges = ranges.into_iter();
    let state = Inflating {
        compressed: stored(object, vec![0..length]).boxed(),
        input: Bytes::new(),
        inflate: Decompress::new(false),
        wanted: ranges.next(),
        ranges,
        block: Bytes::new(),
        at: 0,
        is_over: false,
    };
    stream::try_unfold(state, |mut state| async move {
        while let Some(wanted) = state.wanted.clone() {
            if state.at >= wanted.end {
                state.wanted = state.ranges.next();
                continue;
            }
            if state.block.is_empty() {
                let Some(block) = state.next_block().await? else {
                    return Err(ArchiveError::Record);
                };
                state.block = block;
            }
            let skipped = usize::try_from(wanted.start.saturating_sub(state.at)).unwrap_or(usize::MAX);
            state.pass(skipped);
            let left = usize::try_from(wanted.end.saturating_sub(state.at)).unwrap_or(usize::MAX);
            let piece = if state.at >= wanted.start { state.pass(left) } else { Bytes::new() };
            if !piece.is_empty() {
                return Ok(Some((piece, state)));
            }
        }
        Ok(None)
    })
}

impl Inflating {
    /// Takes at most so many bytes off the block.
    fn pass(&mut self, bytes: usize) -> Bytes {
        let piece = self.block.split_to(bytes.min(self.block.len()));
        self.at = self.at.saturating_add(piece.len() as u64);
        piece
    }

    async fn next_block(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        const BLOCK: usize = 256 << 10;
        loop {
            if self.is_over {
                return Ok(None);
            }
            if self.input.is_empty()
                && let Some(next) = self.compressed.next().await
            {
                self.input = next?;
            }
            let mut block = Vec::with_capacity(BLOCK);
            let before = self.inflate.total_in();
            let status = self
                .inflate
                .decompress_vec(&self.input, &mut block, FlushDecompress::None)
                .map_err(|_| ArchiveError::Record)?;
            let used = usize::try_from(self.inflate.total_in() - before).map_err(|_| ArchiveError::Record)?;
            let _ = self.input.split_to(used.min(self.input.len()));
            self.is_over = matches!(status, Status::StreamEnd) || (used == 0 && block.is_empty());
            if !block.is_empty() {
                return Ok(Some(block.into()));
            }
        }
    }
}
