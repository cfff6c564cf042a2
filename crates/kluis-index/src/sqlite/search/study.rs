//! From the filters of a query to conditions on study rows.

use kluis_dicom::{
    Tag, Uid, date_time, matching,
    query::{Filter, Level, Matching, Query},
};
use kluis_policy::RowFilter;
use rusqlite::{Connection, types::Value as Sql};
use serde_json::{Map, json};

use super::{
    names::{self, PATIENT, REFERRING},
    plan::{Condition, Driver, Plan},
};
use crate::{
    IndexError,
    limits::{MAX_FILTERS, MAX_VALUE_BYTES, MAX_VALUES},
    search::filter::{
        INSTANCE_AVAILABILITY, MODALITIES_IN_STUDY, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID,
        is_searchable, level_of, manner,
    },
    sqlite::column::uid_hash,
};

const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const STUDY_TIME: Tag = Tag(0x0008, 0x0030);
const ACCESSION: Tag = Tag(0x0008, 0x0050);
const REFERRING_NAME: Tag = Tag(0x0008, 0x0090);
const DESCRIPTION: Tag = Tag(0x0008, 0x1030);
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const BIRTH_DATE: Tag = Tag(0x0010, 0x0030);
const MODALITY: Tag = Tag(0x0008, 0x0060);

/// Longest range of dates that is walked rather than a name or text looked up, as a difference of `YYYYMMDD`.
const SHORT_DATES: i64 = 10_100;

/// The filters of a query by the level at which they are decided.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// Left to decide in memory on the study's attributes.
    pub study: Vec<Filter>,
    /// On the series' attributes.
    pub series: Vec<Filter>,
    /// On the instance's attributes.
    pub instance: Vec<Filter>,
    /// Series Instance UIDs, where the query names any.
    pub series_uids: Option<Vec<String>>,
    /// SOP Instance UIDs, where the query names any.
    pub sop_uids: Option<Vec<String>>,
}

/// The conditions on study rows, and what is left for the rows below them and for matching in memory.
pub(super) fn plan(connection: &Connection, query: &Query, rows: &RowFilter) -> Result<(Plan, Filters), IndexError> {
    check_limits(query)?;
    let mut plan = Plan::default();
    let mut left = Filters::default();
    match rows {
        RowFilter::All => {}
        // nobody is named by an empty name, though many studies name nobody
        RowFilter::Referring(own) if own.is_empty() => plan.add(Condition::never()),
        RowFilter::Referring(own) => {
            plan.add(Condition::new("s.referring_folded = ?", vec![own.clone().into()], Some(Driver::Referring)));
        }
    }
    if let Some(study) = &query.study {
        plan.add(uid_condition(&[study.as_str().to_owned()]));
    }
    left.series_uids = query.series.as_ref().map(|series| vec![series.as_str().to_owned()]);
    for filter in query.filters.iter().filter(|filter| is_searchable(query.level, &filter.path)) {
        if filter.matching == Matching::Universal {
            continue;
        }
        match (filter.path.first().and_then(|tag| level_of(*tag)), &filter.path[..]) {
            (Some(Level::Study), [tag]) => study_filter(connection, query, filter, *tag, &mut plan, &mut left)?,
            (Some(Level::Study), _) => left.study.push(filter.clone()),
            (_, [SERIES_INSTANCE_UID]) => narrow(&mut left.series_uids, &filter.matching),
            (_, [SOP_INSTANCE_UID]) => narrow(&mut left.sop_uids, &filter.matching),
            (Some(Level::Series), path) => {
                if let ([MODALITY], Matching::Single(modality)) = (path, &filter.matching) {
                    plan.modality.get_or_insert_with(|| modality.clone());
                }
                left.series.push(filter.clone());
            }
            _ => left.instance.push(filter.clone()),
        }
    }
    if let Some(uids) = &left.series_uids {
        plan.add(semi_join("SELECT study_key FROM series WHERE", "uid_hash", "uid", uids));
    }
    Ok((plan, left))
}

/// The studies of the series or instances with these UIDs.
pub(super) fn semi_join(select: &str, hash: &str, text: &str, uids: &[String]) -> Condition {
    let (condition, values) = uids_in(hash, text, uids);
    Condition::new(format!("s.study_key IN ({select} {condition})"), values, Some(Driver::Keys))
}

/// Studies of hot instances, for [`semi_join`].
pub(super) const STUDIES_OF_HOT_INSTANCES: &str =
    "SELECT r.study_key FROM instance AS i JOIN series AS r USING (series_key) WHERE";

/// The studies of the instances with these SOP Instance UIDs, hot or, by their hashes, sealed.
pub(super) fn studies_of_instances(uids: &[String]) -> Condition {
    let (hot, mut values) = uids_in("i.sop_hash", "i.sop_uid", uids);
    let (sealed, hashes) = hashes_in("x.sop_hash", uids);
    values.extend(hashes);
    let sql = format!(
        "s.study_key IN ({STUDIES_OF_HOT_INSTANCES} {hot} UNION SELECT r.study_key FROM sealed_instance AS x \
         CROSS JOIN series AS r USING (series_key) WHERE {sealed})"
    );
    Condition::new(sql, values, Some(Driver::Keys))
}

/// `hash IN (…)`.
pub(super) fn hashes_in(hash: &str, uids: &[String]) -> (String, Vec<Sql>) {
    let places = vec!["?"; uids.len()].join(", ");
    (format!("{hash} IN ({places})"), uids.iter().map(|uid| Sql::from(uid_hash(uid))).collect())
}

/// `hash IN (…) AND text IN (…)`.
pub(super) fn uids_in(hash: &str, text: &str, uids: &[String]) -> (String, Vec<Sql>) {
    let places = vec!["?"; uids.len()].join(", ");
    let hashes = uids.iter().map(|uid| Sql::from(uid_hash(uid)));
    let values = hashes.chain(uids.iter().map(|uid| Sql::from(uid.clone()))).collect();
    (format!("{hash} IN ({places}) AND {text} IN ({places})"), values)
}

fn check_limits(query: &Query) -> Result<(), IndexError> {
    if query.filters.len() > MAX_FILTERS {
        return Err(IndexError::QueryLimit("filters"));
    }
    let is_long = |text: &String| text.len() > MAX_VALUE_BYTES;
    for filter in &query.filters {
        match &filter.matching {
            Matching::Universal | Matching::Empty => {}
            Matching::Single(text) | Matching::Wildcard(text) if is_long(text) => {
                return Err(IndexError::QueryLimit("length of a value"));
            }
            Matching::Range { from, to } if from.iter().chain(to).any(is_long) => {
                return Err(IndexError::QueryLimit("length of a value"));
            }
            Matching::List(list) if list.len() > MAX_VALUES => return Err(IndexError::QueryLimit("values in a list")),
            Matching::List(list) if list.iter().any(is_long) => {
                return Err(IndexError::QueryLimit("length of a value"));
            }
            Matching::Single(_) | Matching::Wildcard(_) | Matching::Range { .. } | Matching::List(_) => {}
        }
    }
    Ok(())
}

fn study_filter(
    connection: &Connection,
    query: &Query,
    filter: &Filter,
    tag: Tag,
    plan: &mut Plan,
    left: &mut Filters,
) -> Result<(), IndexError> {
    let name = match tag {
        PATIENT_NAME => Some(PATIENT),
        REFERRING_NAME => Some(REFERRING),
        _ => None,
    };
    match (tag, &filter.matching) {
        (STUDY_INSTANCE_UID, matching) => {
            let mut uids = None;
            narrow(&mut uids, matching);
            plan.add(uid_condition(&uids.unwrap_or_default()));
        }
        (MODALITIES_IN_STUDY, matching) => modalities(matching, plan),
        (INSTANCE_AVAILABILITY, _) => {
            let online = Map::from_iter([("00080056".to_owned(), json!({"vr": "CS", "Value": ["ONLINE"]}))]);
            if !matching::matches(std::slice::from_ref(filter), &online, manner(query)) {
                plan.add(Condition::never());
            }
        }
        (STUDY_DATE | STUDY_TIME | BIRTH_DATE, matching) => {
            if !moments(query, tag, matching, plan) {
                left.study.push(filter.clone());
            }
        }
        (_, Matching::Single(text) | Matching::Wildcard(text)) if name.is_some() => {
            if let Some(name) = name {
                plan.conditions.extend(names::person_name(connection, name, text, query.is_fuzzy)?);
            }
        }
        (PATIENT_ID, matching) if text(matching, "s.patient_id", [Driver::Patient, Driver::PatientScan], plan) => {}
        (ACCESSION, matching) if text(matching, "s.accession", [Driver::Accession, Driver::AccessionScan], plan) => {}
        (DESCRIPTION, Matching::Single(text) | Matching::Wildcard(text)) => description(text, plan),
        _ => left.study.push(filter.clone()),
    }
    Ok(())
}

fn uid_condition(uids: &[String]) -> Condition {
    if uids.is_empty() {
        return Condition::never();
    }
    let (sql, values) = uids_in("s.uid_hash", "s.uid", uids);
    Condition::new(sql, values, Some(Driver::Keys))
}

/// Adds the UIDs of a filter to those that are asked for already: both must hold. Anything but UIDs finds nothing.
fn narrow(uids: &mut Option<Vec<String>>, matching: &Matching) {
    let wanted: Vec<String> = match matching {
        Matching::Single(uid) => vec![uid.clone()],
        Matching::List(list) => list.clone(),
        Matching::Universal | Matching::Empty | Matching::Wildcard(_) | Matching::Range { .. } => Vec::new(),
    };
    let wanted = wanted.into_iter().filter(|uid| uid.parse::<Uid>().is_ok());
    *uids = Some(match uids.take() {
        None => wanted.collect(),
        Some(known) => wanted.filter(|uid| known.contains(uid)).collect(),
    });
}

fn modalities(matching: &Matching, plan: &mut Plan) {
    let any = |condition: &str| {
        format!(
            "EXISTS (SELECT 1 FROM series AS r WHERE r.study_key = s.study_key AND r.modality <> '' AND {condition})"
        )
    };
    match matching {
        Matching::Universal => {}
        Matching::Single(modality) if plan.modality.is_none() => plan.modality = Some(modality.clone()),
        Matching::Single(modality) => {
            plan.add(Condition::new(any("r.modality = ?"), vec![modality.clone().into()], None));
        }
        Matching::Wildcard(pattern) => {
            plan.add(Condition::new(any("kluis_wildcard(?, r.modality)"), vec![pattern.clone().into()], None));
        }
        Matching::List(list) => {
            let one = |text: &String| {
                if text.contains(['*', '?']) { "kluis_wildcard(?, r.modality)" } else { "r.modality = ?" }
            };
            let each: Vec<&str> = list.iter().map(one).collect();
            let values = list.iter().cloned().map(Sql::from).collect();
            plan.add(Condition::new(any(&format!("({})", each.join(" OR "))), values, None));
        }
        Matching::Empty => plan.add(Condition::new(format!("NOT {}", any("1")), Vec::new(), None)),
        Matching::Range { .. } => plan.add(Condition::never()),
    }
}

/// Whether the matching could be said in SQL.
fn text(matching: &Matching, column: &'static str, [leading, scanning]: [Driver; 2], plan: &mut Plan) -> bool {
    match matching {
        Matching::Single(text) => {
            plan.add(Condition::new(format!("{column} = ?"), vec![text.clone().into()], Some(leading)));
        }
        Matching::Wildcard(pattern) => plan.add(names::wildcard(column, pattern, leading, scanning)),
        Matching::List(list) if !list.iter().any(|text| text.is_empty() || text.contains(['*', '?'])) => {
            let places = vec!["?"; list.len()].join(", ");
            let values = list.iter().cloned().map(Sql::from).collect();
            plan.add(Condition::new(format!("{column} IN ({places})"), values, Some(leading)));
        }
        _ => return false,
    }
    true
}

fn description(pattern: &str, plan: &mut Plan) {
    let folded: Vec<String> = pattern.split(['*', '?']).map(kluis_dicom::fold).collect();
    plan.conditions.extend(names::trigrams(folded.iter().map(String::as_str)));
    let is_pattern = pattern.contains(['*', '?']);
    let sql = if is_pattern { "kluis_wildcard(?, s.description)" } else { "s.description = ?" };
    plan.add(Condition::new(sql, vec![pattern.to_owned().into()], None));
}

/// Whether the matching could be said in SQL.
fn moments(query: &Query, tag: Tag, matching: &Matching, plan: &mut Plan) -> bool {
    match (tag, matching) {
        (STUDY_DATE, _) if plan.dates != (None, None) => return false,
        (STUDY_DATE, Matching::Single(day)) => set_dates(Some(day.clone()), Some(day.clone()), plan),
        (STUDY_DATE, Matching::Range { from, to }) => {
            set_dates(from.clone(), to.clone(), plan);
            if let Some((time_from, time_to)) = paired_time(query, matching) {
                for (sql, day, time) in [
                    ("(s.study_date, s.study_time) >= (?, ?)", from, time_from),
                    ("(s.study_date, s.study_time) <= (?, ?)", to, time_to),
                ] {
                    let (Some(day), Some(time)) = (day, time) else { continue };
                    plan.add(Condition::new(sql, vec![day.clone().into(), time.clone().into()], None));
                }
                plan.add(Condition::new("s.study_time > ''", Vec::new(), None));
            }
        }
        // decided together with the date
        (STUDY_TIME, Matching::Range { .. }) if has_paired_date(query, matching) => {}
        (STUDY_TIME, Matching::Range { from, to }) => between("s.study_time", from.as_ref(), to.as_ref(), None, plan),
        (STUDY_TIME, Matching::Single(text)) => match date_time::time(text) {
            Some(span) => between("s.study_time", Some(&span.from), Some(&span.to), None, plan),
            None => plan.add(Condition::never()),
        },
        (BIRTH_DATE, Matching::Single(day)) => between("s.birth_date", Some(day), Some(day), Some(Driver::Birth), plan),
        (BIRTH_DATE, Matching::Range { from, to }) => {
            let driver = if from.is_some() && to.is_some() { Some(Driver::Birth) } else { None };
            between("s.birth_date", from.as_ref(), to.as_ref(), driver, plan);
        }
        _ => return false,
    }
    true
}

fn set_dates(from: Option<String>, to: Option<String>, plan: &mut Plan) {
    let number = |day: &Option<String>| day.as_ref().and_then(|day| day.parse::<i64>().ok());
    if let (Some(first), Some(last)) = (number(&from), number(&to)) {
        plan.has_short_dates = last.saturating_sub(first) <= SHORT_DATES;
    }
    plan.dates = (from, to);
}

fn between(column: &str, from: Option<&String>, to: Option<&String>, driver: Option<Driver>, plan: &mut Plan) {
    if let Some(from) = from {
        plan.add(Condition::new(format!("{column} >= ?"), vec![from.clone().into()], driver));
    }
    if let Some(to) = to {
        let sql = if from.is_some() { format!("{column} <= ?") } else { format!("({column} > '' AND {column} <= ?)") };
        plan.add(Condition::new(sql, vec![to.clone().into()], driver));
    }
}

/// The ends of the range of study times that forms one range of moments with this range of dates.
fn paired_time<'a>(query: &'a Query, dates: &Matching) -> Option<(&'a Option<String>, &'a Option<String>)> {
    let times = single_range(query, STUDY_TIME)?;
    let (Matching::Range { from: df, to: dt }, (tf, tt)) = (dates, times) else { return None };
    (query.combines_date_time && df.is_some() == tf.is_some() && dt.is_some() == tt.is_some()).then_some(times)
}

fn has_paired_date(query: &Query, times: &Matching) -> bool {
    let (Some((df, dt)), Matching::Range { from: tf, to: tt }) = (single_range(query, STUDY_DATE), times) else {
        return false;
    };
    query.combines_date_time && df.is_some() == tf.is_some() && dt.is_some() == tt.is_some()
}

fn single_range(query: &Query, tag: Tag) -> Option<(&Option<String>, &Option<String>)> {
    let filter = query.filters.iter().find(|filter| filter.path[..] == [tag])?;
    match &filter.matching {
        Matching::Range { from, to } => Some((from, to)),
        _ => None,
    }
}
