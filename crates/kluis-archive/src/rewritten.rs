//! A stored data set in another encoding of native values: the stream of what `kluis_dicom::transcode` has planned.

use std::vec;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use kluis_dicom::{
    transcode::{self, Piece, Swapper},
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
        let state =
            State { pieces: pieces.into_iter(), stored, block: Bytes::new(), left: 0, swapper: Swapper::new(1) };
        Some(Rewritten { length, bytes: put_together(state).boxed() })
    }
}

struct State {
    pieces: vec::IntoIter<Piece>,
    /// The stored pieces, one after the other.
    stored: BoxStream<'static, Result<Bytes, ArchiveError>>,
    /// What has been read of them and not been given.
    block: Bytes,
    /// Bytes of the present stored piece that have not been taken.
    left: u64,
    swapper: Swapper,
}

fn put_together(state: State) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send + 'static {
    stream::try_unfold(state, |mut state| async move {
        while state.left == 0 {
            match state.pieces.next() {
                Some(Piece::Bytes(bytes)) => return Ok(Some((Bytes::from(bytes), state))),
                Some(Piece::Stored { length, unit, .. }) => {
                    (state.left, state.swapper) = (length, Swapper::new(unit));
                }
                None => return Ok(None),
            }
        }
        let bytes = state.of_stored().await?;
        Ok(Some((bytes, state)))
    })
}

impl State {
    /// The next bytes of the present stored piece.
    async fn of_stored(&mut self) -> Result<Bytes, ArchiveError> {
        loop {
            if self.block.is_empty() {
                // it was read when the outline was made: a data set that ends before is not the one
                self.block = self.stored.next().await.ok_or(ArchiveError::Record)??;
            }
            let now = self.block.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left = self.left.saturating_sub(now as u64);
            let bytes = self.block.split_to(now);
            if self.swapper.is_idle() {
                return Ok(bytes);
            }
            let swapped = self.swapper.swap(&bytes, self.left == 0);
            if !swapped.is_empty() {
                return Ok(swapped.into());
            }
        }
    }
}
