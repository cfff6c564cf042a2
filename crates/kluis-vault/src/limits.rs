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

/// Metadata longer than this is compressed and opened off the async workers.
pub(crate) const INLINE_METADATA_BYTES: usize = 128 * 1024;

/// Sealed bytes of a spilled object that are gathered before they are written.
pub(crate) const SPILL_WRITE_BYTES: usize = 1024 * 1024;

/// Commits that may wait for the writer.
pub(crate) const WAITING_COMMITS: usize = 256;

/// Bytes that share one sync at most.
pub(crate) const BATCH_BYTES: u64 = 64 * 1024 * 1024;

/// Records returned by one scan at most.
pub(crate) const SCAN_RECORDS: u32 = 10_000;
