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
/// Streams of one HTTP/2 connection that were reset before they were looked at; one more ends the connection.
pub const PENDING_RESETS: usize = 20;
/// Streams of one HTTP/2 connection that we had to reset for its faults; one more ends the connection.
pub const FAULT_RESETS: usize = 128;
/// Bytes of answers that wait for one HTTP/2 stream.
pub const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// Flow control window of one HTTP/2 stream, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Flow control window of one HTTP/2 connection, in bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// HTTP/2 asks a silent peer whether it is still there.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A peer has so long to answer that question.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections at one time that nobody has proved an identity on. One more sends the oldest of the source with the most
/// away.
pub const WAITING: usize = 1024;
/// Connections sent away at once where the operating system has no more files to give.
pub const SENT_AWAY_WHEN_OUT_OF_FILES: usize = 16;
/// Connections at one time with a proved identity.
pub const CONNECTIONS: usize = 1024;
/// Of one identity; what is more stays in the waiting room.
pub const CONNECTIONS_PER_IDENTITY: usize = 128;
/// So many of all are kept for identities with fewer than [`FEW_CONNECTIONS`].
pub const CONNECTIONS_KEPT: usize = 256;
/// See [`CONNECTIONS_KEPT`].
pub const FEW_CONNECTIONS: usize = 8;
/// Requests at one time whose identity is proved.
pub const REQUESTS: usize = 2048;
/// Of one identity; one more is answered 503 with Retry-After (PS3.18 8.5).
pub const REQUESTS_PER_IDENTITY: usize = 256;
/// So many of all are kept for identities with fewer than [`FEW_REQUESTS`].
pub const REQUESTS_KEPT: usize = 512;
/// See [`REQUESTS_KEPT`].
pub const FEW_REQUESTS: usize = 32;
/// A connection on which nobody proves an identity ends after this time.
pub const UNPROVED_LIFE: Duration = Duration::from_secs(60);
/// Bytes that a connection takes before somebody proves an identity on it: pings, settings, heads and refused bodies.
pub const UNPROVED_BYTES: u64 = 32 << 20;
/// A connection on which no request is open ends after this time; HTTP/2 pings do not keep it.
pub const CONNECTION_IDLE: Duration = Duration::from_secs(60);
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
