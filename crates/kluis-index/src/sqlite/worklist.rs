//! The worklist in one file: entries, and performed steps that move them on. Every write is durable when it is answered.
//!
//! What the database cannot decide of a search (PS3.4 K.4.1.1) is decided row by row with [`matching::matches`].

use std::path::Path;

use async_trait::async_trait;
use kluis_dicom::{
    Tag, Uid,
    matching::{self, Manner},
    performed_step::{NewStep, StepChange, StepState},
    query::{Filter, Matching},
    worklist::{Entry, START_DATE, STATION_AE_TITLE, STEP_SEQUENCE, STEP_STATUS, set_status},
};
use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{
    check,
    column::{get, nanoseconds},
    connection::Profile,
    database::{Database, change, collect, first, walk},
    schema,
};
use crate::{
    EntryCursor, EntryPage, EntryPut, EntryRow, EntryState, IndexError, StepChanged, StepMade, Worklist,
    limits::{ENDED_ENTRY_DAYS, MAX_ENTRIES, MAX_ENTRY_BYTES, MAX_LIMIT, MAX_STEP_BYTES, MAX_STEPS},
};

const PROFILE: Profile = Profile { schema: &schema::WORKLIST, is_durable: true, cache_kib: 8 << 10, readers: 2 };

/// Behind all dates.
const NO_END: &str = "99999999";

/// The worklist in one file.
pub struct SqliteWorklist {
    database: Database,
}

impl SqliteWorklist {
    /// Opens the worklist, or makes it where there is none. Blocks.
    ///
    /// # Errors
    /// [`IndexError::WrongKey`], [`IndexError::SchemaVersion`], [`IndexError::Damaged`], [`IndexError::Io`].
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, IndexError> {
        Ok(Self { database: Database::open(path, key, PROFILE)? })
    }
}

#[async_trait]
impl Worklist for SqliteWorklist {
    async fn put_entry(&self, id: String, entry: Entry, now: OffsetDateTime) -> Result<EntryPut, IndexError> {
        let now = nanoseconds(now)?;
        self.database.write(move |connection| put_entry(connection, id, &entry, now)).await
    }

    async fn entry(&self, id: &str) -> Result<Option<EntryRow>, IndexError> {
        let id = id.to_owned();
        let sql = "SELECT id, state, study_uid, attributes FROM entry WHERE id = ?1";
        self.database.read(move |connection| first(connection, "find entry", sql, [id], entry_row)).await
    }

    async fn remove_entry(&self, id: &str) -> Result<bool, IndexError> {
        let id = id.to_owned();
        let sql = "DELETE FROM entry WHERE id = ?1";
        Ok(self.database.write(move |connection| change(connection, "remove entry", sql, [id])).await? > 0)
    }

    async fn entries(&self, offset: u32, limit: u32) -> Result<Vec<EntryRow>, IndexError> {
        if limit > MAX_LIMIT {
            return Err(IndexError::QueryLimit("entries"));
        }
        let sql = "SELECT id, state, study_uid, attributes FROM entry \
                   ORDER BY start_date, start_time, entry_key LIMIT ?1 OFFSET ?2";
        let work =
            move |connection: &Connection| collect(connection, "list entries", sql, params![limit, offset], entry_row);
        self.database.read(work).await
    }

    async fn search_entries(
        &self,
        filters: &[Filter],
        manner: Manner,
        after: Option<EntryCursor>,
        limit: u32,
    ) -> Result<EntryPage, IndexError> {
        if limit == 0 || limit > MAX_LIMIT {
            return Err(IndexError::QueryLimit("entries"));
        }
        let filters = filters.to_vec();
        self.database.read(move |connection| search(connection, &filters, manner, after, limit as usize)).await
    }

    async fn make_step(
        &self,
        uid: &Uid,
        step: NewStep,
        sender: &str,
        now: OffsetDateTime,
    ) -> Result<StepMade, IndexError> {
        let (uid, sender, now) = (uid.clone(), sender.to_owned(), nanoseconds(now)?);
        self.database.write(move |connection| make_step(connection, &uid, &step, &sender, now)).await
    }

    async fn step_study(&self, uid: &Uid, sender: &str) -> Result<Option<Uid>, IndexError> {
        let (uid, sender) = (uid.clone(), sender.to_owned());
        let sql = "SELECT study_uid FROM step WHERE uid = ?1 AND sender = ?2";
        let work = move |connection: &Connection| {
            first(connection, "find step", sql, params![uid.as_str(), sender], |row| {
                get::<String>(row, 0)?.parse().map_err(|_| IndexError::Row("step"))
            })
        };
        self.database.read(work).await
    }

    async fn change_step(
        &self,
        uid: &Uid,
        step: StepChange,
        sender: &str,
        now: OffsetDateTime,
    ) -> Result<StepChanged, IndexError> {
        let (uid, sender, now) = (uid.clone(), sender.to_owned(), nanoseconds(now)?);
        self.database.write(move |connection| change_step(connection, &uid, step, &sender, now)).await
    }

    async fn check(&self) -> Result<Vec<String>, IndexError> {
        check::file(&self.database, None).await
    }
}

fn put_entry(connection: &Connection, id: String, entry: &Entry, now: i64) -> Result<EntryPut, IndexError> {
    let stations: String = entry.stations.iter().map(|ae| format!("\\{ae}")).chain(["\\".to_owned()]).collect();
    let attributes = to_json(&entry.attributes)?;
    if attributes.len() > MAX_ENTRY_BYTES {
        return Ok(EntryPut::TooLong);
    }
    let (study, step) = (entry.study.as_str(), &entry.step_id);
    let sql = "SELECT id FROM entry WHERE study_uid = ?1 AND step_id = ?2";
    if let Some(id) = first(connection, "find entry", sql, params![study, step], |row| get::<String>(row, 0))? {
        schedule_anew(connection, &id, entry, now)?;
        let sql = "UPDATE entry SET start_date = ?2, start_time = ?3, stations = ?4, attributes = ?5 WHERE id = ?1";
        let values = params![id, entry.start_date, entry.start_time, stations, attributes];
        change(connection, "replace entry", sql, values)?;
        return Ok(EntryPut::Replaced { id });
    }
    let long_ago = now.saturating_sub(ENDED_ENTRY_DAYS.saturating_mul(86_400_000_000_000));
    let sql = "DELETE FROM entry WHERE state >= 2 AND changed_at < ?1";
    change(connection, "remove ended entries", sql, [long_ago])?;
    if count(connection, "SELECT count(*) FROM entry")? >= MAX_ENTRIES {
        return Ok(EntryPut::TooMany);
    }
    let sql = "INSERT INTO entry (id, study_uid, step_id, start_date, start_time, stations, state, changed_at, attributes) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8)";
    let values = params![id, study, step, entry.start_date, entry.start_time, stations, now, attributes];
    change(connection, "add entry", sql, values)?;
    Ok(EntryPut::Added)
}

/// What has ended and is given another time is to be done again; what was performed of it stays where it is.
fn schedule_anew(connection: &Connection, id: &str, entry: &Entry, now: i64) -> Result<(), IndexError> {
    let sql = "UPDATE entry SET state = 0, changed_at = ?4 \
               WHERE id = ?1 AND state >= 2 AND (start_date, start_time) <> (?2, ?3)";
    let values = params![id, entry.start_date, entry.start_time, now];
    if change(connection, "schedule anew", sql, values)? > 0 {
        let sql = "DELETE FROM performed WHERE entry_key = (SELECT entry_key FROM entry WHERE id = ?1)";
        change(connection, "part steps", sql, [id])?;
    }
    Ok(())
}

fn search(
    connection: &Connection,
    filters: &[Filter],
    manner: Manner,
    after: Option<EntryCursor>,
    limit: usize,
) -> Result<EntryPage, IndexError> {
    let (from, to) = days(filters);
    let station = station(filters);
    let sql = "SELECT id, state, study_uid, attributes, start_date, start_time, entry_key FROM entry \
               WHERE start_date <= ?1 AND (start_date, start_time, entry_key) > (?2, ?3, ?4) AND state < 2 \
               AND (?5 = '' OR instr(stations, ?5) > 0) ORDER BY start_date, start_time, entry_key";
    // no entry has a time before the empty one
    let from = after.unwrap_or(EntryCursor { start_date: from, start_time: String::new(), entry_key: i64::MIN });
    let mut page = EntryPage { entries: Vec::new(), next: None };
    // one row after the other: no more than the page is held
    walk(
        connection,
        "search entries",
        sql,
        params![to, from.start_date, from.start_time, from.entry_key, station],
        |row| {
            let mut entry = entry_row(row)?;
            show_state(&mut entry);
            if !matching::matches(filters, &entry.attributes, manner) {
                return Ok(true);
            }
            page.entries.push(entry);
            if page.entries.len() < limit {
                return Ok(true);
            }
            page.next =
                Some(EntryCursor { start_date: get(row, 4)?, start_time: get(row, 5)?, entry_key: get(row, 6)? });
            Ok(false)
        },
    )?;
    Ok(page)
}

/// A step that has begun says so, whatever the scheduler last said of it (PS3.3 C.4.10, Scheduled Procedure Step Status).
fn show_state(row: &mut EntryRow) {
    let says_nothing = || {
        let steps = kluis_dicom::worklist::items(&row.attributes, STEP_SEQUENCE);
        !steps.into_iter().any(|step| kluis_dicom::worklist::first_text(step, STEP_STATUS).is_some())
    };
    match row.state {
        EntryState::Started => set_status(&mut row.attributes, "STARTED"),
        EntryState::Scheduled if says_nothing() => set_status(&mut row.attributes, "SCHEDULED"),
        _ => {}
    }
}

/// The days that the filters leave: no more than the rows between them are looked at.
fn days(filters: &[Filter]) -> (String, String) {
    let (mut first, mut last) = (String::new(), NO_END.to_owned());
    if let Some(filter) = filter(filters, START_DATE) {
        match &filter.matching {
            Matching::Single(day) => (first, last) = (day.clone(), day.clone()),
            Matching::Range { from, to } => {
                first = from.clone().unwrap_or_default();
                last = to.clone().unwrap_or(last);
            }
            _ => {}
        }
    }
    (first, last)
}

/// The one AE title that is asked for, between backslashes, or nothing.
fn station(filters: &[Filter]) -> String {
    match filter(filters, STATION_AE_TITLE).map(|filter| &filter.matching) {
        Some(Matching::Single(ae)) => format!("\\{ae}\\"),
        _ => String::new(),
    }
}

fn filter(filters: &[Filter], tag: Tag) -> Option<&Filter> {
    filters.iter().find(|filter| filter.path == [STEP_SEQUENCE, tag])
}

fn make_step(
    connection: &Connection,
    uid: &Uid,
    step: &NewStep,
    sender: &str,
    now: i64,
) -> Result<StepMade, IndexError> {
    let sql = "SELECT step_key FROM step WHERE uid = ?1";
    if first(connection, "find step", sql, [uid.as_str()], |row| get::<i64>(row, 0))?.is_some() {
        return Ok(StepMade::Exists);
    }
    // none is ever removed: the last key is their number
    if count(connection, "SELECT max(step_key) FROM step")? >= MAX_STEPS {
        return Ok(StepMade::TooMany);
    }
    let attributes = to_json(&step.attributes)?;
    if attributes.len() > MAX_STEP_BYTES {
        return Ok(StepMade::TooLong);
    }
    let sql = "INSERT INTO step (uid, sender, study_uid, state, created_at, changed_at, attributes) \
               VALUES (?1, ?2, ?3, 0, ?4, ?4, ?5)";
    let values = params![uid.as_str(), sender, step.study.as_str(), now, attributes];
    change(connection, "make step", sql, values)?;
    let step_key = connection.last_insert_rowid();
    for (study, step_id) in &step.scheduled {
        let sql = "INSERT OR IGNORE INTO performed (step_key, entry_key) \
                   SELECT ?1, entry_key FROM entry WHERE study_uid = ?2 AND step_id = ?3";
        change(connection, "relate step", sql, params![step_key, study.as_str(), step_id])?;
    }
    move_entries(connection, step_key, now)?;
    Ok(StepMade::Done)
}

fn change_step(
    connection: &Connection,
    uid: &Uid,
    step: StepChange,
    sender: &str,
    now: i64,
) -> Result<StepChanged, IndexError> {
    let sql = "SELECT step_key, state, attributes FROM step WHERE uid = ?1 AND sender = ?2";
    let found = first(connection, "find step", sql, params![uid.as_str(), sender], |row| {
        Ok((get::<i64>(row, 0)?, step_state(get(row, 1)?)?, from_json(&get::<String>(row, 2)?)?))
    })?;
    let (step_key, state, mut attributes) = match found {
        None => return Ok(StepChanged::Absent),
        Some((_, ended, _)) if ended != StepState::InProgress => return Ok(StepChanged::Ended(ended)),
        Some(found) => found,
    };
    attributes.extend(step.attributes);
    let attributes = to_json(&attributes)?;
    if attributes.len() > MAX_STEP_BYTES {
        return Ok(StepChanged::TooLong);
    }
    let sql = "UPDATE step SET state = ?2, changed_at = ?3, attributes = ?4 WHERE step_key = ?1";
    let state = step.state.unwrap_or(state);
    change(connection, "change step", sql, params![step_key, step_number(state), now, attributes])?;
    if !step.is_wrong_entry {
        move_entries(connection, step_key, now)?;
        return Ok(StepChanged::Done);
    }
    let sql = "SELECT entry_key FROM performed WHERE step_key = ?1";
    let entries = collect(connection, "entries of step", sql, [step_key], |row| get::<i64>(row, 0))?;
    change(connection, "part step", "DELETE FROM performed WHERE step_key = ?1", [step_key])?;
    entries.into_iter().try_for_each(|entry_key| move_entry(connection, entry_key, now))?;
    Ok(StepChanged::Done)
}

/// Gives the entries of a step the states that all their steps together make.
fn move_entries(connection: &Connection, step_key: i64, now: i64) -> Result<(), IndexError> {
    let sql = "SELECT entry_key FROM performed WHERE step_key = ?1";
    let entries = collect(connection, "entries of step", sql, [step_key], |row| get::<i64>(row, 0))?;
    entries.into_iter().try_for_each(|entry_key| move_entry(connection, entry_key, now))
}

fn move_entry(connection: &Connection, entry_key: i64, now: i64) -> Result<(), IndexError> {
    let sql = "SELECT DISTINCT step.state FROM performed JOIN step USING (step_key) WHERE entry_key = ?1";
    let states = collect(connection, "steps of entry", sql, [entry_key], |row| step_state(get(row, 0)?))?;
    let state = if states.is_empty() {
        EntryState::Scheduled
    } else if states.contains(&StepState::InProgress) {
        EntryState::Started
    } else if states.contains(&StepState::Completed) {
        EntryState::Completed
    } else {
        EntryState::Discontinued
    };
    let number = EntryState::ALL.iter().position(|other| *other == state).unwrap_or_default();
    let sql = "UPDATE entry SET state = ?2, changed_at = ?3 WHERE entry_key = ?1";
    let values = params![entry_key, i64::try_from(number).unwrap_or_default(), now];
    change(connection, "move entry", sql, values).map(|_| ())
}

fn entry_row(row: &Row<'_>) -> Result<EntryRow, IndexError> {
    let state: i64 = get(row, 1)?;
    let state = usize::try_from(state).ok().and_then(|state| EntryState::ALL.get(state).copied());
    Ok(EntryRow {
        id: get(row, 0)?,
        state: state.ok_or(IndexError::Row("entry"))?,
        study: get(row, 2)?,
        attributes: from_json(&get::<String>(row, 3)?)?,
    })
}

fn step_number(state: StepState) -> i64 {
    match state {
        StepState::InProgress => 0,
        StepState::Completed => 1,
        StepState::Discontinued => 2,
    }
}

fn step_state(number: i64) -> Result<StepState, IndexError> {
    match number {
        0 => Ok(StepState::InProgress),
        1 => Ok(StepState::Completed),
        2 => Ok(StepState::Discontinued),
        _ => Err(IndexError::Row("step")),
    }
}

fn count(connection: &Connection, sql: &str) -> Result<i64, IndexError> {
    Ok(first(connection, "count", sql, [], |row| get::<Option<i64>>(row, 0))?.flatten().unwrap_or_default())
}

fn to_json(attributes: &Map<String, Value>) -> Result<String, IndexError> {
    serde_json::to_string(attributes).map_err(|_| IndexError::OutOfRange("attributes"))
}

fn from_json(text: &str) -> Result<Map<String, Value>, IndexError> {
    serde_json::from_str(text).map_err(|_| IndexError::Row("attributes"))
}

#[cfg(test)]
mod tests;
