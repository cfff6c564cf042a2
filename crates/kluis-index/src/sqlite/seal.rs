//! From hot rows to a manifest.

use rusqlite::{Connection, params};

use super::{
    column::{bytes, get, manifest, moment, signed, uid, unsigned},
    database::{change, collect, first},
};
use crate::{IndexError, ManifestPointer, SealCandidate};

pub(super) const LIST_QUIET: &str = "SELECT s.uid, r.uid, r.series_key, s.key_id, r.manifest_pack, r.manifest_offset, r.manifest_length, \
     r.sealed_count, r.sealed_data_length, r.last_arrival, \
     (SELECT count(*) FROM instance AS i WHERE i.series_key = r.series_key) \
     FROM series AS r INDEXED BY series_quiet CROSS JOIN study AS s USING (study_key) \
     WHERE r.is_hot = 1 AND r.last_arrival <= ?1 ORDER BY r.last_arrival, r.series_key LIMIT ?2";

pub(super) fn series_to_seal(
    connection: &Connection,
    quiet_since: i64,
    limit: u32,
) -> Result<Vec<SealCandidate>, IndexError> {
    collect(connection, "list series to seal", LIST_QUIET, params![quiet_since, limit], |row| {
        Ok(SealCandidate {
            study: uid(row, 0)?,
            series: uid(row, 1)?,
            series_key: get(row, 2)?,
            key_id: bytes(row, 3)?,
            manifest: manifest(row, 4)?,
            last_arrival: moment(row, 9)?,
            hot_count: unsigned(row, 10)?,
        })
    })
}

pub(super) fn seal(
    connection: &Connection,
    candidate: &SealCandidate,
    pointer: &ManifestPointer,
    hot_rows: &[i64],
) -> Result<bool, IndexError> {
    let current = first(
        connection,
        "find series",
        "SELECT manifest_pack, manifest_offset, manifest_length, sealed_count, sealed_data_length FROM series \
         WHERE series_key = ?1 AND uid = ?2",
        params![candidate.series_key, candidate.series.as_str()],
        |row| manifest(row, 0),
    )?;
    if current != Some(candidate.manifest) {
        return Ok(false);
    }
    let present = collect(
        connection,
        "list hot rows",
        "SELECT instance_key FROM instance WHERE series_key = ?1 ORDER BY instance_key",
        [candidate.series_key],
        |row| get::<i64>(row, 0),
    )?;
    let mut expected = hot_rows.to_vec();
    expected.sort_unstable();
    if present != expected {
        return Ok(false);
    }
    change(
        connection,
        "point at manifest",
        "UPDATE series SET manifest_pack = ?2, manifest_offset = ?3, manifest_length = ?4, sealed_count = ?5, \
         sealed_data_length = ?6, is_hot = 0 WHERE series_key = ?1",
        params![
            candidate.series_key,
            signed(pointer.location.pack, "pack")?,
            signed(pointer.location.offset, "offset in the pack")?,
            signed(pointer.location.length, "length of the record")?,
            signed(pointer.count, "instances in the manifest")?,
            signed(pointer.data_length, "length of the data")?,
        ],
    )?;
    change(
        connection,
        "note sealed instances",
        "INSERT OR IGNORE INTO sealed_instance (sop_hash, series_key) \
         SELECT sop_hash, series_key FROM instance WHERE series_key = ?1 ORDER BY sop_hash",
        [candidate.series_key],
    )?;
    change(connection, "remove hot rows", "DELETE FROM instance WHERE series_key = ?1", [candidate.series_key])?;
    Ok(true)
}
