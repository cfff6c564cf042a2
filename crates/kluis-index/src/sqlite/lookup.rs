//! Questions about one study, series or instance by UID, and about the whole.

use kluis_dicom::{Uid, attributes::InstanceIds};
use kluis_policy::RowFilter;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value as Sql};

use super::{
    column::{bytes, get, json, location, manifest, moment, number, transport, uid, uid_hash, unsigned},
    database::{change, collect, first},
};
use crate::{
    ConflictRow, Counts, HotInstance, IndexError, InstanceRow, Known, SealedSeries, SeriesRow, StudyRow, Watermark,
    limits::MAX_INSTANCES,
};

pub(super) fn known(connection: &Connection, sop_instances: &[Uid]) -> Result<Vec<Known>, IndexError> {
    sop_instances.iter().map(|uid| known_one(connection, uid.as_str())).collect()
}

fn known_one(connection: &Connection, sop: &str) -> Result<Known, IndexError> {
    let hot = first(
        connection,
        "find instance",
        "SELECT s.uid, r.uid, i.sop_uid, i.sop_class, i.digest, i.pack, i.pack_offset, i.pack_length, i.object_id \
         FROM instance AS i JOIN series AS r USING (series_key) JOIN study AS s USING (study_key) \
         WHERE i.sop_hash = ?1 AND i.sop_uid = ?2",
        params![uid_hash(sop), sop],
        |row| {
            Ok(HotInstance {
                ids: instance_ids(row, 0)?,
                digest: bytes(row, 4)?,
                location: location(row, 5)?,
                object_id: bytes(row, 8)?,
            })
        },
    )?;
    if let Some(hot) = hot {
        return Ok(Known::Hot(hot));
    }
    let sealed = sealed(connection, sop)?;
    Ok(if sealed.is_empty() { Known::Unknown } else { Known::Sealed(sealed) })
}

pub(super) const FIND_SEALED: &str = "SELECT s.uid, r.uid, s.key_id, r.manifest_pack, r.manifest_offset, \
     r.manifest_length, r.sealed_count, r.sealed_data_length FROM sealed_instance AS x \
     CROSS JOIN series AS r USING (series_key) CROSS JOIN study AS s USING (study_key) \
     WHERE x.sop_hash = ?1 ORDER BY x.series_key";

/// The series whose manifests may hold this SOP Instance UID.
pub(super) fn sealed(connection: &Connection, sop: &str) -> Result<Vec<SealedSeries>, IndexError> {
    let found = collect(connection, "find sealed instance", FIND_SEALED, [uid_hash(sop)], |row| {
        let Some(manifest) = manifest(row, 3)? else { return Ok(None) };
        Ok(Some(SealedSeries { study: uid(row, 0)?, series: uid(row, 1)?, key_id: bytes(row, 2)?, manifest }))
    })?;
    Ok(found.into_iter().flatten().collect())
}

pub(super) fn conflicts(connection: &Connection, sop_instance: &str) -> Result<Vec<ConflictRow>, IndexError> {
    let sql = format!("{SELECT_CONFLICT} WHERE sop_hash = ?1 AND sop_uid = ?2 ORDER BY conflict_key");
    collect(connection, "list conflicts", &sql, params![uid_hash(sop_instance), sop_instance], conflict_row)
}

pub(super) fn conflicts_of(connection: &Connection, study: &str) -> Result<Vec<ConflictRow>, IndexError> {
    let sql = format!("{SELECT_CONFLICT} WHERE study_hash = ?1 AND study_uid = ?2 ORDER BY conflict_key");
    collect(connection, "list conflicts", &sql, params![uid_hash(study), study], conflict_row)
}

const SELECT_CONFLICT: &str = "SELECT study_uid, series_uid, sop_uid, sop_class, digest, pack, pack_offset, pack_length, \
     object_id, key_id, transfer_syntax, data_set_length, sender, transport, received_at FROM conflict_version";

fn conflict_row(row: &Row<'_>) -> Result<ConflictRow, IndexError> {
    Ok(ConflictRow {
        ids: instance_ids(row, 0)?,
        digest: bytes(row, 4)?,
        location: location(row, 5)?,
        object_id: bytes(row, 8)?,
        key_id: bytes(row, 9)?,
        transfer_syntax: uid(row, 10)?,
        data_set_length: unsigned(row, 11)?,
        sender: get(row, 12)?,
        transport: transport(row, 13)?,
        received_at: moment(row, 14)?,
    })
}

fn instance_ids(row: &Row<'_>, column: usize) -> Result<InstanceIds, IndexError> {
    Ok(InstanceIds {
        study: uid(row, column)?,
        series: uid(row, column + 1)?,
        sop_instance: uid(row, column + 2)?,
        sop_class: uid(row, column + 3)?,
    })
}

pub(super) fn study(connection: &Connection, study: &str) -> Result<Option<StudyRow>, IndexError> {
    first(
        connection,
        "find study",
        "SELECT uid, study_key, key_id, referring, attributes, created_at FROM study WHERE uid_hash = ?1 AND uid = ?2",
        params![uid_hash(study), study],
        |row| {
            Ok(StudyRow {
                uid: uid(row, 0)?,
                study_key: get(row, 1)?,
                key_id: bytes(row, 2)?,
                referring: get(row, 3)?,
                attributes: json(row, 4)?,
                created_at: moment(row, 5)?,
            })
        },
    )
}

pub(super) fn series_of(connection: &Connection, study: &str, rows: &RowFilter) -> Result<Vec<SeriesRow>, IndexError> {
    let mut parameters = vec![Sql::from(uid_hash(study)), Sql::from(study.to_owned())];
    let visible = row_condition(rows, &mut parameters);
    let sql = format!(
        "SELECT r.uid, r.series_key, r.modality, r.number_order, r.manifest_pack, r.manifest_offset, r.manifest_length, \
         r.sealed_count, r.sealed_data_length, s.key_id, s.attributes, r.attributes, r.last_arrival, \
         (SELECT count(*) FROM instance AS i WHERE i.series_key = r.series_key) \
         FROM study AS s JOIN series AS r USING (study_key) \
         WHERE s.uid_hash = ? AND s.uid = ?{visible} ORDER BY r.number_order, r.series_key"
    );
    collect(connection, "list series", &sql, params_from_iter(parameters), |row| {
        let pointer = manifest(row, 4)?;
        let mut attributes = json(row, 10)?;
        attributes.extend(json(row, 11)?);
        Ok(SeriesRow {
            uid: uid(row, 0)?,
            series_key: get(row, 1)?,
            modality: get(row, 2)?,
            number: number(row, 3)?,
            manifest: pointer,
            hot_count: unsigned(row, 13)?,
            sealed_count: pointer.map_or(0, |pointer| pointer.count),
            key_id: bytes(row, 9)?,
            attributes,
            last_arrival: moment(row, 12)?,
        })
    })
}

pub(super) fn instances(
    connection: &Connection,
    study: &str,
    series: Option<&str>,
    instance: Option<&str>,
    rows: &RowFilter,
) -> Result<Vec<InstanceRow>, IndexError> {
    let mut parameters = vec![Sql::from(uid_hash(study)), Sql::from(study.to_owned())];
    let mut conditions = row_condition(rows, &mut parameters);
    for (hash, text, uid) in [("r.uid_hash", "r.uid", series), ("i.sop_hash", "i.sop_uid", instance)] {
        let Some(uid) = uid else { continue };
        conditions.push_str(&format!(" AND {hash} = ? AND {text} = ?"));
        parameters.push(uid_hash(uid).into());
        parameters.push(uid.to_owned().into());
    }
    parameters.push(i64::try_from(MAX_INSTANCES).unwrap_or(i64::MAX).saturating_add(1).into());
    let sql = format!(
        "SELECT s.uid, r.uid, i.sop_uid, i.sop_class, i.instance_key, i.pack, i.pack_offset, i.pack_length, i.object_id, \
         s.key_id, i.transfer_syntax, i.data_set_length, i.digest, i.sender, i.transport, i.received_at, \
         i.number_order, i.attributes \
         FROM study AS s JOIN series AS r USING (study_key) JOIN instance AS i USING (series_key) \
         WHERE s.uid_hash = ? AND s.uid = ?{conditions} \
         ORDER BY r.number_order, r.series_key, i.number_order, i.instance_key LIMIT ?"
    );
    let all = collect(connection, "list instances", &sql, params_from_iter(parameters), instance_row)?;
    if all.len() > MAX_INSTANCES { Err(IndexError::QueryLimit("instances")) } else { Ok(all) }
}

fn instance_row(row: &Row<'_>) -> Result<InstanceRow, IndexError> {
    Ok(InstanceRow {
        row_key: get(row, 4)?,
        ids: instance_ids(row, 0)?,
        location: location(row, 5)?,
        object_id: bytes(row, 8)?,
        key_id: bytes(row, 9)?,
        transfer_syntax: uid(row, 10)?,
        data_set_length: unsigned(row, 11)?,
        digest: bytes(row, 12)?,
        sender: get(row, 13)?,
        transport: transport(row, 14)?,
        received_at: moment(row, 15)?,
        number: number(row, 16)?,
        attributes: json(row, 17)?,
    })
}

/// ` AND …` that leaves the studies which the filter lets see, for a statement with `study AS s`.
fn row_condition(rows: &RowFilter, parameters: &mut Vec<Sql>) -> String {
    match rows {
        RowFilter::All => String::new(),
        // nobody is named by an empty name, though many studies name nobody
        RowFilter::Referring(own) if own.is_empty() => " AND 0".to_owned(),
        RowFilter::Referring(own) => {
            parameters.push(own.clone().into());
            " AND s.referring_folded = ?".to_owned()
        }
    }
}

pub(super) fn watermark(connection: &Connection) -> Result<Option<Watermark>, IndexError> {
    first(
        connection,
        "read watermark",
        "SELECT pack, pack_offset, objects_size, audit_size FROM watermark",
        [],
        |row| {
            Ok(Watermark {
                pack: unsigned(row, 0)?,
                offset: unsigned(row, 1)?,
                objects_size: unsigned(row, 2)?,
                audit_size: unsigned(row, 3)?,
            })
        },
    )
}

pub(super) fn set_watermark(connection: &Connection, watermark: Watermark) -> Result<(), IndexError> {
    let numbers = [watermark.pack, watermark.offset, watermark.objects_size, watermark.audit_size];
    let [pack, offset, objects, audit] = numbers.map(|number| i64::try_from(number).ok());
    if [pack, offset, objects, audit].contains(&None) {
        return Err(IndexError::OutOfRange("watermark"));
    }
    change(
        connection,
        "write watermark",
        "INSERT OR REPLACE INTO watermark (one, pack, pack_offset, objects_size, audit_size) VALUES (1, ?1, ?2, ?3, ?4)",
        params![pack, offset, objects, audit],
    )?;
    Ok(())
}

pub(super) fn counts(connection: &Connection, rows: &RowFilter) -> Result<Counts, IndexError> {
    let count = |statement, all: &str, own: &str| {
        let mut parameters = Vec::new();
        let condition = row_condition(rows, &mut parameters);
        let sql = if condition.is_empty() { all.to_owned() } else { format!("{own} WHERE 1{condition}") };
        let pair = first(connection, statement, &sql, params_from_iter(parameters), |row| {
            let second = if row.as_ref().column_count() > 1 { unsigned(row, 1)? } else { 0 };
            let third = if row.as_ref().column_count() > 2 { unsigned(row, 2)? } else { 0 };
            Ok((unsigned(row, 0)?, second, third))
        })?;
        Ok::<_, IndexError>(pair.unwrap_or_default())
    };
    let (studies, ..) = count("count studies", "SELECT count(*) FROM study", "SELECT count(*) FROM study AS s")?;
    let (series, sealed_instances, sealed_length) = count(
        "count series",
        "SELECT count(*), coalesce(sum(sealed_count), 0), coalesce(sum(sealed_data_length), 0) FROM series",
        "SELECT count(*), coalesce(sum(r.sealed_count), 0), coalesce(sum(r.sealed_data_length), 0) \
         FROM study AS s JOIN series AS r USING (study_key)",
    )?;
    let (hot_instances, hot_length, _) = count(
        "count instances",
        "SELECT count(*), coalesce(sum(data_set_length), 0) FROM instance",
        "SELECT count(*), coalesce(sum(i.data_set_length), 0) \
         FROM study AS s JOIN series AS r USING (study_key) JOIN instance AS i USING (series_key)",
    )?;
    let (conflicts, ..) = count(
        "count conflicts",
        "SELECT count(*) FROM conflict_version",
        "SELECT count(*) FROM study AS s JOIN conflict_version AS c ON c.study_hash = s.uid_hash AND c.study_uid = s.uid",
    )?;
    let data_length = sealed_length.saturating_add(hot_length);
    Ok(Counts { studies, series, hot_instances, sealed_instances, conflicts, data_length })
}

pub(super) fn clear(connection: &Connection) -> Result<(), IndexError> {
    for sql in [
        "DELETE FROM instance",
        "DELETE FROM conflict_version",
        "DELETE FROM sealed_instance",
        "DELETE FROM study_modality",
        "DELETE FROM name_group",
        "DELETE FROM series",
        "DELETE FROM study",
        "DELETE FROM watermark",
        "INSERT INTO study_text (study_text) VALUES ('delete-all')",
    ] {
        change(connection, "clear", sql, [])?;
    }
    Ok(())
}
