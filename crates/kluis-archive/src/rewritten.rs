//! A stored data set in another encoding of native values: the stream of what `kluis_dicom::transcode` has planned.

use std::vec;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use kluis_dicom::{
    transcode::{self, Piece},
    transfer_syntax,
};

use crate::{ArchiveError, reader::InstanceReader};

/// A data set in another transfer syntax than the stored one.
pub struct Rewritten {
    /// Bytes in all.
    pub length: u64,
    /// Them.
    pub bytes: BoxStream<'static, Result<Bytes, ArchiveError>>,
}

impl InstanceReader {
    /// The data set in this transfer syntax, which is not the stored one. `None` where that would need a codec, or the
    /// target is neither explicit nor implicit VR little endian.
    #[must_use]
    pub fn data_set_in(&self, transfer_syntax: &str) -> Option<Rewritten> {
        let outline = self.outline();
        if !transcode::is_possible(outline.transfer_syntax.as_str(), transfer_syntax) {
            return None;
        }
        let to = transfer_syntax::lookup(transfer_syntax)?.encoding;
        let transcode::Rewritten { pieces, length } = transcode::rewrite(outline, to)?;
        let stored = pieces.iter().filter_map(|piece| match piece {
            Piece::Stored { offset, length, .. } => Some(*offset..offset.saturating_add(*length)),
            Piece::Bytes(_) => None,
        });
        let stored = self.ranges(stored.collect());
        let state = State { pieces: pieces.into_iter(), stored, block: Bytes::new(), left: 0, unit: 1 };
        Some(Rewritten { length, bytes: put_together(state).boxed() })
    }
}

struct State {
    pieces: vec::IntoIter<Piece>,
    /// The stored pieces, one after the other.
    stored: BoxStream<'static, Result<Bytes, ArchiveError>>,
    /// What has been read of them and not been given.
    block: Bytes,
    /// Bytes of the present stored piece that have not been given.
    left: u64,
    unit: usize,
}

fn put_together(state: State) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send + 'static {
    stream::try_unfold(state, |mut state| async move {
        while state.left == 0 {
            match state.pieces.next() {
                Some(Piece::Bytes(bytes)) => return Ok(Some((Bytes::from(bytes), state))),
                Some(Piece::Stored { length, unit, .. }) => (state.left, state.unit) = (length, unit),
                None => return Ok(None),
            }
        }
        let bytes = state.of_stored().await?;
        Ok(Some((bytes, state)))
    })
}

impl State {
    /// The next bytes of the present stored piece, whole units of them but for what its end leaves over.
    async fn of_stored(&mut self) -> Result<Bytes, ArchiveError> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let least = self.unit.min(wanted);
        while self.block.len() < least {
            // it was read when the outline was made: a data set that ends before is not the one
            let next = self.stored.next().await.ok_or(ArchiveError::Record)??;
            self.block = match self.block.is_empty() {
                true => next,
                false => [self.block.as_ref(), next.as_ref()].concat().into(),
            };
        }
        let mut now = self.block.len().min(wanted);
        if now < wanted {
            now = now.saturating_sub(now.checked_rem(self.unit).unwrap_or_default());
        }
        self.left = self.left.saturating_sub(now as u64);
        let bytes = self.block.split_to(now);
        if self.unit == 1 {
            return Ok(bytes);
        }
        let mut swapped = BytesMut::from(bytes.as_ref());
        swapped.chunks_exact_mut(self.unit).for_each(<[u8]>::reverse);
        Ok(swapped.freeze())
    }
}
