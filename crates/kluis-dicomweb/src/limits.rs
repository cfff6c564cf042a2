//! Every bound on what a peer may send in a DICOMweb message.

/// Bytes of a query string as it stands in the request line.
pub const QUERY_BYTES: usize = 64 * 1024;
/// Attributes that one search may match on.
pub const QUERY_FILTERS: usize = 64;
/// Attributes that one search may ask for by `includefield`.
pub const QUERY_INCLUDES: usize = 256;
/// Tags in one sequence path.
pub const QUERY_PATH_DEPTH: usize = 8;
/// Most results on one page; a greater `limit` is answered with this many and a warning.
pub const RESULTS: u32 = 1000;
/// Greatest `offset`; behind it one narrows the search.
pub const OFFSET: u32 = 1_000_000;

/// Bytes of an Accept header or parameter.
pub const ACCEPT_BYTES: usize = 8 * 1024;
/// Media ranges in an Accept header.
pub const ACCEPT_RANGES: usize = 64;
/// Parameters of one media type.
pub const MEDIA_TYPE_PARAMETERS: usize = 16;

/// Characters of a multipart boundary (RFC 2046 5.1.1).
pub const BOUNDARY_CHARACTERS: usize = 70;
/// Bytes of the headers of one part.
pub const PART_HEADER_BYTES: usize = 16 * 1024;
/// Parts of one request.
pub const PARTS: u32 = 10_000;
/// Bytes before the first boundary.
pub const PREAMBLE_BYTES: usize = 16 * 1024;
/// Bytes behind the closing boundary; what follows is refused.
pub const EPILOGUE_BYTES: usize = 16 * 1024;
/// Spaces and tabs between a boundary and its line end.
pub const BOUNDARY_PADDING: usize = 256;

/// Frames that one request may name.
pub const FRAME_LIST: usize = 10_000;
