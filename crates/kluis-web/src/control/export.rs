//! `GET /control/export/{study}`: a whole study as a stream of frames, with proof lines where asked for.
//!
//! A frame is one byte for its kind, the length of what follows (`u32`, big endian), and that many bytes. The stream is
//! whole only with its last frame: a node that breaks off leaves it out.

use axum::body::Body;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderValue, Response, header};
use kluis_archive::{ExportPiece, ExportStream, act};

use crate::{
    body::{self, AnswerBroken, AnswerSender},
    call::Call,
    errors::{WebError, chain},
};

/// The longest frame, in bytes: the line of an object of 4 GiB.
const FRAME_BYTES_MAX: usize = 32 << 20;

/// Kind and length.
const HEAD_BYTES: usize = 5;

/// One frame of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportFrame {
    /// What will come.
    Begin {
        /// Files.
        objects: u64,
        /// Bytes of their data sets.
        bytes: u64,
    },
    /// A file begins.
    File {
        /// Its path.
        path: String,
        /// Its length in bytes.
        length: u64,
    },
    /// The next bytes of the file.
    Data(Bytes),
    /// A line of the proof bundle, without its line end.
    Proof(Bytes),
    /// Nothing is missing.
    End,
}

/// The bytes are no export of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no export")]
pub struct NoExport;

/// Takes the stream apart.
#[derive(Debug, Default)]
pub struct ExportReader {
    waiting: BytesMut,
}

pub(crate) async fn export(call: Call) -> Result<Response<Body>, WebError> {
    let with_proof = match call.parameter("proof").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(WebError::BadRequest("proof must be true or false".to_owned())),
    };
    let study = call.uid("study")?;
    let permit = call.admit(act::Export { study }).await?;
    let pieces = call.archive().export(permit, with_proof).await?;
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if call.is_head() {
        return Ok(response);
    }
    let (sender, body) = body::answer();
    tokio::spawn(send(sender, pieces));
    *response.body_mut() = body;
    Ok(response)
}

async fn send(sender: AnswerSender, mut pieces: ExportStream) {
    while let Some(piece) = pieces.next().await {
        let sent = match piece {
            Ok(piece) => send_piece(&sender, piece).await,
            Err(error) => {
                tracing::error!(error = chain(&error), "export broken off");
                sender.fail().await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send_piece(sender: &AnswerSender, piece: ExportPiece) -> Result<(), AnswerBroken> {
    let (kind, bytes) = match piece {
        ExportPiece::Begin { objects, bytes } => {
            (b'B', Bytes::from([objects.to_be_bytes(), bytes.to_be_bytes()].concat()))
        }
        ExportPiece::File { path, length } => {
            (b'F', Bytes::from([length.to_be_bytes().as_slice(), path.as_bytes()].concat()))
        }
        ExportPiece::Data(bytes) => (b'D', bytes),
        ExportPiece::Proof(line) => (b'P', Bytes::from(line)),
        ExportPiece::End => (b'E', Bytes::new()),
    };
    let length = u32::try_from(bytes.len()).map_err(|_| AnswerBroken)?;
    let [a, b, c, d] = length.to_be_bytes();
    sender.send(Bytes::copy_from_slice(&[kind, a, b, c, d])).await?;
    sender.send(bytes).await
}

impl ExportReader {
    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next frame that is there as a whole.
    ///
    /// # Errors
    /// [`NoExport`].
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where it has to wait for more")]
    pub fn next(&mut self) -> Result<Option<ExportFrame>, NoExport> {
        let Some(&[kind, a, b, c, d]) = self.waiting.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| NoExport)?;
        if length > FRAME_BYTES_MAX {
            return Err(NoExport);
        }
        if self.waiting.len() - HEAD_BYTES < length {
            return Ok(None);
        }
        self.waiting.advance(HEAD_BYTES);
        let bytes = self.waiting.split_to(length).freeze();
        let number = |at: usize| bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        Ok(Some(match kind {
            b'B' => ExportFrame::Begin { objects: number(0).ok_or(NoExport)?, bytes: number(8).ok_or(NoExport)? },
            b'F' => ExportFrame::File {
                length: number(0).ok_or(NoExport)?,
                path: String::from_utf8(bytes.slice(8..).to_vec()).map_err(|_| NoExport)?,
            },
            b'D' => ExportFrame::Data(bytes),
            b'P' => ExportFrame::Proof(bytes),
            b'E' => ExportFrame::End,
            _ => return Err(NoExport),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_whatever_the_pieces() {
        let (sender, body) = body::answer();
        let pieces = [
            ExportPiece::Begin { objects: 1, bytes: 2 },
            ExportPiece::File { path: "A/B".to_owned(), length: 3 },
            ExportPiece::Data(Bytes::from_static(b"abc")),
            ExportPiece::Proof(b"{}".to_vec()),
            ExportPiece::End,
        ];
        let sending = async move {
            for piece in pieces {
                send_piece(&sender, piece).await.unwrap();
            }
        };
        let (bytes, ()) = tokio::join!(body::small(body), sending);
        for step in [1, 3, 1000] {
            let (mut reader, mut frames) = (ExportReader::default(), Vec::new());
            for piece in bytes.as_ref().unwrap().chunks(step) {
                reader.push(piece);
                while let Some(frame) = reader.next().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 5);
            assert_eq!(frames[1], ExportFrame::File { path: "A/B".to_owned(), length: 3 });
            assert_eq!((&frames[2], &frames[4]), (&ExportFrame::Data(Bytes::from_static(b"abc")), &ExportFrame::End));
        }
        let mut reader = ExportReader::default();
        reader.push(b"D\xff\xff\xff\xff");
        assert_eq!(reader.next(), Err(NoExport));
        let mut reader = ExportReader::default();
        reader.push(b"F\0\0\0\x01x");
        assert_eq!(reader.next(), Err(NoExport));
    }
}
