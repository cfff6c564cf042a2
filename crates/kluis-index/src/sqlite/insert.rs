//! Instances going in. Runs on the one connection that writes, so what it looks up stays true until the commit.

use std::collections::{HashMap, hash_map::Entry};

use kluis_dicom::fold;
use rusqlite::{Connection, params};

use super::{
    column::{bytes, date, get, nanoseconds, number_order, signed, time, to_json, transport_text, uid_hash},
    database::{change, first},
    lookup,
};
use crate::{IndexError, Inserted, Location, NewInstance, limits::ARRIVAL_LAG_NS};

/// A series that this batch has touched.
struct Series {
    series_key: i64,
    /// The last arrival that its row tells; `None` where the row must be written in any case, as it is not hot.
    told: Option<i64>,
    /// The latest of the batch's new instances, in nanoseconds.
    last_arrival: Option<i64>,
}

pub(super) fn insert(connection: &Connection, batch: &[NewInstance]) -> Result<Vec<Inserted>, IndexError> {
    let mut touched: HashMap<(&str, &str), Series> = HashMap::new();
    let mut outcomes = Vec::with_capacity(batch.len());
    for instance in batch {
        let outcome = match standing(connection, instance)? {
            Some(known) => known,
            None => insert_new(connection, instance, &mut touched)?,
        };
        outcomes.push(outcome);
    }
    for series in touched.values() {
        let Some(last_arrival) = series.last_arrival else { continue };
        if series.told.is_some_and(|told| last_arrival < told.saturating_add(ARRIVAL_LAG_NS)) {
            continue;
        }
        change(
            connection,
            "touch series",
            "UPDATE series SET last_arrival = max(last_arrival, ?2), is_hot = 1 WHERE series_key = ?1",
            params![series.series_key, last_arrival],
        )?;
    }
    Ok(outcomes)
}

pub(super) fn insert_conflicts(connection: &Connection, batch: &[NewInstance]) -> Result<u64, IndexError> {
    let mut new = 0;
    for instance in batch {
        new += u64::from(insert_conflict(connection, instance)?);
    }
    Ok(new)
}

/// What an instance is whose SOP Instance UID has a hot row, or may stand in a manifest, in whatever study.
fn standing(connection: &Connection, instance: &NewInstance) -> Result<Option<Inserted>, IndexError> {
    let sop = instance.attributes.ids.sop_instance.as_str();
    let digest = first(
        connection,
        "find instance",
        "SELECT digest FROM instance WHERE sop_hash = ?1 AND sop_uid = ?2",
        params![uid_hash(sop), sop],
        |row| bytes::<32>(row, 0),
    )?;
    let Some(digest) = digest else {
        let sealed = lookup::sealed(connection, sop)?;
        let unseen = sealed.into_iter().find(|series| !instance.absent_from.contains(&series.manifest.location));
        return Ok(unseen.map(Inserted::Sealed));
    };
    if digest == instance.digest {
        return Ok(Some(Inserted::Duplicate));
    }
    insert_conflict(connection, instance)?;
    Ok(Some(Inserted::Conflict))
}

fn insert_new<'a>(
    connection: &Connection,
    instance: &'a NewInstance,
    touched: &mut HashMap<(&'a str, &'a str), Series>,
) -> Result<Inserted, IndexError> {
    let ids = &instance.attributes.ids;
    let name = (ids.study.as_str(), ids.series.as_str());
    let received_at = nanoseconds(instance.received_at)?;
    let series = match touched.entry(name) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => place.insert(find_or_make_series(connection, instance, received_at)?),
    };
    insert_row(connection, instance, series.series_key, received_at)?;
    series.last_arrival = series.last_arrival.max(Some(received_at));
    Ok(Inserted::New)
}

fn insert_row(
    connection: &Connection,
    instance: &NewInstance,
    series_key: i64,
    received_at: i64,
) -> Result<(), IndexError> {
    let ids = &instance.attributes.ids;
    let [pack, offset, length] = place(instance.location)?;
    change(
        connection,
        "insert instance",
        "INSERT INTO instance (series_key, sop_uid, sop_hash, sop_class, number_order, pack, pack_offset, pack_length, \
         object_id, transfer_syntax, data_set_length, digest, sender, transport, received_at, attributes) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        params![
            series_key,
            ids.sop_instance.as_str(),
            uid_hash(ids.sop_instance.as_str()),
            ids.sop_class.as_str(),
            number_order(instance.attributes.instance.number),
            pack,
            offset,
            length,
            instance.object_id,
            instance.transfer_syntax.as_str(),
            signed(instance.data_set_length, "data set length")?,
            instance.digest,
            instance.sender,
            transport_text(instance.transport)?,
            received_at,
            to_json(&instance.attributes.instance_json)?,
        ],
    )?;
    Ok(())
}

/// Whether it was new: the same bytes are kept as a conflict once.
fn insert_conflict(connection: &Connection, instance: &NewInstance) -> Result<bool, IndexError> {
    let ids = &instance.attributes.ids;
    let sop = ids.sop_instance.as_str();
    let sop_hash = uid_hash(sop);
    let known = first(
        connection,
        "find conflict",
        "SELECT 1 FROM conflict_version WHERE sop_hash = ?1 AND sop_uid = ?2 AND digest = ?3",
        params![sop_hash, sop, instance.digest],
        |_| Ok(()),
    )?;
    if known.is_some() {
        return Ok(false);
    }
    let [pack, offset, length] = place(instance.location)?;
    change(
        connection,
        "insert conflict",
        "INSERT INTO conflict_version (study_uid, study_hash, series_uid, sop_uid, sop_hash, sop_class, pack, \
         pack_offset, pack_length, object_id, key_id, transfer_syntax, data_set_length, digest, sender, transport, \
         received_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            ids.study.as_str(),
            uid_hash(ids.study.as_str()),
            ids.series.as_str(),
            sop,
            sop_hash,
            ids.sop_class.as_str(),
            pack,
            offset,
            length,
            instance.object_id,
            instance.key_id,
            instance.transfer_syntax.as_str(),
            signed(instance.data_set_length, "data set length")?,
            instance.digest,
            instance.sender,
            transport_text(instance.transport)?,
            nanoseconds(instance.received_at)?,
        ],
    )?;
    Ok(true)
}

fn find_or_make_series(
    connection: &Connection,
    instance: &NewInstance,
    received_at: i64,
) -> Result<Series, IndexError> {
    let attributes = &instance.attributes;
    let study_key = match find_study(connection, attributes.ids.study.as_str())? {
        Some(study_key) => study_key,
        None => make_study(connection, instance, received_at)?,
    };
    let uid = attributes.ids.series.as_str();
    let known = first(
        connection,
        "find series",
        "SELECT series_key, is_hot, last_arrival FROM series WHERE uid_hash = ?1 AND uid = ?2 AND study_key = ?3",
        params![uid_hash(uid), uid, study_key],
        |row| {
            let is_hot: bool = get(row, 1)?;
            let told = if is_hot { Some(get(row, 2)?) } else { None };
            Ok(Series { series_key: get(row, 0)?, told, last_arrival: None })
        },
    )?;
    if let Some(series) = known {
        return Ok(series);
    }
    change(
        connection,
        "insert series",
        "INSERT INTO series (study_key, uid, uid_hash, modality, number_order, is_hot, last_arrival, attributes) \
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7)",
        params![
            study_key,
            uid,
            uid_hash(uid),
            attributes.series.modality,
            number_order(attributes.series.number),
            received_at,
            to_json(&attributes.series_json)?,
        ],
    )?;
    let series_key = connection.last_insert_rowid();
    if !attributes.series.modality.is_empty() {
        change(
            connection,
            "insert modality",
            "INSERT OR IGNORE INTO study_modality (modality, study_date, study_key) \
             SELECT ?1, study_date, study_key FROM study WHERE study_key = ?2",
            params![attributes.series.modality, study_key],
        )?;
    }
    Ok(Series { series_key, told: Some(received_at), last_arrival: None })
}

fn find_study(connection: &Connection, uid: &str) -> Result<Option<i64>, IndexError> {
    first(
        connection,
        "find study",
        "SELECT study_key FROM study WHERE uid_hash = ?1 AND uid = ?2",
        params![uid_hash(uid), uid],
        |row| get(row, 0),
    )
}

fn make_study(connection: &Connection, instance: &NewInstance, received_at: i64) -> Result<i64, IndexError> {
    let keys = &instance.attributes.study;
    let uid = instance.attributes.ids.study.as_str();
    let patient_name = fold_name(&keys.patient_name);
    let referring = fold_name(&keys.referring);
    change(
        connection,
        "insert study",
        "INSERT INTO study (uid, uid_hash, key_id, patient_id, patient_name_folded, birth_date, study_date, study_time, \
         accession, description, referring, referring_folded, created_at, attributes) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            uid,
            uid_hash(uid),
            instance.key_id,
            keys.patient_id,
            patient_name,
            date(&keys.birth_date),
            date(&keys.date),
            time(&keys.time),
            keys.accession,
            keys.description,
            keys.referring,
            referring,
            received_at,
            to_json(&instance.attributes.study_json)?,
        ],
    )?;
    let study_key = connection.last_insert_rowid();
    for (kind, name) in [(super::PATIENT_NAME, &patient_name), (super::REFERRING_NAME, &referring)] {
        // the alphabetic group, the first, is found in the columns of the study
        for group in name.split('=').skip(1).filter(|group| !group.is_empty()) {
            change(
                connection,
                "insert name group",
                "INSERT OR IGNORE INTO name_group (kind, folded, study_key) VALUES (?1, ?2, ?3)",
                params![kind, group, study_key],
            )?;
        }
    }
    let text = [patient_name, referring, fold(&keys.description)].join("\n");
    change(
        connection,
        "insert text",
        "INSERT INTO study_text (rowid, text) VALUES (?1, ?2)",
        params![study_key, text],
    )?;
    Ok(study_key)
}

/// Folds a person name so that its alphabetic group begins the text, without the empty components at its end.
pub(super) fn fold_name(name: &str) -> String {
    let folded = fold(name);
    let groups: Vec<&str> = folded.split('=').map(|group| group.trim_end_matches(['^', ' '])).collect();
    groups.join("=")
}

fn place(location: Location) -> Result<[i64; 3], IndexError> {
    Ok([
        signed(location.pack, "pack")?,
        signed(location.offset, "offset in the pack")?,
        signed(location.length, "length of the record")?,
    ])
}
