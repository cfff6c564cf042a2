//! Searching at the three levels, hot and sealed alike. Rows the principal may not see are left out by the database.

use std::collections::HashSet;

use kluis_dicom::{
    Uid,
    query::{Level, Query},
};
use kluis_index::{IndexError, Row, SeriesMatch};
use kluis_keys::KeyId;
use kluis_policy::RowFilter;
use serde_json::{Map, Value, json};

use crate::{Archive, ArchiveError, Disclosed, Inner, Outcome, Permit, act::Search};

/// Series looked at in one step of a search for instances.
const SERIES_STEP: u32 = 64;

/// Instances looked at for one search at most.
const WALKED_MAX: u64 = 200_000;

/// Available Transfer Syntax UID (PS3.18 Table 10.6.3-5).
const AVAILABLE_TRANSFER_SYNTAX: &str = "00083002";

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The query asks for more than the limits allow, or is too broad for what it asks.
    #[error("{0}")]
    TooMuch(String),
    /// The query is of another level than the permit.
    #[error("the query is of another level than what was permitted")]
    WrongLevel,
    /// The archive could not read it.
    #[error(transparent)]
    Archive(ArchiveError),
}

impl From<ArchiveError> for SearchError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Index(limit @ (IndexError::QueryLimit(_) | IndexError::TooBroad)) => {
                Self::TooMuch(limit.to_string())
            }
            other => Self::Archive(other),
        }
    }
}

/// One page of an answer.
#[derive(Debug)]
pub struct Found {
    /// The rows, in the order of the index.
    pub matches: Vec<Match>,
    /// There are more behind them.
    pub has_more: bool,
    /// A filter of the query is on an attribute that is not kept at this level: it was passed over (PS3.4 C.4.1.1.4).
    pub has_unmatched_filter: bool,
}

/// One row.
pub struct Match {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID, at series and instance level.
    pub series: Option<Uid>,
    /// SOP Instance UID, at instance level.
    pub instance: Option<Uid>,
    /// DICOM JSON: all that the index keeps at this level and above; the edge leaves out what was not asked for.
    pub attributes: Map<String, Value>,
}

impl std::fmt::Debug for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Match").field("study", &self.study).finish_non_exhaustive()
    }
}

impl From<Row> for Match {
    fn from(row: Row) -> Self {
        Self { study: row.study, series: row.series, instance: row.instance, attributes: row.attributes }
    }
}

impl Archive {
    /// Searches at the level of the permit.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn search(&self, permit: Permit<Search>, query: &Query) -> Result<Disclosed<Found>, SearchError> {
        let level = match permit.act().level {
            kluis_policy::Level::Study => Level::Study,
            kluis_policy::Level::Series => Level::Series,
            kluis_policy::Level::Instance => Level::Instance,
        };
        if level != query.level {
            permit.finish(Outcome::Failed);
            return Err(SearchError::WrongLevel);
        }
        let has_unmatched_filter = query.filters.iter().any(|filter| !kluis_index::is_searchable(level, &filter.path));
        let found = if level == Level::Instance {
            self.inner.search_instances(query, permit.rows()).await
        } else {
            self.inner.search_rows(query, permit.rows()).await
        };
        match found {
            Ok(found) => Ok(permit.disclose(Found { has_unmatched_filter, ..found })),
            Err(error) => {
                permit.finish(Outcome::Failed);
                Err(error.into())
            }
        }
    }
}

impl Inner {
    async fn search_rows(&self, query: &Query, rows: &RowFilter) -> Result<Found, ArchiveError> {
        let page = self.index.search(query, rows).await?;
        Ok(Found {
            matches: page.matches.into_iter().map(Match::from).collect(),
            has_more: page.has_more,
            has_unmatched_filter: false,
        })
    }

    /// Instances stand in rows and in manifests: series by series, both are put together and matched here.
    async fn search_instances(&self, query: &Query, rows: &RowFilter) -> Result<Found, ArchiveError> {
        let mut found = Found { matches: Vec::new(), has_more: false, has_unmatched_filter: false };
        let mut to_skip = query.offset;
        let mut walked = 0;
        let mut after = None;
        loop {
            let page = self.index.search_series(query, rows, after, SERIES_STEP).await?;
            for series in &page.series {
                for candidate in self.instances_of_series(series, rows).await? {
                    walked += 1;
                    if walked > WALKED_MAX {
                        return Err(IndexError::TooBroad.into());
                    }
                    if !kluis_index::matches(query, &candidate.attributes) {
                        continue;
                    }
                    if to_skip > 0 {
                        to_skip -= 1;
                        continue;
                    }
                    if found.matches.len() >= query.limit as usize {
                        found.has_more = true;
                        return Ok(found);
                    }
                    found.matches.push(candidate);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn instances_of_series(&self, series: &SeriesMatch, rows: &RowFilter) -> Result<Vec<Match>, ArchiveError> {
        let mut own: Vec<(Option<i64>, Uid, Map<String, Value>)> = Vec::new();
        let syntax = |uid: &Uid| json!({ "vr": "UI", "Value": [uid.as_str()] });
        let hot = match series.hot_count {
            0 => Vec::new(),
            _ => self.index.instances(&series.study, Some(&series.series), None, rows).await?,
        };
        let mut manifest = series.manifest;
        if (hot.len() as u64) < series.hot_count {
            // sealed between the two looks: what is no longer a row stands in the manifest of now
            let now = self.index.series_of(&series.study, rows).await?;
            manifest = now.into_iter().find(|row| row.uid == series.series).and_then(|row| row.manifest);
        }
        let mut sealed = HashSet::new();
        if let Some(pointer) = &manifest {
            let manifest = self.manifests.read(self, KeyId(series.key_id), pointer).await?;
            for entry in &manifest.entries {
                let mut attributes: Map<String, Value> =
                    serde_json::from_str(&entry.attributes).map_err(|_| ArchiveError::Record)?;
                attributes.insert(AVAILABLE_TRANSFER_SYNTAX.to_owned(), syntax(&entry.transfer_syntax));
                own.push((entry.number, entry.sop_instance.clone(), attributes));
                if !hot.is_empty() {
                    sealed.insert(entry.object_id);
                }
            }
        }
        for row in hot.into_iter().filter(|row| !sealed.contains(&row.object_id)) {
            let mut attributes = row.attributes;
            attributes.insert(AVAILABLE_TRANSFER_SYNTAX.to_owned(), syntax(&row.transfer_syntax));
            own.push((row.number, row.ids.sop_instance, attributes));
        }
        own.sort_by_key(|(number, ..)| number.unwrap_or(i64::MAX));
        Ok(own
            .into_iter()
            .map(|(_, instance, own)| {
                let mut attributes = series.attributes.clone();
                attributes.extend(own);
                Match {
                    study: series.study.clone(),
                    series: Some(series.series.clone()),
                    instance: Some(instance),
                    attributes,
                }
            })
            .collect())
    }
}
