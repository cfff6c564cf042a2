//! Rows as they stand, and what they must hold. Both sides give their values in the same order, each with its kind and
//! its length before it, so that no two different rows give the same bytes.

use rusqlite::{Connection, Row, types::ValueRef};

use super::{
    column::{
        date, get, location, manifest, nanoseconds, number_order, signed, time, to_json, transport_text, uid_hash,
    },
    connection::at,
    database::{collect, first},
    insert::fold_name,
};
use crate::{Contents, IndexError, InstanceEntry, LastRows, NewInstance, SeriesEntry, StudyEntry};

/// Values one after the other.
#[derive(Default)]
struct Content(Vec<u8>);

impl Content {
    fn put(&mut self, kind: u8, bytes: &[u8]) {
        self.0.push(kind);
        self.0.extend((bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.put(b't', text.as_bytes());
        self
    }

    fn number(&mut self, number: i64) -> &mut Self {
        self.put(b'n', &number.to_le_bytes());
        self
    }

    fn blob(&mut self, bytes: &[u8]) -> &mut Self {
        self.put(b'b', bytes);
        self
    }
}

/// The columns from `from` on as they stand, whatever they hold.
fn content(row: &Row<'_>, from: usize) -> Result<Vec<u8>, IndexError> {
    let mut content = Content::default();
    for column in from..row.as_ref().column_count() {
        match row.get_ref(column).map_err(at("read a column"))? {
            ValueRef::Null => content.put(b'0', &[]),
            ValueRef::Integer(number) => content.put(b'n', &number.to_le_bytes()),
            ValueRef::Real(number) => content.put(b'r', &number.to_le_bytes()),
            ValueRef::Text(text) => content.put(b't', text),
            ValueRef::Blob(bytes) => content.put(b'b', bytes),
        }
    }
    Ok(content.0)
}

const STUDY_CONTENT: &str = "s.uid, s.uid_hash, s.key_id, s.patient_id, s.patient_name_folded, s.birth_date, \
     s.study_date, s.study_time, s.accession, s.description, s.referring, s.referring_folded, s.attributes";
const SERIES_CONTENT: &str = "s.uid, r.uid, r.uid_hash, r.modality, r.number_order, r.attributes";
const INSTANCE_CONTENT: &str = "s.uid, r.uid, i.sop_uid, i.sop_hash, i.sop_class, i.number_order, i.pack, \
     i.pack_offset, i.pack_length, i.object_id, i.transfer_syntax, i.data_set_length, i.digest, i.sender, i.transport, \
     i.received_at, i.attributes";
const CONFLICT_CONTENT: &str = "study_uid, study_hash, series_uid, sop_uid, sop_hash, sop_class, pack, pack_offset, \
     pack_length, object_id, key_id, transfer_syntax, data_set_length, digest, sender, transport, received_at";

/// What the statements above give for this instance.
pub(super) fn contents(instance: &NewInstance) -> Result<Contents, IndexError> {
    let attributes = &instance.attributes;
    let (ids, keys) = (&attributes.ids, &attributes.study);
    let [study_uid, series_uid] = [ids.study.as_str(), ids.series.as_str()];
    let mut study = Content::default();
    study.text(study_uid).number(uid_hash(study_uid)).blob(&instance.key_id).text(&keys.patient_id);
    study.text(&fold_name(&keys.patient_name)).text(&date(&keys.birth_date)).text(&date(&keys.date));
    study.text(&time(&keys.time)).text(&keys.accession).text(&keys.description).text(&keys.referring);
    study.text(&fold_name(&keys.referring)).text(&to_json(&attributes.study_json)?);

    let mut series = Content::default();
    series.text(study_uid).text(series_uid).number(uid_hash(series_uid)).text(&attributes.series.modality);
    series.number(number_order(attributes.series.number)).text(&to_json(&attributes.series_json)?);

    let sop = ids.sop_instance.as_str();
    let pack = signed(instance.location.pack, "pack")?;
    let offset = signed(instance.location.offset, "offset in the pack")?;
    let length = signed(instance.location.length, "length of the record")?;
    let data_set_length = signed(instance.data_set_length, "data set length")?;
    let transport = transport_text(instance.transport)?;
    let received_at = nanoseconds(instance.received_at)?;

    let mut row = Content::default();
    row.text(study_uid).text(series_uid).text(sop).number(uid_hash(sop)).text(ids.sop_class.as_str());
    row.number(number_order(attributes.instance.number)).number(pack).number(offset).number(length);
    row.blob(&instance.object_id).text(instance.transfer_syntax.as_str()).number(data_set_length);
    row.blob(&instance.digest).text(&instance.sender).text(&transport).number(received_at);
    row.text(&to_json(&attributes.instance_json)?);

    let mut conflict = Content::default();
    conflict.text(study_uid).number(uid_hash(study_uid)).text(series_uid).text(sop).number(uid_hash(sop));
    conflict.text(ids.sop_class.as_str()).number(pack).number(offset).number(length).blob(&instance.object_id);
    conflict.blob(&instance.key_id).text(instance.transfer_syntax.as_str()).number(data_set_length);
    conflict.blob(&instance.digest).text(&instance.sender).text(&transport).number(received_at);
    Ok(Contents { study: study.0, series: series.0, instance: row.0, conflict: conflict.0 })
}

pub(super) fn last_rows(connection: &Connection) -> Result<LastRows, IndexError> {
    let last = |sql| first(connection, "find the last row", sql, [], |row| get::<i64>(row, 0));
    Ok(LastRows {
        study: last("SELECT coalesce(max(study_key), 0) FROM study")?.unwrap_or(0),
        series: last("SELECT coalesce(max(series_key), 0) FROM series")?.unwrap_or(0),
    })
}

pub(super) fn studies(connection: &Connection, after: i64, limit: u32) -> Result<Vec<StudyEntry>, IndexError> {
    let sql = format!(
        "SELECT s.study_key, s.uid, s.key_id, s.created_at, {STUDY_CONTENT} FROM study AS s \
         WHERE s.study_key > ?1 ORDER BY s.study_key LIMIT ?2"
    );
    collect(connection, "go over studies", &sql, (after, limit), |row| {
        Ok(StudyEntry {
            row_key: get(row, 0)?,
            uid: raw(row, 1)?,
            key_id: raw(row, 2)?.try_into().ok(),
            created_at: get(row, 3)?,
            content: content(row, 4)?,
        })
    })
}

pub(super) fn series(connection: &Connection, after: i64, limit: u32) -> Result<Vec<SeriesEntry>, IndexError> {
    let sql = format!(
        "SELECT r.series_key, s.uid, r.uid, s.key_id, r.is_hot, r.last_arrival, r.manifest_pack, r.manifest_offset, \
         r.manifest_length, r.sealed_count, r.sealed_data_length, {SERIES_CONTENT} \
         FROM series AS r JOIN study AS s USING (study_key) WHERE r.series_key > ?1 ORDER BY r.series_key LIMIT ?2"
    );
    collect(connection, "go over series", &sql, (after, limit), |row| {
        Ok(SeriesEntry {
            row_key: get(row, 0)?,
            study: raw(row, 1)?,
            uid: raw(row, 2)?,
            key_id: raw(row, 3)?.try_into().ok(),
            is_hot: get(row, 4)?,
            last_arrival: get(row, 5)?,
            manifest: manifest(row, 6)?,
            content: content(row, 11)?,
        })
    })
}

pub(super) fn instances(connection: &Connection, after: i64, limit: u32) -> Result<Vec<InstanceEntry>, IndexError> {
    let sql = format!(
        "SELECT i.instance_key, i.series_key, i.sop_uid, i.object_id, i.pack, i.pack_offset, i.pack_length, \
         i.received_at, {INSTANCE_CONTENT} \
         FROM instance AS i JOIN series AS r USING (series_key) JOIN study AS s USING (study_key) \
         WHERE i.instance_key > ?1 ORDER BY i.instance_key LIMIT ?2"
    );
    collect(connection, "go over instances", &sql, (after, limit), instance_entry)
}

pub(super) fn conflicts(connection: &Connection, after: i64, limit: u32) -> Result<Vec<InstanceEntry>, IndexError> {
    let sql = format!(
        "SELECT conflict_key, 0, sop_uid, object_id, pack, pack_offset, pack_length, received_at, {CONFLICT_CONTENT} \
         FROM conflict_version WHERE conflict_key > ?1 ORDER BY conflict_key LIMIT ?2"
    );
    collect(connection, "go over conflicts", &sql, (after, limit), instance_entry)
}

fn instance_entry(row: &Row<'_>) -> Result<InstanceEntry, IndexError> {
    Ok(InstanceEntry {
        row_key: get(row, 0)?,
        series_key: get(row, 1)?,
        sop_instance: raw(row, 2)?,
        object_id: raw(row, 3)?.try_into().unwrap_or_default(),
        location: location(row, 4)?,
        received_at: get(row, 7)?,
        content: content(row, 8)?,
    })
}

fn raw(row: &Row<'_>, column: usize) -> Result<Vec<u8>, IndexError> {
    let value = row.get_ref(column).map_err(at("read a column"))?;
    Ok(value.as_bytes_or_null().map_err(|_| IndexError::Row("bytes"))?.unwrap_or_default().to_vec())
}

/// Rows that help to search and can be made from the others: findings by key of the study.
pub(super) fn derived(connection: &Connection) -> Result<Vec<String>, IndexError> {
    const LIMIT: &str = "LIMIT 100";
    let mut findings = Vec::new();
    for (what, sql) in [
        (
            "a modality is listed that no series of the study has",
            "SELECT study_key FROM study_modality AS m LEFT JOIN study AS s USING (study_key) \
             WHERE s.study_date IS NOT m.study_date OR NOT EXISTS \
             (SELECT 1 FROM series AS r WHERE r.study_key = m.study_key AND r.modality = m.modality)",
        ),
        (
            "the modality of a series is not listed for its study",
            "SELECT DISTINCT r.study_key FROM series AS r JOIN study AS s USING (study_key) WHERE r.modality <> '' \
             AND NOT EXISTS (SELECT 1 FROM study_modality AS m WHERE m.modality = r.modality \
             AND m.study_date = s.study_date AND m.study_key = r.study_key)",
        ),
        (
            "a group of a name is listed that the study does not have",
            "SELECT study_key FROM name_group AS g LEFT JOIN study AS s USING (study_key) WHERE coalesce(instr('=' || \
             CASE g.kind WHEN 1 THEN s.patient_name_folded ELSE s.referring_folded END || '=', '=' || g.folded || '='), 0) = 0",
        ),
        (
            "instances are listed as sealed in a series without a manifest",
            "SELECT DISTINCT x.series_key FROM sealed_instance AS x LEFT JOIN series AS r USING (series_key) \
             WHERE r.manifest_pack IS NULL",
        ),
        (
            "more instances are listed as sealed than there are",
            "SELECT count(*) FROM sealed_instance HAVING count(*) > (SELECT coalesce(sum(sealed_count), 0) FROM series)",
        ),
        (
            "a study cannot be searched by words",
            "SELECT study_key FROM study WHERE study_key NOT IN (SELECT id FROM study_text_docsize)",
        ),
        (
            "words are kept of a study that is not there",
            "SELECT id FROM study_text_docsize WHERE id NOT IN (SELECT study_key FROM study)",
        ),
    ] {
        let keys = collect(connection, "check derived rows", &format!("{sql} {LIMIT}"), [], |row| get::<i64>(row, 0))?;
        findings.extend(keys.into_iter().map(|key| format!("{what}: row {key}")));
    }
    let count = |sql| first(connection, "count name groups", sql, [], |row| get::<i64>(row, 0));
    let held = count("SELECT count(*) FROM name_group")?.unwrap_or(0);
    let names = collect(
        connection,
        "list names with groups",
        "SELECT patient_name_folded, referring_folded FROM study \
         WHERE instr(patient_name_folded, '=') OR instr(referring_folded, '=')",
        [],
        |row| {
            Ok([get::<String>(row, 0)?, get(row, 1)?]
                .iter()
                .map(|name| {
                    let mut groups: Vec<&str> = name.split('=').skip(1).filter(|group| !group.is_empty()).collect();
                    groups.sort_unstable();
                    groups.dedup();
                    groups.len()
                })
                .sum::<usize>())
        },
    )?;
    if i64::try_from(names.into_iter().sum::<usize>()).ok() != Some(held) {
        findings.push("groups of names are missing".to_owned());
    }
    Ok(findings)
}
