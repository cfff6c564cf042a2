//! Walks studies, their series and their instances in the order of the answer, and stops when the page is full.

use kluis_dicom::{
    matching::{self, Manner},
    query::{Filter, Level, Query},
};
use kluis_policy::RowFilter;
use rusqlite::{Connection, params_from_iter, types::Value as Sql};

use super::{
    page::Rows,
    plan::Plan,
    study::{self, Filters},
};
use crate::{
    IndexError, Page, SeriesCursor, SeriesPage,
    limits::{MAX_LIMIT, MAX_OFFSET, MAX_ROWS_WALKED},
    search::filter::manner,
    sqlite::{
        column::{get, json},
        connection::at,
        database::{collect, first},
    },
};

pub(crate) fn search(connection: &Connection, query: &Query, rows: &RowFilter) -> Result<Page, IndexError> {
    if query.offset > MAX_OFFSET {
        return Err(IndexError::QueryLimit("offset"));
    }
    let (mut plan, filters) = study::plan(connection, query, rows)?;
    if let (Level::Instance, Some(uids)) = (query.level, &filters.sop_uids) {
        plan.add(study::semi_join(study::STUDIES_OF_HOT_INSTANCES, "i.sop_hash", "i.sop_uid", uids));
    }
    let limit = query.limit.min(MAX_LIMIT);
    let mut hits = Hits { offset: query.offset, wanted: limit.saturating_add(1), found: Vec::new() };
    if query.level == Level::Study && filters.study.is_empty() {
        let (sql, values) = plan.statement(Some((hits.wanted, hits.offset)));
        hits.found = collect(connection, "search", &sql, params_from_iter(values), |row| {
            Ok(Hit { study_key: get(row, 0)?, series_key: None, instance_key: None })
        })?;
    } else {
        let mut walk = Walk::new(connection, query, &filters, InstanceRule::Found);
        walk.studies(&plan, None, &mut |walk, study| match query.level {
            Level::Study => Ok(hits.add(Hit { study_key: study.study_key, series_key: None, instance_key: None })),
            Level::Series => walk.series(study, None, &mut |_, series| Ok(hits.add(series.hit(None)))),
            Level::Instance => walk.series(study, None, &mut |walk, series| {
                walk.instances(series, &mut |instance_key| hits.add(series.hit(Some(instance_key))))
            }),
        })?;
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = hits.found.len() > limit;
    hits.found.truncate(limit);
    let mut page = Rows::new(connection);
    let matches = hits.found.iter().map(|hit| page.row(*hit)).collect::<Result<_, _>>()?;
    Ok(Page { matches, has_more })
}

pub(crate) fn search_series(
    connection: &Connection,
    query: &Query,
    rows: &RowFilter,
    after: Option<&SeriesCursor>,
    limit: u32,
) -> Result<SeriesPage, IndexError> {
    let query = &Query { level: Level::Instance, ..query.clone() };
    let (mut plan, filters) = study::plan(connection, query, rows)?;
    let mut rule = InstanceRule::Any;
    if let Some(uids) = &filters.sop_uids {
        rule = InstanceRule::FoundOrSealed;
        plan.add(study::studies_of_instances(uids));
    }
    plan.resume = after.map(|cursor| (cursor.study_date.clone(), cursor.study_key));
    let wanted = usize::try_from(limit.min(MAX_LIMIT)).unwrap_or(usize::MAX);
    let mut found: Vec<Series> = Vec::new();
    if wanted > 0 {
        let mut walk = Walk::new(connection, query, &filters, rule);
        walk.studies(&plan, after, &mut |walk, study| {
            walk.series(study, after, &mut |_, series| {
                found.push(series.clone());
                Ok(found.len() < wanted)
            })
        })?;
    }
    let mut page = Rows::new(connection);
    let next = found.last().filter(|_| found.len() == wanted).map(Series::cursor);
    let series =
        found.iter().map(|series| page.series_match(series.study_key, series.series_key)).collect::<Result<_, _>>()?;
    Ok(SeriesPage { series, next })
}

/// One match, by keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub study_key: i64,
    pub series_key: Option<i64>,
    pub instance_key: Option<i64>,
}

struct Hits {
    offset: u32,
    wanted: u32,
    found: Vec<Hit>,
}

impl Hits {
    /// Whether more are wanted.
    fn add(&mut self, hit: Hit) -> bool {
        if self.offset > 0 {
            self.offset -= 1;
        } else {
            self.found.push(hit);
        }
        u32::try_from(self.found.len()).is_ok_and(|count| count < self.wanted)
    }
}

struct Study {
    study_key: i64,
    study_date: String,
}

#[derive(Clone)]
struct Series {
    study_key: i64,
    study_date: String,
    series_key: i64,
    number_order: i64,
}

impl Series {
    fn hit(&self, instance_key: Option<i64>) -> Hit {
        Hit { study_key: self.study_key, series_key: Some(self.series_key), instance_key }
    }

    fn cursor(&self) -> SeriesCursor {
        SeriesCursor {
            study_date: self.study_date.clone(),
            study_key: self.study_key,
            series_number: self.number_order,
            series_key: self.series_key,
        }
    }
}

/// What SOP Instance UIDs in a query ask of a series.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InstanceRule {
    /// Nothing.
    Any,
    /// A hot row with one of them.
    Found,
    /// That, or one of them, by its hash, in the manifest.
    FoundOrSealed,
}

/// Says whether to go on.
type Visit<'v, 'w, T> = &'v mut dyn FnMut(&mut Walk<'w>, &T) -> Result<bool, IndexError>;

struct Walk<'w> {
    connection: &'w Connection,
    filters: &'w Filters,
    manner: Manner,
    series_sql: String,
    series_values: Vec<Sql>,
    instance_sql: String,
    instance_values: Vec<Sql>,
    walked: u32,
}

impl<'w> Walk<'w> {
    fn new(connection: &'w Connection, query: &Query, filters: &'w Filters, rule: InstanceRule) -> Self {
        let mut series_sql = "SELECT r.series_key, r.number_order FROM series AS r WHERE r.study_key = ?1".to_owned();
        let mut series_values = Vec::new();
        let mut instance_sql = "SELECT i.instance_key FROM instance AS i WHERE i.series_key = ?1".to_owned();
        let mut instance_values = Vec::new();
        if let Some(uids) = &filters.series_uids {
            let (sql, values) = study::uids_in("r.uid_hash", "r.uid", uids);
            series_sql.push_str(&format!(" AND {sql}"));
            series_values.extend(values);
        }
        if let Some(uids) = &filters.sop_uids {
            let (sql, values) = study::uids_in("i.sop_hash", "i.sop_uid", uids);
            instance_sql.push_str(&format!(" AND {sql}"));
            instance_values.extend(values.iter().cloned());
            let found = format!("EXISTS (SELECT 1 FROM instance AS i WHERE i.series_key = r.series_key AND {sql})");
            match rule {
                InstanceRule::Any => {}
                InstanceRule::Found => series_sql.push_str(&format!(" AND {found}")),
                InstanceRule::FoundOrSealed => {
                    let (sealed, hashes) = study::hashes_in("x.sop_hash", uids);
                    series_sql.push_str(&format!(
                        " AND (EXISTS (SELECT 1 FROM sealed_instance AS x WHERE {sealed} AND x.series_key = r.series_key) \
                         OR {found})"
                    ));
                    series_values.extend(hashes);
                }
            }
            if rule != InstanceRule::Any {
                series_values.extend(values);
            }
        }
        series_sql.push_str(" ORDER BY r.number_order, r.series_key");
        instance_sql.push_str(" ORDER BY i.number_order, i.instance_key");
        Self {
            connection,
            filters,
            manner: manner(query),
            series_sql,
            series_values,
            instance_sql,
            instance_values,
            walked: 0,
        }
    }

    fn studies(
        &mut self,
        plan: &Plan,
        after: Option<&SeriesCursor>,
        visit: Visit<'_, 'w, Study>,
    ) -> Result<(), IndexError> {
        let (sql, values) = plan.statement(None);
        let connection = self.connection;
        let mut prepared = connection.prepare_cached(&sql).map_err(at("search"))?;
        let mut rows = prepared.query(params_from_iter(values)).map_err(at("search"))?;
        while let Some(row) = rows.next().map_err(at("search"))? {
            let study = Study { study_key: get(row, 0)?, study_date: get(row, 1)? };
            self.step()?;
            let is_begun = after.is_some_and(|cursor| cursor.study_key == study.study_key);
            if !is_begun && !self.fulfils(&self.filters.study, STUDY_ATTRIBUTES, study.study_key)? {
                continue;
            }
            if !visit(self, &study)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether to go on.
    fn series(
        &mut self,
        study: &Study,
        after: Option<&SeriesCursor>,
        visit: Visit<'_, 'w, Series>,
    ) -> Result<bool, IndexError> {
        let values = std::iter::once(Sql::from(study.study_key)).chain(self.series_values.iter().cloned());
        let all = collect(self.connection, "search series", &self.series_sql, params_from_iter(values), |row| {
            Ok(Series {
                study_key: study.study_key,
                study_date: study.study_date.clone(),
                series_key: get(row, 0)?,
                number_order: get(row, 1)?,
            })
        })?;
        let behind = after
            .filter(|cursor| cursor.study_key == study.study_key)
            .map(|cursor| (cursor.series_number, cursor.series_key));
        for series in all.iter().filter(|series| Some((series.number_order, series.series_key)) > behind) {
            self.step()?;
            if self.fulfils(&self.filters.series, SERIES_ATTRIBUTES, series.series_key)? && !visit(self, series)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether to go on.
    fn instances(&mut self, series: &Series, visit: &mut dyn FnMut(i64) -> bool) -> Result<bool, IndexError> {
        let values = std::iter::once(Sql::from(series.series_key)).chain(self.instance_values.iter().cloned());
        let all = collect(self.connection, "search instances", &self.instance_sql, params_from_iter(values), |row| {
            get::<i64>(row, 0)
        })?;
        for instance_key in all {
            self.step()?;
            if self.fulfils(&self.filters.instance, INSTANCE_ATTRIBUTES, instance_key)? && !visit(instance_key) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn step(&mut self) -> Result<(), IndexError> {
        self.walked = self.walked.saturating_add(1);
        if self.walked > MAX_ROWS_WALKED { Err(IndexError::TooBroad) } else { Ok(()) }
    }

    fn fulfils(&self, filters: &[Filter], sql: &str, key: i64) -> Result<bool, IndexError> {
        if filters.is_empty() {
            return Ok(true);
        }
        let attributes = first(self.connection, "read attributes", sql, [key], |row| json(row, 0))?;
        Ok(attributes.is_some_and(|attributes| matching::matches(filters, &attributes, self.manner)))
    }
}

const STUDY_ATTRIBUTES: &str = "SELECT attributes FROM study WHERE study_key = ?1";
const SERIES_ATTRIBUTES: &str = "SELECT attributes FROM series WHERE series_key = ?1";
const INSTANCE_ATTRIBUTES: &str = "SELECT attributes FROM instance WHERE instance_key = ?1";
