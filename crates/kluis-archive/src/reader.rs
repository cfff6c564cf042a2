//! Reading one object: its header, its data set, frames and bulk values, as streams of verified bytes.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
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
use kluis_vault::ObjectReader;

use crate::{Archive, ArchiveError, Disclosed, Holding, Instance, RetrieveError, record::InstanceRecord};

/// Bytes read at once.
const STEP: u64 = 1 << 20;

/// Reads ahead of the consumer.
const AHEAD: usize = 2;

/// One stored object, opened.
pub struct InstanceReader {
    record: InstanceRecord,
    object: Arc<ObjectReader>,
}

impl Archive {
    /// Opens one instance of a holding.
    ///
    /// # Errors
    /// [`RetrieveError::Archive`] where its record is damaged or its key destroyed.
    pub async fn open_instance(
        &self,
        _holding: &Disclosed<Holding>,
        instance: &Instance,
    ) -> Result<InstanceReader, RetrieveError> {
        let key = self.inner.study_keys.get(instance.key_id).await.map_err(ArchiveError::from)?;
        let key = key.ok_or(ArchiveError::KeyDestroyed)?;
        let object = self.inner.vault.open(instance.location, &key).await.map_err(ArchiveError::from)?;
        let record = InstanceRecord::from_bytes(object.metadata())?;
        if object.header().object != instance.object_id || record.digest != instance.digest {
            return Err(ArchiveError::WrongRecord.into());
        }
        Ok(InstanceReader { record, object: Arc::new(object) })
    }
}

impl InstanceReader {
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
        self.object.plain_len()
    }

    /// The data set as stored.
    pub fn data_set(&self) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send + 'static {
        stored(Arc::clone(&self.object), 0..self.object.plain_len())
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
        let object = Arc::clone(&self.object);
        stream::iter(ranges).flat_map(move |range| stored(Arc::clone(&object), range)).boxed()
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

/// A range of the stored bytes, read in steps, a few ahead.
fn stored(object: Arc<ObjectReader>, range: Range<u64>) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send {
    let steps = std::iter::successors(Some(range.start), |at| at.checked_add(STEP))
        .take_while(move |at| *at < range.end)
        .map(move |at| at..range.end.min(at.saturating_add(STEP)));
    stream::iter(steps)
        .map(move |step| {
            let object = Arc::clone(&object);
            async move { object.read(step).await.map_err(ArchiveError::from) }
        })
        .buffered(AHEAD)
}

struct Inflating {
    compressed: stream::BoxStream<'static, Result<Bytes, ArchiveError>>,
    input: Bytes,
    inflate: Decompress,
    ranges: std::vec::IntoIter<Range<u64>>,
    wanted: Option<Range<u64>>,
    at: u64,
    is_over: bool,
}

/// Ranges of the inflated data set (PS3.5 A.5): everything before them is inflated and dropped. The gate has bounded the
/// inflated length when the object came.
fn inflated(
    object: Arc<ObjectReader>,
    ranges: Vec<Range<u64>>,
) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send {
    let length = object.plain_len();
    let mut ranges = ranges.into_iter();
    let state = Inflating {
        compressed: stored(object, 0..length).boxed(),
        input: Bytes::new(),
        inflate: Decompress::new(false),
        wanted: ranges.next(),
        ranges,
        at: 0,
        is_over: false,
    };
    stream::try_unfold(state, |mut state| async move {
        while let Some(wanted) = state.wanted.clone() {
            if state.at >= wanted.end {
                state.wanted = state.ranges.next();
                continue;
            }
            let Some(block) = state.next_block().await? else {
                return Err(ArchiveError::Record);
            };
            let start = state.at;
            state.at = start.saturating_add(block.len() as u64);
            let from = usize::try_from(wanted.start.saturating_sub(start)).unwrap_or(usize::MAX).min(block.len());
            let to = usize::try_from(wanted.end.saturating_sub(start)).unwrap_or(usize::MAX).min(block.len());
            if from < to {
                return Ok(Some((block.slice(from..to), state)));
            }
        }
        Ok(None)
    })
}

impl Inflating {
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
