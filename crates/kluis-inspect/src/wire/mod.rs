//! Talking to peers: associations, TLS and HTTP, all bounded in time and bytes.
//!
//! What a peer sends of a patient ends here: data sets and bodies are dropped as they are read. Nothing waits for a peer for
//! longer than the scope says, and every association is released or aborted.

pub(crate) mod association;
pub(crate) mod http;
pub(crate) mod identifier;
pub(crate) mod old_tls;
pub(crate) mod tls;

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection, plain or within TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Bytes that are taken of one connection; a peer that sends more is cut off.
pub(crate) const BYTES_MAX: usize = 256 << 10;

/// What a first answer that is no DICOM looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// HTTP.
    Http,
    /// A TLS alert or handshake.
    Tls,
    /// Another greeting in text: SSH, FTP, SMTP.
    Text,
    /// Anything else.
    Other,
}

impl Foreign {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [b'H', b'T', b'T', b'P', ..] | [b'<', ..] => Self::Http,
            [0x15 | 0x16, 3, ..] => Self::Tls,
            [first, ..] if first.is_ascii_alphanumeric() => Self::Text,
            _ => Self::Other,
        }
    }
}
