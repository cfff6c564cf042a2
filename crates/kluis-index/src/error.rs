//! What can go wrong in the index. No message carries a value of a row or of a query.

/// A thing that happened in the index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The key does not open the database, or the file is no database of ours; the two cannot be told apart.
    #[error("the index cannot be opened with this key, or is not an index")]
    WrongKey,
    /// The database says that its file is damaged. The packs rebuild it.
    #[error("the index is damaged")]
    Damaged,
    /// The database was made by a newer version.
    #[error("the index has schema version {found}; this program knows {known}")]
    SchemaVersion {
        /// Version in the file.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The medium is full.
    #[error("no space left for the index")]
    Full,
    /// The query asks for more than the limits allow ([`crate::limits`]).
    #[error("the query asks for too much: {0}")]
    QueryLimit(&'static str),
    /// More rows would have to be looked at than [`crate::limits::MAX_ROWS_WALKED`].
    #[error("the query is too broad for attributes without an index; add a date, a name or an identifier")]
    TooBroad,
    /// A number does not fit into the database.
    #[error("a number is out of range: {0}")]
    OutOfRange(&'static str),
    /// A row holds what this program never wrote.
    #[error("a row of the index cannot be read: {0}")]
    Row(&'static str),
    /// A read of many seconds, or another process, is in the way.
    #[error("the index is busy with something long; try again later")]
    Busy,
    /// The index is closed.
    #[error("the index is closed")]
    Closed,
    /// File system.
    #[error("the file of the index cannot be used: {0}")]
    Io(std::io::ErrorKind),
    /// Anything else that the database reports: its code and our name for the statement, never its text with values.
    #[error("the database refused {statement} with code {code}")]
    Database {
        /// What was being done.
        statement: &'static str,
        /// Extended result code of the engine.
        code: i32,
    },
}
