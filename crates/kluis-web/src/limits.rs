//! Every bound of the HTTPS edge that is not one of the messages themselves (those stand in `kluis-dicomweb`).

use std::time::Duration;

/// A connection has so long for its TLS handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// A request head must arrive within this time; an idle connection of HTTP/1 is closed after it.
pub const REQUEST_HEAD: Duration = Duration::from_secs(30);
/// Bytes of all headers of a request.
pub const HEADER_BYTES: usize = 64 * 1024;
/// Header fields of a request.
pub const HEADER_FIELDS: usize = 100;
/// Requests at one time in one HTTP/2 connection.
pub const STREAMS: u32 = 128;
/// Flow control window of one HTTP/2 stream, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Flow control window of one HTTP/2 connection, in bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// HTTP/2 asks a silent peer whether it is still there.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A peer has so long to answer that question.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections at one time.
pub const CONNECTIONS: usize = 2048;
/// Connections at one time from one address.
pub const CONNECTIONS_PER_SOURCE: usize = 256;
/// Open requests have so long to finish when the node stops.
pub const DRAIN: Duration = Duration::from_secs(20);

/// A body from which nothing comes for so long is given up.
pub const BODY_IDLE: Duration = Duration::from_secs(60);
/// Slowest rate of a body, in bytes a second, over [`BODY_RATE_WINDOW`] of waiting.
pub const BODY_RATE_BYTES: u64 = 1024;
/// The time of waiting over which the rate is taken.
pub const BODY_RATE_WINDOW: Duration = Duration::from_secs(30);
/// Bytes of a small body: forms, JSON of the control door.
pub const SMALL_BODY_BYTES: usize = 256 * 1024;
/// Bytes of a refused body that are read and dropped, so that the client comes to read why.
pub const DRAINED_BYTES: usize = 16 << 20;
/// The time for that.
pub const DRAINED_FOR: Duration = Duration::from_secs(5);
/// A peer that reads nothing of an answer for so long is given up.
pub const ANSWER_STALL: Duration = Duration::from_secs(60);
/// Pieces of an answer that wait for the peer.
pub const ANSWER_PIECES: usize = 2;

/// Bytes of an answer that are handed on in one piece; each has [`ANSWER_STALL`], which makes about 1 KiB a second the
/// slowest rate of reading.
pub const ANSWER_PIECE_BYTES: usize = 64 * 1024;
/// Refusals that are held back at one time.
pub const HELD_BACK: usize = 4096;

/// Objects of one store request that are being made durable at one time.
pub const STORES_AT_ONCE: usize = 16;

/// Studies on one page of the console.
pub const CONSOLE_PAGE: u32 = 50;
/// Files of the viewer.
pub const VIEWER_FILES: usize = 10_000;
/// Bytes of one file of the viewer that is read at start for its inline scripts.
pub const VIEWER_PAGE_BYTES: u64 = 4 << 20;

/// A connection on which nothing moves in either direction is closed after this time.
pub const SILENCE: Duration = Duration::from_secs(120);
