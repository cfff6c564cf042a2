//! Values on their way into columns and out of them.

use aws_lc_rs::digest;
use kluis_dicom::{Uid, date_time};
use kluis_policy::Transport;
use rusqlite::Row;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::connection::at;
use crate::{IndexError, Location, ManifestPointer};

/// Most bytes of the JSON of one level; beyond it the longest attributes are left out, as they are only for searching.
const MAX_ATTRIBUTES_BYTES: usize = 1 << 20;
/// Most bytes of one attribute in a level that is over the limit.
const MAX_ATTRIBUTE_BYTES: usize = 16 << 10;

/// Characters at the end of a UID in which makers count.
const COUNTER_CHARS: usize = 6;

/// What is indexed beside the text of a UID: 3 bytes of the SHA-256 of all but its last characters, then 5 of the SHA-256
/// of the whole. The objects of a study mostly have UIDs that differ at the end, so that they stand on one page of an
/// index and not each on one of its own.
pub(super) fn uid_hash(uid: &str) -> i64 {
    let sha256 = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
    let beginning = uid.get(..uid.len().saturating_sub(COUNTER_CHARS)).unwrap_or_default();
    let (near, whole) = (sha256(beginning), sha256(uid));
    let bytes = near.as_ref().iter().take(3).chain(whole.as_ref().iter().take(5));
    bytes.fold(0, |hash, byte| hash << 8 | i64::from(*byte))
}

pub(super) fn signed(number: u64, what: &'static str) -> Result<i64, IndexError> {
    i64::try_from(number).map_err(|_| IndexError::OutOfRange(what))
}

pub(super) fn nanoseconds(time: OffsetDateTime) -> Result<i64, IndexError> {
    i64::try_from(time.unix_timestamp_nanos()).map_err(|_| IndexError::OutOfRange("time"))
}

/// Instance or Series Number as it is sorted: those without one last.
pub(super) fn number_order(number: Option<i64>) -> i64 {
    number.unwrap_or(i64::MAX)
}

/// A date or nothing: columns of dates hold no other text.
pub(super) fn date(text: &str) -> String {
    date_time::date(text).unwrap_or_default()
}

/// A time as its first moment, or nothing.
pub(super) fn time(text: &str) -> String {
    date_time::time(text).map(|interval| interval.from).unwrap_or_default()
}

pub(super) fn to_json(attributes: &Map<String, Value>) -> Result<String, IndexError> {
    let write = |attributes: &Map<String, Value>| {
        serde_json::to_string(attributes).map_err(|_| IndexError::OutOfRange("attributes"))
    };
    let text = write(attributes)?;
    if text.len() <= MAX_ATTRIBUTES_BYTES {
        return Ok(text);
    }
    let short: Map<String, Value> = attributes
        .iter()
        .filter(|(_, value)| value.to_string().len() <= MAX_ATTRIBUTE_BYTES)
        .map(|(tag, value)| (tag.clone(), value.clone()))
        .collect();
    write(&short)
}

pub(super) fn transport_text(transport: Transport) -> Result<String, IndexError> {
    match serde_json::to_value(transport) {
        Ok(Value::String(text)) => Ok(text),
        _ => Err(IndexError::OutOfRange("transport")),
    }
}

pub(super) fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: usize) -> Result<T, IndexError> {
    row.get(column).map_err(at("read a column"))
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, IndexError> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| IndexError::Row("number"))
}

pub(super) fn uid(row: &Row<'_>, column: usize) -> Result<Uid, IndexError> {
    let text = row.get_ref(column).map_err(at("read a column"))?;
    text.as_str().ok().and_then(|text| text.parse().ok()).ok_or(IndexError::Row("UID"))
}

pub(super) fn bytes<const N: usize>(row: &Row<'_>, column: usize) -> Result<[u8; N], IndexError> {
    let value = row.get_ref(column).map_err(at("read a column"))?;
    value.as_blob().ok().and_then(|blob| blob.try_into().ok()).ok_or(IndexError::Row("bytes"))
}

pub(super) fn json(row: &Row<'_>, column: usize) -> Result<Map<String, Value>, IndexError> {
    let text = row.get_ref(column).map_err(at("read a column"))?;
    text.as_str().ok().and_then(|text| serde_json::from_str(text).ok()).ok_or(IndexError::Row("attributes"))
}

pub(super) fn moment(row: &Row<'_>, column: usize) -> Result<OffsetDateTime, IndexError> {
    let nanoseconds = get::<i64>(row, column)?;
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds)).map_err(|_| IndexError::Row("time"))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> Result<Option<i64>, IndexError> {
    let order = get::<i64>(row, column)?;
    Ok((order != i64::MAX).then_some(order))
}

pub(super) fn transport(row: &Row<'_>, column: usize) -> Result<Transport, IndexError> {
    serde_json::from_value(Value::String(get(row, column)?)).map_err(|_| IndexError::Row("transport"))
}

/// Three columns: pack, offset, length.
pub(super) fn location(row: &Row<'_>, column: usize) -> Result<Location, IndexError> {
    Ok(Location {
        pack: unsigned(row, column)?,
        offset: unsigned(row, column + 1)?,
        length: unsigned(row, column + 2)?,
    })
}

/// Five columns: pack, offset, length, count, length of the data; the first is NULL before the first seal.
pub(super) fn manifest(row: &Row<'_>, column: usize) -> Result<Option<ManifestPointer>, IndexError> {
    if get::<Option<i64>>(row, column)?.is_none() {
        return Ok(None);
    }
    Ok(Some(ManifestPointer {
        location: location(row, column)?,
        count: unsigned(row, column + 3)?,
        data_length: unsigned(row, column + 4)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::uid_hash;

    #[test]
    fn uids_that_differ_at_the_end_only_stand_together() {
        let near = |uid: &str| uid_hash(uid) >> 40;
        let (first, second) = ("1.2.840.113619.2.55.3.1120.1", "1.2.840.113619.2.55.3.1120.2");
        assert_eq!(near(first), near(second));
        assert_ne!(uid_hash(first), uid_hash(second));
        assert_ne!(near(first), near("1.2.840.113619.2.55.4.1120.1"));
        assert_ne!(uid_hash("1.2"), uid_hash("1.3"), "shorter than what is left out");
    }
}
