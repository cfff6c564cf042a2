//! The subcommands, one file each, and how they print.

pub(crate) mod checkpoint;
pub(crate) mod demo;
pub(crate) mod device;
pub(crate) mod dicom;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod index;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod route;
pub(crate) mod serve;
mod sources;
pub(crate) mod study;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod verify;
pub(crate) mod worklist;
mod zip_shelf;

use serde_json::Value;

use crate::say::say;

/// Text for people, or one JSON document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the document, or lets `text` print.
    pub(crate) fn print(&self, document: &Value, text: impl FnOnce()) {
        if self.json {
            say!("{document}");
        } else {
            text();
        }
    }
}

/// A text field of an answer, or nothing.
pub(crate) fn text_of<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// One segment of a path, percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}
