//! DICOM objects in files: which they are, and their data sets as they are sent.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use kluis_dicom::{
    Tag, Uid,
    limits::Limits,
    part10::{Event, Gate, Outline, Source as Part10, Value},
    transcode::{self, Piece, Swapper},
    transfer_syntax,
};
use kluis_dimse::{Body, Unreadable};
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::command::{sources::Source, zip_shelf::ZipShelf};

/// Pieces of a file that are read ahead.
const AHEAD: usize = 4;

/// An object in a file.
#[derive(Debug, Clone)]
pub(super) struct FileObject {
    pub(super) source: Source,
    pub(super) sop_class: Uid,
    pub(super) sop_instance: Uid,
    pub(super) transfer_syntax: Uid,
    /// Bytes in front of the data set, and of it.
    head: u64,
    length: u64,
}

impl FileObject {
    /// Reads a file through the gate.
    ///
    /// # Errors
    /// Where it is no DICOM object.
    pub(super) async fn survey(source: Source, shelf: &Arc<ZipShelf>) -> Result<Self> {
        let (outline, length) = outline(&source, shelf).await?;
        let [sop_class, sop_instance] = [Tag(0x0008, 0x0016), Tag(0x0008, 0x0018)].map(|tag| uid(&outline, tag));
        Ok(Self {
            source,
            sop_class: sop_class.context("it has no SOP Class UID")?,
            sop_instance: sop_instance.context("it has no SOP Instance UID")?,
            transfer_syntax: outline.transfer_syntax,
            head: length.saturating_sub(outline.data_set_length),
            length: outline.data_set_length,
        })
    }

    /// The data set, in this transfer syntax; `None` where that would need a codec.
    pub(super) async fn body(&self, transfer_syntax: &Uid, shelf: &Arc<ZipShelf>) -> Result<Option<FileBody>> {
        let pieces = match *transfer_syntax == self.transfer_syntax {
            true => vec![Piece::Stored { offset: 0, length: self.length, unit: 1 }],
            false => match self.rewritten(transfer_syntax, shelf).await? {
                Some(pieces) => pieces,
                None => return Ok(None),
            },
        };
        Ok(Some(FileBody {
            pieces: pieces.into_iter(),
            of_file: read(&self.source, shelf),
            block: Bytes::new(),
            position: 0,
            wanted: 0,
            left: 0,
            swapper: Swapper::new(1),
            head: self.head,
        }))
    }

    async fn rewritten(&self, transfer_syntax: &Uid, shelf: &Arc<ZipShelf>) -> Result<Option<Vec<Piece>>> {
        let encoding = |uid: &Uid| transfer_syntax::lookup(uid.as_str()).map(|syntax| syntax.encoding);
        let is_possible = transcode::is_possible(self.transfer_syntax.as_str(), transfer_syntax.as_str());
        // the places of a deflated data set are those of the inflated one, which the file does not hold
        let is_deflated = encoding(&self.transfer_syntax).is_none_or(|encoding| encoding.deflated);
        let Some(to) = encoding(transfer_syntax).filter(|_| is_possible && !is_deflated) else { return Ok(None) };
        let (outline, _) = outline(&self.source, shelf).await?;
        Ok(transcode::rewrite(&outline, to).map(|rewritten| rewritten.pieces))
    }
}

/// Reads a file through the gate; how long it is.
pub(super) async fn outline(source: &Source, shelf: &Arc<ZipShelf>) -> Result<(Outline, u64)> {
    let mut pieces = read(source, shelf);
    let mut gate = Gate::new(Part10::File, Limits::default())?;
    let mut length = 0_u64;
    while let Some(piece) = pieces.recv().await {
        let piece = piece.context("it cannot be read")?;
        gate.push(&piece)?;
        length = length.saturating_add(piece.len() as u64);
    }
    Ok((gate.finish()?.1, length))
}

fn uid(outline: &Outline, wanted: Tag) -> Option<Uid> {
    outline.header.events().take_while(|event| !matches!(event, Event::Element { tag, .. } if *tag > wanted)).find_map(
        |event| match event {
            Event::Element { tag, value: Value::Inline(bytes), .. } if tag == wanted => Uid::from_value(bytes).ok(),
            _ => None,
        },
    )
}

fn read(source: &Source, shelf: &Arc<ZipShelf>) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (tell, pieces) = mpsc::channel(AHEAD);
    let (source, shelf) = (source.clone(), Arc::clone(shelf));
    spawn_blocking(move || {
        if source.read(&shelf, &tell).is_err() {
            // a file that cannot be opened is not an empty one
            let _ = tell.blocking_send(Err(std::io::ErrorKind::NotFound.into()));
        }
    });
    pieces
}

/// The data set of a file, as it is or rewritten.
pub(super) struct FileBody {
    pieces: std::vec::IntoIter<Piece>,
    of_file: mpsc::Receiver<std::io::Result<Bytes>>,
    /// What has been read of the file and not been looked at, and where in the file it begins.
    block: Bytes,
    position: u64,
    /// Of the present stored piece: where in the file its next byte is, and how many are left.
    wanted: u64,
    left: u64,
    swapper: Swapper,
    /// Bytes in front of the data set.
    head: u64,
}

impl Body for FileBody {
    async fn read(&mut self) -> Result<Option<Bytes>, Unreadable> {
        loop {
            if self.left > 0 {
                let bytes = self.of_stored().await?;
                if !bytes.is_empty() {
                    return Ok(Some(bytes));
                }
                continue;
            }
            match self.pieces.next() {
                Some(Piece::Bytes(bytes)) => return Ok(Some(bytes.into())),
                Some(Piece::Stored { offset, length, unit }) => {
                    (self.wanted, self.left) = (self.head.saturating_add(offset), length);
                    self.swapper = Swapper::new(unit);
                }
                None => return Ok(None),
            }
        }
    }
}

impl FileBody {
    /// The next bytes of the present stored piece; none where more have to be read first.
    async fn of_stored(&mut self) -> Result<Bytes, Unreadable> {
        if self.block.is_empty() {
            self.block = self.of_file.recv().await.ok_or(Unreadable)?.map_err(|_| Unreadable)?;
        }
        let skip = usize::try_from(self.wanted.saturating_sub(self.position)).unwrap_or(usize::MAX);
        self.pass(skip.min(self.block.len()));
        let now = self.block.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let bytes = self.pass(now);
        self.wanted = self.wanted.saturating_add(now as u64);
        self.left = self.left.saturating_sub(now as u64);
        Ok(match self.swapper.is_idle() {
            true => bytes,
            false => self.swapper.swap(&bytes, self.left == 0).into(),
        })
    }

    fn pass(&mut self, bytes: usize) -> Bytes {
        self.position = self.position.saturating_add(bytes as u64);
        self.block.split_to(bytes)
    }
}
