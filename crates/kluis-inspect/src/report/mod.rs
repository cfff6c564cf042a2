//! A scan for people and programs. Each form is one file, made from the scan alone.

mod comparison;
mod csaf;
mod csv;
mod cyclonedx;
pub mod html;
mod openkat;
mod sarif;

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::{
    InspectError,
    rule::Language,
    run::{SCAN_FILE, write_file, write_json},
    scan::Scan,
};

pub use csaf::csaf;
pub use csv::csv;
pub use cyclonedx::cyclonedx;
pub use openkat::openkat;
pub use sarif::sarif;

/// Writes every form into the folder; the files.
///
/// # Errors
/// [`InspectError::File`].
pub fn write_all(scan: &Scan, folder: &Path) -> Result<Vec<PathBuf>, InspectError> {
    let mut files = Vec::new();
    for language in Language::ALL {
        let path = folder.join(format!("report.{}.html", language.tag()));
        write_file(&path, html::scan(scan, language).as_bytes())?;
        files.push(path);
    }
    let path = folder.join("findings.csv");
    write_file(&path, csv(scan).as_bytes())?;
    files.push(path);
    for (name, document) in [
        ("report.sarif", sarif(scan)),
        ("csaf.json", csaf(scan)),
        ("cyclonedx.json", cyclonedx(scan)),
        ("openkat.json", openkat(scan)),
    ] {
        let path = folder.join(name);
        write_json(&path, &document)?;
        files.push(path);
    }
    Ok(files)
}

/// Writes a scan that was not made by a run, and every form of it, into a new folder.
///
/// # Errors
/// [`InspectError`]; also where a scan stands there.
pub fn write_scan(scan: &Scan, folder: &Path) -> Result<Vec<PathBuf>, InspectError> {
    let path = folder.join(SCAN_FILE);
    if path.exists() {
        return Err(InspectError::Folder { path: folder.to_owned() });
    }
    let failed = |source| InspectError::File { act: "make", path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    write_json(&path, scan)?;
    write_all(scan, folder)
}

/// Writes one page.
///
/// # Errors
/// [`InspectError::File`].
pub fn write_page(path: &Path, page: &str) -> Result<(), InspectError> {
    write_file(path, page.as_bytes())
}

/// A UUID of version 8 that follows from a text (RFC 9562 5.8): the same scan gives the same documents.
fn uuid_of(text: &str) -> String {
    let hash = crate::identity::sha256(text.as_bytes());
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-9{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

/// A value that is one word in JSON.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn rfc3339(time: time::OffsetDateTime) -> String {
    time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests;
