//! Rows of an answer from their keys: kept attributes of each level, and those that are computed (PS3.4 C.3.4).

use std::{collections::BTreeSet, rc::Rc};

use kluis_dicom::Uid;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::walk::Hit;
use crate::{
    IndexError, Row, SeriesMatch,
    sqlite::{
        column::{bytes, get, json, manifest, uid, unsigned},
        database::{collect, first},
    },
};

/// Modality and number of instances of each series of a study; the rows of the series are not looked at.
pub(super) const COUNT_STUDY: &str = "SELECT modality, sealed_count + CASE is_hot WHEN 1 THEN \
     (SELECT count(*) FROM instance AS i WHERE i.series_key = r.series_key) ELSE 0 END \
     FROM series AS r INDEXED BY series_study WHERE study_key = ?1";

/// Reads rows; keeps the last study and series, since neighbours share them.
pub(super) struct Rows<'c> {
    connection: &'c Connection,
    study: Option<(i64, Rc<Study>)>,
    series: Option<(i64, Rc<Series>)>,
}

struct Study {
    uid: Uid,
    key_id: [u8; 32],
    attributes: Map<String, Value>,
}

struct Series {
    /// Without the attributes.
    found: SeriesMatch,
    /// Of study and series.
    attributes: Map<String, Value>,
}

impl<'c> Rows<'c> {
    pub fn new(connection: &'c Connection) -> Self {
        Self { connection, study: None, series: None }
    }

    pub fn row(&mut self, hit: Hit) -> Result<Row, IndexError> {
        let Some(series_key) = hit.series_key else {
            // no neighbour shares it: the attributes are moved, as copying them takes as long as reading them
            let Study { uid, attributes, .. } = self.read_study(hit.study_key)?;
            return Ok(Row { study: uid, series: None, instance: None, attributes });
        };
        let series = self.series(hit.study_key, series_key)?;
        let mut attributes = series.attributes.clone();
        let instance = match hit.instance_key {
            Some(instance_key) => Some(self.instance(instance_key, &mut attributes)?),
            None => None,
        };
        Ok(Row { study: series.found.study.clone(), series: Some(series.found.series.clone()), instance, attributes })
    }

    pub fn series_match(&mut self, study_key: i64, series_key: i64) -> Result<SeriesMatch, IndexError> {
        let series = self.series(study_key, series_key)?;
        Ok(SeriesMatch { attributes: series.attributes.clone(), ..series.found.clone() })
    }

    fn study(&mut self, study_key: i64) -> Result<Rc<Study>, IndexError> {
        if let Some((key, study)) = &self.study
            && *key == study_key
        {
            return Ok(study.clone());
        }
        let study = Rc::new(self.read_study(study_key)?);
        self.study = Some((study_key, study.clone()));
        Ok(study)
    }

    fn read_study(&self, study_key: i64) -> Result<Study, IndexError> {
        let connection = self.connection;
        let study = first(
            connection,
            "read study",
            "SELECT uid, key_id, attributes FROM study WHERE study_key = ?1",
            [study_key],
            |row| Ok(Study { uid: uid(row, 0)?, key_id: bytes(row, 1)?, attributes: json(row, 2)? }),
        )?;
        let mut study = study.ok_or(IndexError::Row("study"))?;
        let counted = collect(connection, "count study", COUNT_STUDY, [study_key], |row| {
            Ok((get::<String>(row, 0)?, unsigned(row, 1)?))
        })?;
        let series = counted.len();
        let instances = counted.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let modalities: BTreeSet<String> =
            counted.into_iter().map(|(modality, _)| modality).filter(|modality| !modality.is_empty()).collect();
        let attributes = &mut study.attributes;
        attributes.insert("0020000D".to_owned(), json!({"vr": "UI", "Value": [study.uid.as_str()]}));
        attributes.insert("00080056".to_owned(), json!({"vr": "CS", "Value": ["ONLINE"]}));
        // viewers take an attribute without a value for an array and fail: none at all when there is no modality
        if !modalities.is_empty() {
            attributes.insert("00080061".to_owned(), json!({"vr": "CS", "Value": modalities}));
        }
        attributes.insert("00201206".to_owned(), json!({"vr": "IS", "Value": [series]}));
        attributes.insert("00201208".to_owned(), json!({"vr": "IS", "Value": [instances]}));
        Ok(study)
    }

    fn series(&mut self, study_key: i64, series_key: i64) -> Result<Rc<Series>, IndexError> {
        if let Some((key, series)) = &self.series
            && *key == series_key
        {
            return Ok(series.clone());
        }
        let study = self.study(study_key)?;
        let read = first(
            self.connection,
            "read series",
            "SELECT uid, attributes, manifest_pack, manifest_offset, manifest_length, sealed_count, sealed_data_length, \
             (SELECT count(*) FROM instance AS i WHERE i.series_key = r.series_key) FROM series AS r \
             WHERE series_key = ?1",
            [series_key],
            |row| Ok((uid(row, 0)?, json(row, 1)?, manifest(row, 2)?, unsigned(row, 7)?)),
        )?;
        let (series_uid, own, pointer, hot_count) = read.ok_or(IndexError::Row("series"))?;
        let mut attributes = study.attributes.clone();
        attributes.extend(own);
        let instances = hot_count.saturating_add(pointer.map_or(0, |pointer| pointer.count));
        attributes.insert("0020000E".to_owned(), json!({"vr": "UI", "Value": [series_uid.as_str()]}));
        attributes.insert("00201209".to_owned(), json!({"vr": "IS", "Value": [instances]}));
        let found = SeriesMatch {
            study: study.uid.clone(),
            series: series_uid,
            key_id: study.key_id,
            manifest: pointer,
            hot_count,
            attributes: Map::new(),
        };
        let series = Rc::new(Series { found, attributes });
        self.series = Some((series_key, series.clone()));
        Ok(series)
    }

    fn instance(&self, instance_key: i64, attributes: &mut Map<String, Value>) -> Result<Uid, IndexError> {
        let read = first(
            self.connection,
            "read instance",
            "SELECT sop_uid, attributes, transfer_syntax FROM instance WHERE instance_key = ?1",
            [instance_key],
            |row| Ok((uid(row, 0)?, json(row, 1)?, uid(row, 2)?)),
        )?;
        let (sop_uid, own, transfer_syntax) = read.ok_or(IndexError::Row("instance"))?;
        attributes.extend(own);
        attributes.insert("00080018".to_owned(), json!({"vr": "UI", "Value": [sop_uid.as_str()]}));
        attributes.insert("00083002".to_owned(), json!({"vr": "UI", "Value": [transfer_syntax.as_str()]}));
        Ok(sop_uid)
    }
}
