//! Two scans of one estate, one after the other: what is new, what is mended, and whether each site, department or country
//! is on a good way.
//!
//! | verdict | is |
//! |---|---|
//! | Good | nothing answers strangers now, everything that was found before is closed, nothing is new |
//! | Bad | something is open, but no more of it than before |
//! | Ugly | an asset newly has grade F, or the records at risk or the score have risen |
//!
//! A place in which nothing was found before has no trend: what is open there is Bad, unless an asset has grade F.
//! A census, which holds sums for each place and no assets, is compared by the same rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    InspectError, limits,
    scan::{Asset, Bucket, Grade, Level, SCHEMA, Scan, Severity},
    scope::read_bounded,
};

/// The form of [`Census`].
pub const CENSUS_SCHEMA: &str = "kluis-inspect/census/1";

/// By what assets are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Site.
    Site,
    /// Department.
    Department,
    /// Country.
    Country,
}

/// Sums of somebody's count.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Census {
    /// [`CENSUS_SCHEMA`].
    pub schema: String,
    /// When it was taken.
    #[serde(with = "time::serde::rfc3339")]
    pub taken: OffsetDateTime,
    /// One for each place.
    pub groups: Vec<CensusGroup>,
}

/// Sums of one place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CensusGroup {
    /// Name of the place.
    pub name: String,
    /// How many systems are open.
    pub systems: u64,
    /// Names of these systems that stay the same, where they are known: as many as `systems`.
    #[serde(default)]
    pub ids: Vec<String>,
    /// How many studies they hold.
    #[serde(default)]
    pub studies: u64,
    /// How many images they hold.
    #[serde(default)]
    pub images: u64,
}

/// On which way a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is open any more.
    Good,
    /// Something is open, no more of it than before.
    Bad,
    /// It became worse.
    Ugly,
}

/// A number before and now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Change<N> {
    /// In the older scan.
    pub before: N,
    /// In the newer one.
    pub now: N,
}

/// What came of one place, or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Systems that answer strangers (E2 and more), decoys left out.
    pub systems: Change<u64>,
    /// Of those now, how many were not among those before.
    pub systems_new: u64,
    /// Of those before, how many are no more.
    pub systems_gone: u64,
    /// Studies at risk; of scans with steps, at least so many.
    pub studies: Change<u64>,
    /// Images at risk; of scans with steps, at least so many.
    pub images: Change<u64>,
    /// Sum of the scores of all findings.
    pub score: Change<f64>,
    /// Findings that were not there before.
    pub new: u64,
    /// Findings that are no more.
    pub fixed: u64,
    /// Findings that are still there.
    pub unchanged: u64,
    /// Of the unchanged, those that became worse.
    pub regressed: u64,
    /// Assets that newly have grade F.
    pub new_f: u64,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Its name; empty for assets of none.
    pub name: String,
    /// On which way it is.
    pub verdict: Verdict,
    /// Nothing was found there before.
    pub is_new: bool,
    /// The numbers.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Two scans, held against each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// `kluis-inspect/comparison/1`.
    pub schema: &'static str,
    /// By what assets are put together.
    pub by: By,
    /// When the older one ended.
    #[serde(with = "time::serde::rfc3339")]
    pub old: OffsetDateTime,
    /// When the newer one ended.
    #[serde(with = "time::serde::rfc3339")]
    pub new: OffsetDateTime,
    /// Days between them: so long at least is open what is unchanged.
    pub days: i64,
    /// Places in which something was found, in one of them.
    pub groups: Vec<Group>,
    /// All together.
    pub total: Tally,
    /// Findings that are still there, by name.
    pub still_open: Vec<String>,
}

/// One side of a comparison.
#[derive(Debug, Clone)]
pub struct Side {
    taken: OffsetDateTime,
    groups: BTreeMap<String, Sums>,
}

#[derive(Debug, Clone, Default)]
struct Sums {
    open: BTreeSet<String>,
    /// Where there are no names.
    open_unnamed: u64,
    of_grade_f: BTreeSet<String>,
    findings: BTreeMap<String, (Severity, Level, f64)>,
    studies: u64,
    images: u64,
}

impl Side {
    /// Reads a scan or a census: the file, or the folder of a scan.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn read(path: &Path, by: By) -> Result<Self, InspectError> {
        let path = if path.is_dir() { path.join(crate::run::SCAN_FILE) } else { path.to_owned() };
        let bytes = read_bounded(&path, limits::SCAN_BYTES)?;
        let form = || InspectError::Form { path: path.clone(), expected: "scan or census of this version" };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| form())?;
        match value.get("schema").and_then(serde_json::Value::as_str) {
            Some(SCHEMA) => Ok(Self::of_scan(&serde_json::from_value(value).map_err(|_| form())?, by)),
            Some(CENSUS_SCHEMA) => Ok(Self::of_census(&serde_json::from_value(value).map_err(|_| form())?)),
            _ => Err(form()),
        }
    }

    /// A scan.
    #[must_use]
    pub fn of_scan(scan: &Scan, by: By) -> Self {
        let mut groups: BTreeMap<String, Sums> = BTreeMap::new();
        for asset in scan.assets.iter().filter(|asset| !asset.is_decoy) {
            let name = match by {
                By::Site => &asset.site,
                By::Department => &asset.department,
                By::Country => &asset.country,
            };
            groups.entry(name.clone().unwrap_or_default()).or_default().add(asset);
        }
        Self { taken: scan.ended, groups }
    }

    /// A census.
    #[must_use]
    pub fn of_census(census: &Census) -> Self {
        let groups = census.groups.iter().map(|group| {
            let open: BTreeSet<String> = group.ids.iter().cloned().collect();
            let named = u64::try_from(open.len()).unwrap_or(u64::MAX);
            let sums = Sums {
                open,
                open_unnamed: group.systems.saturating_sub(named),
                studies: group.studies,
                images: group.images,
                ..Sums::default()
            };
            (group.name.clone(), sums)
        });
        Self { taken: census.taken, groups: groups.collect() }
    }
}

impl Sums {
    fn add(&mut self, asset: &Asset) {
        if asset.level >= Level::E2 {
            self.open.insert(asset.id.clone());
        }
        if asset.grade == Grade::F {
            self.of_grade_f.insert(asset.id.clone());
        }
        for finding in asset.findings.iter().filter(|finding| finding.severity > Severity::Info) {
            let worth = (finding.severity, finding.level, f64::from(finding.score));
            self.findings.insert(finding.id.clone(), worth);
        }
        // two doors to one archive hold the same studies
        let most = |of: fn(&crate::scan::Service) -> Option<Bucket>| {
            asset.services.iter().filter_map(of).max().map_or(0, at_least)
        };
        self.studies = self.studies.saturating_add(most(|service| service.studies));
        self.images = self.images.saturating_add(most(|service| service.images));
    }

    fn open_count(&self) -> u64 {
        u64::try_from(self.open.len()).unwrap_or(u64::MAX).saturating_add(self.open_unnamed)
    }

    fn score(&self) -> f64 {
        self.findings.values().map(|(_, _, score)| score).sum()
    }

    fn is_empty(&self) -> bool {
        self.open_count() == 0 && self.findings.is_empty() && self.studies == 0 && self.images == 0
    }
}

/// The smallest number of a step.
fn at_least(bucket: Bucket) -> u64 {
    match bucket {
        Bucket::None => 0,
        Bucket::Tens => 1,
        Bucket::Thousands => 100,
        Bucket::Many => 10_000,
        Bucket::Millions => 1_000_000,
    }
}

/// Holds the newer scan against the older one.
#[must_use]
pub fn compare(old: &Side, new: &Side, by: By) -> Comparison {
    let names: BTreeSet<&String> = old.groups.keys().chain(new.groups.keys()).collect();
    let nothing = Sums::default();
    let mut groups = Vec::new();
    let mut total = Tally::default();
    let mut still_open = Vec::new();
    for name in names {
        let before = old.groups.get(name).unwrap_or(&nothing);
        let now = new.groups.get(name).unwrap_or(&nothing);
        if before.is_empty() && now.is_empty() && !new.groups.contains_key(name) {
            continue;
        }
        let tally = tally(before, now);
        total.add(&tally);
        still_open.extend(now.findings.keys().filter(|id| before.findings.contains_key(*id)).cloned());
        let is_new = before.is_empty();
        groups.push(Group { name: name.clone(), verdict: verdict(&tally, is_new), is_new, tally });
    }
    groups.sort_by(|a, b| b.verdict.cmp(&a.verdict).then_with(|| a.name.cmp(&b.name)));
    Comparison {
        schema: "kluis-inspect/comparison/1",
        by,
        old: old.taken,
        new: new.taken,
        days: (new.taken - old.taken).whole_days(),
        groups,
        total,
        still_open,
    }
}

fn verdict(tally: &Tally, is_new: bool) -> Verdict {
    let has_risen = tally.studies.now > tally.studies.before
        || tally.images.now > tally.images.before
        || tally.score.now > tally.score.before;
    if tally.new_f > 0 || (has_risen && !is_new) {
        return Verdict::Ugly;
    }
    // a place without records and findings that are counted is judged by its systems
    let has_sums = tally.studies.before > 0 || tally.images.before > 0 || tally.score.before > 0.0;
    if !is_new && !has_sums && tally.systems.now > tally.systems.before {
        return Verdict::Ugly;
    }
    if tally.systems.now == 0 && tally.unchanged == 0 && tally.new == 0 { Verdict::Good } else { Verdict::Bad }
}

fn tally(before: &Sums, now: &Sums) -> Tally {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let unnamed_more = now.open_unnamed.saturating_sub(before.open_unnamed);
    let unnamed_less = before.open_unnamed.saturating_sub(now.open_unnamed);
    let unchanged: Vec<_> =
        now.findings.iter().filter_map(|(id, worth)| Some((worth, before.findings.get(id)?))).collect();
    let is_worse = |now: &(Severity, Level, f64), before: &(Severity, Level, f64)| {
        now.0 > before.0 || now.1 > before.1 || now.2 > before.2
    };
    Tally {
        systems: Change { before: before.open_count(), now: now.open_count() },
        systems_new: count(now.open.difference(&before.open).count()).saturating_add(unnamed_more),
        systems_gone: count(before.open.difference(&now.open).count()).saturating_add(unnamed_less),
        studies: Change { before: before.studies, now: now.studies },
        images: Change { before: before.images, now: now.images },
        score: Change { before: before.score(), now: now.score() },
        new: count(now.findings.keys().filter(|id| !before.findings.contains_key(*id)).count()),
        fixed: count(before.findings.keys().filter(|id| !now.findings.contains_key(*id)).count()),
        unchanged: count(unchanged.len()),
        regressed: count(unchanged.iter().filter(|(now, before)| is_worse(now, before)).count()),
        new_f: count(now.of_grade_f.difference(&before.of_grade_f).count()),
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        let add = |sum: &mut Change<u64>, more: Change<u64>| {
            sum.before = sum.before.saturating_add(more.before);
            sum.now = sum.now.saturating_add(more.now);
        };
        add(&mut self.systems, other.systems);
        add(&mut self.studies, other.studies);
        add(&mut self.images, other.images);
        self.score.before += other.score.before;
        self.score.now += other.score.now;
        for (sum, more) in [
            (&mut self.systems_new, other.systems_new),
            (&mut self.systems_gone, other.systems_gone),
            (&mut self.new, other.new),
            (&mut self.fixed, other.fixed),
            (&mut self.unchanged, other.unchanged),
            (&mut self.regressed, other.regressed),
            (&mut self.new_f, other.new_f),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Comparison {
    /// How many places have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.groups.iter().filter(|group| group.verdict == verdict).count()
    }

    /// The worst verdict of a place; Good where there is none.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.groups.iter().map(|group| group.verdict).max().unwrap_or(Verdict::Good)
    }
}

#[cfg(test)]
mod tests;
