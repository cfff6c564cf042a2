//! Opens one connection with everything switched on that protects the file, and nothing else.

use std::{fs, io, path::Path};

use kluis_dicom::matching;
use kluis_keys::Zeroizing;
use rusqlite::{
    Connection, OpenFlags, TransactionBehavior,
    config::DbConfig,
    functions::{Context, FunctionFlags},
    limits::Limit,
};

use super::schema::Schema;
use crate::IndexError;

/// Bytes of a page; part of the file format. Against 4096 (20,000 studies): reads that scan take half the time, writes
/// and size are the same.
const PAGE_BYTES: u32 = 8192;
/// What authenticates each page; part of the file format. Processors have instructions for this one, and not for the
/// SHA-512 of the default, which took a tenth of the time of storing.
const PAGE_CHECK: &str = "PRAGMA cipher_hmac_algorithm = HMAC_SHA256";
/// Pages in the write-ahead log at which it is carried over: each time costs two syncs.
pub(super) const LOG_PAGES: u32 = 2_000;
/// How long a connection waits for another process, in milliseconds. Within a process nobody waits: one writer.
const BUSY_TIMEOUT_MS: u32 = 5_000;
/// Prepared statements kept by each connection.
const STATEMENTS: usize = 128;

/// How a database is kept.
#[derive(Clone, Copy)]
pub(super) struct Profile {
    /// Which tables.
    pub schema: &'static Schema,
    /// A commit is durable when it returns.
    pub is_durable: bool,
    /// Page cache of each connection.
    pub cache_kib: u32,
    /// Connections that read.
    pub readers: usize,
}

/// Opens the connection that writes; makes the file and its directory where there are none, readable by the owner only.
pub(super) fn open_writer(path: &Path, key: &[u8; 32], profile: Profile) -> Result<Connection, IndexError> {
    create_file(path).map_err(|error| IndexError::Io(error.kind()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(at("open"))?;
    unlock(&connection, key)?;
    let synchronous = if profile.is_durable { "FULL" } else { "NORMAL" };
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA secure_delete = ON; \
             PRAGMA wal_autocheckpoint = {LOG_PAGES}; {}",
            pragmas(profile)
        ))
        .map_err(at("configure"))?;
    harden(&connection)?;
    migrate(&mut connection, profile.schema)?;
    Ok(connection)
}

/// Opens a connection that reads; the one that writes must be open.
pub(super) fn open_reader(path: &Path, key: &[u8; 32], profile: Profile) -> Result<Connection, IndexError> {
    open_beside(path, key, profile, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens the connection that does nothing but carry the log over; the one that writes must be open.
pub(super) fn open_carrier(path: &Path, key: &[u8; 32], profile: Profile) -> Result<Connection, IndexError> {
    open_beside(path, key, profile, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn open_beside(path: &Path, key: &[u8; 32], profile: Profile, access: OpenFlags) -> Result<Connection, IndexError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(at("open"))?;
    unlock(&connection, key)?;
    connection.execute_batch(&pragmas(profile)).map_err(at("configure"))?;
    harden(&connection)?;
    Ok(connection)
}

/// Turns an error of the engine into ours, under our own name for what was being done.
pub(super) fn at(statement: &'static str) -> impl Fn(rusqlite::Error) -> IndexError + Copy {
    move |error| match &error {
        rusqlite::Error::SqliteFailure(failure, _) => of_code(statement, failure.extended_code),
        _ => IndexError::Row(statement),
    }
}

/// The error for an extended result code of SQLite.
pub(super) fn of_code(statement: &'static str, code: i32) -> IndexError {
    match code & 0xFF {
        rusqlite::ffi::SQLITE_NOTADB => IndexError::WrongKey,
        rusqlite::ffi::SQLITE_CORRUPT => IndexError::Damaged,
        rusqlite::ffi::SQLITE_FULL => IndexError::Full,
        rusqlite::ffi::SQLITE_BUSY => IndexError::Busy,
        _ => IndexError::Database { statement, code },
    }
}

fn create_file(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut builder = fs::DirBuilder::new();
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.recursive(true).create(directory)?;
    options.write(true).create_new(true).open(path)?.sync_all()?;
    fs::File::open(directory)?.sync_all()
}

/// The key must be the first that a connection hears.
fn unlock(connection: &Connection, key: &[u8; 32]) -> Result<(), IndexError> {
    let mut pragma = Zeroizing::new(String::with_capacity(128));
    pragma.push_str("PRAGMA cipher_log_level = NONE; PRAGMA key = \"x'");
    for byte in key {
        pragma.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        pragma.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    pragma.push_str("'\";");
    if cfg!(kluis_bench_bare) {
        connection.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES}")).map_err(at("page size"))?;
    } else {
        connection.execute_batch(&pragma).map_err(at("key"))?;
        connection
            .execute_batch(&format!("PRAGMA cipher_page_size = {PAGE_BYTES}; {PAGE_CHECK}"))
            .map_err(at("key"))?;
    }
    // the first read of the file tells whether the key fits
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(at("key"))
}

fn pragmas(profile: Profile) -> String {
    format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; \
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -{};",
        profile.cache_kib
    )
}

fn harden(connection: &Connection) -> Result<(), IndexError> {
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        // one plan for a statement, whatever is bound to it: else the engine plans again for every call
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
    ] {
        connection.set_db_config(config, value).map_err(at("configure"))?;
    }
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LENGTH, 64 << 20),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 16_384),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value).map_err(at("configure"))?;
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    for (name, matches) in [
        ("kluis_wildcard", matching::wildcard as fn(&str, &str) -> bool),
        ("kluis_name", matching::person_name),
        ("kluis_name_fuzzy", |pattern, name| {
            matching::person_name(pattern, name) || matching::person_name_fuzzy(pattern, name)
        }),
    ] {
        connection
            .create_scalar_function(name, 2, flags, move |context: &Context<'_>| {
                let pattern = context.get_raw(0).as_str().unwrap_or_default();
                let text = context.get_raw(1).as_str().unwrap_or_default();
                // no value is matched by no pattern (PS3.4 C.2.2.2.7 has a way of its own for that)
                Ok(!text.is_empty() && matches(pattern, text))
            })
            .map_err(at("configure"))?;
    }
    Ok(())
}

fn migrate(connection: &mut Connection, schema: &Schema) -> Result<(), IndexError> {
    let number = |connection: &Connection, pragma: &str| {
        connection.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(at("read schema version"))
    };
    let found = number(connection, "PRAGMA user_version")?;
    let known = i64::try_from(schema.steps.len()).unwrap_or(i64::MAX);
    let application_id = number(connection, "PRAGMA application_id")?;
    if found != 0 && application_id != i64::from(schema.application_id) {
        return Err(IndexError::WrongKey);
    }
    if found > known {
        return Err(IndexError::SchemaVersion { found, known });
    }
    if found == known {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at("make schema"))?;
    for step in schema.steps.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step).map_err(at("make schema"))?;
    }
    transaction
        .execute_batch(&format!("PRAGMA application_id = {}; PRAGMA user_version = {known};", schema.application_id))
        .map_err(at("make schema"))?;
    transaction.commit().map_err(at("make schema"))
}
