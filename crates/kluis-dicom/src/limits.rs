//! How much of anything the gate takes before it refuses. One table for the crate; the numbers stand in the docs too.

/// Limits of [`crate::part10::Gate`]. The defaults are those of the design; only `object_bytes` is meant to be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole object as received, and of its data set once inflated: 4 GiB.
    pub object_bytes: u64,
    /// Bytes of the file meta group (0002,xxxx): 64 KiB.
    pub file_meta_bytes: u64,
    /// Bytes of the header, which is everything but bulk values: 64 MiB.
    pub header_bytes: u64,
    /// Sequences inside one another: 32.
    pub depth: u32,
    /// Data elements and items of an object, at all depths together: 1,000,000.
    pub elements: u32,
    /// Items of one sequence: 100,000.
    pub sequence_items: u32,
    /// Fragments of encapsulated values, offset tables included, in an object: 1,000,000.
    pub fragments: u32,
    /// Values that count as bulk, in an object: 65,536.
    pub bulk_values: u32,
    /// A value of OB, OD, OF, OL, OV, OW or UN longer than this is bulk, in bytes: 4 KiB.
    pub inline_binary_bytes: u32,
    /// A value of any other representation longer than this is bulk, in bytes: 64 KiB.
    pub inline_text_bytes: u32,
    /// Bytes that a deflated data set may become before its ratio is looked at: 16 MiB.
    pub inflate_free_bytes: u64,
    /// Bytes out for one byte in beyond `inflate_free_bytes`: 100.
    pub inflate_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes: 4 << 30,
            file_meta_bytes: 64 << 10,
            header_bytes: 64 << 20,
            depth: 32,
            elements: 1_000_000,
            sequence_items: 100_000,
            fragments: 1_000_000,
            bulk_values: 65_536,
            inline_binary_bytes: 4 << 10,
            inline_text_bytes: 64 << 10,
            inflate_free_bytes: 16 << 20,
            inflate_ratio: 100,
        }
    }
}
