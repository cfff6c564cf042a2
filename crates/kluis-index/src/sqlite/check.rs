//! Whether a file is whole: page by page against the key, and table by table against its rules.

use rusqlite::Connection;

use super::{
    column::get,
    connection::at,
    database::{Database, collect},
};
use crate::IndexError;

/// Most findings that are listed.
pub(super) const MAX_FINDINGS: usize = 1_000;

/// What is wrong with the file of any of the databases. `words` is its table for full-text search: what a connection
/// remembers of that is compared with the file when it is read, but not by the check, which would call the rest damaged.
pub(super) async fn file(database: &Database, words: Option<&'static str>) -> Result<Vec<String>, IndexError> {
    let _checking = database.checking.lock().await;
    // Pages are read past the engine's own locks, as they stand in the file. There one may be half written, or not written
    // yet while those behind it are, as its newest content is in the log.
    let mut findings = match database.read_still(damaged_pages).await {
        Err(error @ IndexError::Damaged) => vec![error.to_string()],
        pages => pages?,
    };
    let is_readable = findings.is_empty();
    let rules = move |connection: &Connection| {
        if let Some(table) = words {
            // what cannot be read is found below
            let _ = connection.query_row(&format!("SELECT rowid FROM {table} LIMIT 1"), [], |_| Ok(()));
        }
        broken_rules(connection, is_readable)
    };
    findings.extend(database.read(rules).await?);
    findings.truncate(MAX_FINDINGS);
    Ok(findings)
}

/// The engine looks when the statement is prepared: one that is kept would tell for ever what it once found.
fn damaged_pages(connection: &Connection) -> Result<Vec<String>, IndexError> {
    let mut look = connection.prepare("PRAGMA cipher_integrity_check").map_err(at("check pages"))?;
    let found = look.query_map([], |row| row.get::<_, String>(0)).map_err(at("check pages"))?;
    found.take(MAX_FINDINGS).collect::<Result<_, _>>().map_err(at("check pages"))
}

fn broken_rules(connection: &Connection, is_readable: bool) -> Result<Vec<String>, IndexError> {
    let mut findings = Vec::new();
    for (pragma, good) in [("PRAGMA integrity_check(1000)", "ok"), ("PRAGMA foreign_key_check", "")] {
        match collect(connection, "check", pragma, [], |row| get::<String>(row, 0)) {
            Ok(lines) => findings.extend(lines.into_iter().filter(|line| line != good)),
            // what cannot be read has been named page by page
            Err(error) if is_readable && findings.is_empty() => findings.push(error.to_string()),
            Err(_) => {}
        }
    }
    Ok(findings)
}
