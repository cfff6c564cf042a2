//! Every limit of this crate.

/// Longest object in bytes (1 TiB). A configured limit stands in the layer above; this one bounds the chunk counter.
pub const OBJECT_BYTES: u64 = 1 << 40;

/// Longest metadata of one record in bytes, before compression (80 MiB).
pub const METADATA_BYTES: usize = 80 * 1024 * 1024;

/// Longest range of one [`ObjectReader::read`](crate::ObjectReader::read) in bytes (8 MiB); more is streamed.
pub const READ_BYTES: u64 = 8 * 1024 * 1024;

/// Longest sealed metadata section accepted on reading: incompressible metadata, its length, zstd's frame, the tag.
pub(crate) const SEALED_METADATA_BYTES: u64 = METADATA_BYTES as u64 + 1024 * 1024;

/// Plain bytes of one piece of a stream.
pub(crate) const PIECE_BYTES: u64 = 512 * 1024;

/// Chunks that are read from the disk at once.
pub(crate) const READ_CHUNKS: usize = 16;

/// A buffer for so many chunks, sealed, and for the one more that a range may touch.
pub(crate) const READ_BUFFER_BYTES: usize = (READ_CHUNKS + 1) * (64 * 1024 + 16);

/// So many of those are kept for the next reads.
pub(crate) const IDLE_READ_BUFFERS: usize = 12;

/// Metadata longer than this is compressed and opened off the async workers.
pub(crate) const INLINE_METADATA_BYTES: usize = 128 * 1024;

/// Sealed bytes of a spilled object that are written at once.
pub(crate) const SPILL_WRITE_BYTES: usize = 1024 * 1024;

/// Sealed bytes of a spilled object that are gathered before they are handed to the thread that writes them.
pub(crate) const SPILL_HAND_BYTES: usize = 256 * 1024;

/// The same two where memory is short.
pub(crate) const SLOW_SPILL_WRITE_BYTES: usize = 128 * 1024;
pub(crate) const SLOW_SPILL_HAND_BYTES: usize = 64 * 1024;

/// Memory of an object that goes to a file of its own: what is put together for a write, what is gathered, the open chunk.
pub const SPILL_BYTES: usize = SPILL_WRITE_BYTES + SPILL_HAND_BYTES + 2 * 64 * 1024;

/// Memory of such an object after [`ObjectWriter::spill`](crate::ObjectWriter::spill).
pub const SLOW_SPILL_BYTES: usize = SLOW_SPILL_WRITE_BYTES + SLOW_SPILL_HAND_BYTES + 2 * 64 * 1024;

/// Commits that may wait for the writer.
pub(crate) const WAITING_COMMITS: usize = 256;

/// Bytes that share one sync at most.
pub(crate) const BATCH_BYTES: u64 = 64 * 1024 * 1024;

/// Records returned by one scan at most.
pub(crate) const SCAN_RECORDS: u32 = 10_000;

/// Records of at least so many bytes are written from where they were sealed, without being put together first.
pub(crate) const LARGE_RECORD_BYTES: u64 = 128 * 1024;

/// Memory of a record at first: a CT slice fits.
pub(crate) const RECORD_BUFFER_BYTES: usize = 640 * 1024;

/// So much of that memory is kept for the next records.
pub(crate) const IDLE_BUFFERS: usize = 16;

/// Bytes that the writer puts together before each write; a multiple of the page.
pub(crate) const STAGED_BYTES: usize = 4 * 1024 * 1024;
