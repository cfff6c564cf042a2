//! Messages that go out: commands and data sets as P-DATA-TFs (PS3.8 9.3.5), long data sets piece by piece.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{How, connection::Connection};
use crate::{
    Body, limits,
    pdu::{self, Pdu, Pdv},
};

/// Appends a command set or a data set as P-DATA-TFs none of which is longer than the peer takes (PS3.8 D.1).
pub(crate) fn write_pdus(context_id: u8, is_command: bool, bytes: &[u8], maximum: u32, message: &mut Vec<u8>) {
    write_fragments(context_id, is_command, bytes, true, maximum, message);
}

/// The same for a part of one; `is_end`: it is the last.
fn write_fragments(context_id: u8, is_command: bool, bytes: &[u8], is_end: bool, maximum: u32, message: &mut Vec<u8>) {
    // 4 bytes of PDV length and 2 of its header; fragments are even
    let room = usize::try_from(maximum).unwrap_or(usize::MAX).saturating_sub(6).max(2) & !1;
    message.reserve(bytes.len().saturating_add(64));
    let mut fragments = bytes.chunks(room).peekable();
    while let Some(fragment) = fragments.next() {
        let is_last = is_end && fragments.peek().is_none();
        let pdv = Pdv { context_id, is_command, is_last, bytes: fragment.to_vec() };
        // a fragment of at most 128 KiB fits its length field
        let _ = pdu::write(&Pdu::Data(vec![pdv]), message);
    }
}

/// A data set of which nothing has been sent. A piece is held back until it is known whether it is the last.
pub(crate) struct Begun<B> {
    piece: Bytes,
    next: Option<Bytes>,
    body: B,
}

impl<B: Body> Begun<B> {
    /// Reads the first two pieces: what cannot be read so far is a failed operation, and no broken association.
    pub(crate) async fn new(mut body: B) -> Option<Self> {
        let piece = body.read().await.ok()??;
        let next = body.read().await.ok()?;
        Some(Self { piece, next, body })
    }
}

/// A piece with the byte that the one before left over; where it is not the last and odd, its own last byte is left over:
/// fragments are even (PS3.8 9.3.5.1), and there are peers that insist.
fn even(carried: &mut Option<u8>, piece: Bytes, is_last: bool) -> Bytes {
    if carried.is_none() && (is_last || piece.len().is_multiple_of(2)) {
        return piece;
    }
    let mut joined: Vec<u8> = carried.take().into_iter().chain(piece).collect();
    if !is_last && !joined.len().is_multiple_of(2) {
        *carried = joined.pop();
    }
    joined.into()
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Sends a data set, none of whose PDUs is longer than `maximum`. `message` goes out before it.
    pub(crate) async fn send_data_set<B: Body>(
        &mut self,
        context_id: u8,
        begun: Begun<B>,
        maximum: u32,
        mut message: Vec<u8>,
    ) -> Result<(), How> {
        let Begun { mut piece, mut next, mut body } = begun;
        let mut carried = None;
        while let Some(later) = next {
            let even = even(&mut carried, piece, false);
            self.send_piece(context_id, &even, false, maximum, &mut message).await?;
            piece = later;
            next = body.read().await.map_err(|_| How::Unreadable)?;
        }
        let last = even(&mut carried, piece, true);
        self.send_piece(context_id, &last, true, maximum, &mut message).await?;
        self.send_all(&mut message).await
    }

    async fn send_piece(
        &mut self,
        context_id: u8,
        mut piece: &[u8],
        is_last: bool,
        maximum: u32,
        message: &mut Vec<u8>,
    ) -> Result<(), How> {
        while let Some((now, later)) = piece.split_at_checked(limits::WRITTEN.min(piece.len())) {
            write_fragments(context_id, false, now, is_last && later.is_empty(), maximum, message);
            if message.len() >= limits::WRITTEN {
                self.send_all(message).await?;
            }
            piece = later;
            if piece.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Sends what has been gathered, where there is anything.
    pub(crate) async fn send_all(&mut self, message: &mut Vec<u8>) -> Result<(), How> {
        if !message.is_empty() {
            self.send(message).await?;
            message.clear();
        }
        Ok(())
    }
}
