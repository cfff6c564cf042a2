//! Bodies in both directions: requests with a slowest rate, answers with backpressure.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::{sync::mpsc, time::Instant};

use crate::{errors::WebError, limits};

/// Reads a request body piece by piece and gives up on one that is too slow.
///
/// Only the time spent waiting for the peer counts, not the time in which the archive is busy with what came.
pub(crate) struct BodyReader {
    body: Body,
    waited: Duration,
    window_bytes: u64,
}

impl BodyReader {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, waited: Duration::ZERO, window_bytes: 0 }
    }

    /// The next piece, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`WebError::TooSlow`], [`WebError::BrokenOff`].
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, WebError> {
        loop {
            let start = Instant::now();
            let frame = tokio::time::timeout(limits::BODY_IDLE, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| WebError::TooSlow)? else { return Ok(None) };
            let frame = frame.map_err(|_| WebError::BrokenOff)?;
            self.waited += start.elapsed();
            let data = frame.into_data().unwrap_or_default();
            self.window_bytes = self.window_bytes.saturating_add(data.len() as u64);
            if self.waited >= limits::BODY_RATE_WINDOW {
                if self.window_bytes < limits::BODY_RATE_BYTES * limits::BODY_RATE_WINDOW.as_secs() {
                    return Err(WebError::TooSlow);
                }
                self.waited = Duration::ZERO;
                self.window_bytes = 0;
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// Reads and drops what is left, within [`limits::DRAINED_BYTES`] and [`limits::DRAINED_FOR`].
    pub(crate) async fn drain(&mut self) {
        let all = async {
            let mut dropped = 0;
            while let Ok(Some(piece)) = self.next().await {
                dropped += piece.len();
                if dropped > limits::DRAINED_BYTES {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(limits::DRAINED_FOR, all).await;
    }
}

/// Reads and drops what is left of a body, within bounds.
pub(crate) async fn drain(body: Body) {
    BodyReader::new(body).drain().await;
}

/// A small body as a whole.
///
/// # Errors
/// [`WebError::TooLarge`] beyond [`limits::SMALL_BODY_BYTES`]; else as [`BodyReader::next`].
pub(crate) async fn small(body: Body) -> Result<Bytes, WebError> {
    let mut reader = BodyReader::new(body);
    let mut whole = BytesMut::new();
    while let Some(piece) = reader.next().await? {
        if whole.len() + piece.len() > limits::SMALL_BODY_BYTES {
            return Err(WebError::TooLarge("the body is too large for this resource".to_owned()));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// The sending end of an answer that is made while it is sent.
pub(crate) struct AnswerSender(mpsc::Sender<Result<Bytes, AnswerBroken>>);

/// The answer cannot be completed: the connection is cut, so that the peer sees that something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct AnswerBroken;

/// An answer body and the end into which its pieces are put.
pub(crate) fn answer() -> (AnswerSender, Body) {
    let (sender, receiver) = mpsc::channel(limits::ANSWER_PIECES);
    (AnswerSender(sender), Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver)))
}

impl AnswerSender {
    /// Sends bytes and waits until there is room for them; in small pieces, so that one who reads slowly, but reads, is
    /// not given up.
    ///
    /// # Errors
    /// [`AnswerBroken`] where the peer has gone or reads nothing for [`limits::ANSWER_STALL`].
    pub(crate) async fn send(&self, mut bytes: Bytes) -> Result<(), AnswerBroken> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(limits::ANSWER_PIECE_BYTES));
            match tokio::time::timeout(limits::ANSWER_STALL, self.0.send(Ok(piece))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(AnswerBroken),
            }
        }
        Ok(())
    }

    /// Cuts the connection.
    pub(crate) async fn fail(self) {
        let _ = tokio::time::timeout(limits::ANSWER_STALL, self.0.send(Err(AnswerBroken))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_body_is_given_up() {
        let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert!(matches!(BodyReader::new(body).next().await, Err(WebError::TooSlow)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dripping_body_is_given_up() {
        let drops = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"drop")), ()))
        });
        let mut reader = BodyReader::new(Body::from_stream(drops));
        let mut pieces = 0;
        let error = loop {
            match reader.next().await {
                Ok(_) => pieces += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, WebError::TooSlow));
        assert_eq!(pieces, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_gets_all_and_who_reads_nothing_is_given_up() {
        let answer = || Bytes::from(vec![7; 1 << 20]);
        let (sender, body) = super::answer();
        let sending = tokio::spawn(async move { sender.send(answer()).await });
        let mut body = BodyReader::new(body);
        let mut read = 0;
        while let Some(piece) = body.next().await.unwrap() {
            read += piece.len();
            tokio::time::sleep(Duration::from_secs(40)).await;
        }
        assert_eq!((read, sending.await.unwrap()), (1 << 20, Ok(())));

        let (sender, _body) = super::answer();
        assert_eq!(sender.send(answer()).await, Err(AnswerBroken));
    }

    #[tokio::test]
    async fn a_small_body_is_bounded() {
        let large = vec![0; limits::SMALL_BODY_BYTES + 1];
        assert!(matches!(small(Body::from(large)).await, Err(WebError::TooLarge(_))));
        assert_eq!(small(Body::from("x")).await.unwrap(), "x");
    }
}
