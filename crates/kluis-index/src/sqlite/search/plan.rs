//! Conditions on study rows, and the statement that lists the keys of those that fulfil them.

use rusqlite::types::Value as Sql;

/// How a condition leads to rows, best first. One condition drives the statement, the others filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Driver {
    /// UIDs, or a subquery of a few keys.
    Keys,
    /// Patient ID, equal or beginning.
    Patient,
    /// Accession Number, equal or beginning.
    Accession,
    /// Folded name of the referring physician, equal or beginning.
    Referring,
    /// Folded patient name, equal or beginning with at least three characters.
    Name,
    /// Birth date.
    Birth,
    /// Both ends of a range of study dates that is not longer than about a year.
    Days,
    /// Folded patient name that begins with one or two characters.
    ShortName,
    /// Trigrams.
    Text,
    /// The index is read as a whole: Patient ID that contains something.
    PatientScan,
    /// As before, for Accession Number.
    AccessionScan,
    /// As before, for names.
    NameScan,
    /// As before, for names of referring physicians.
    ReferringScan,
    /// By date, from the latest.
    Walk,
}

impl Driver {
    fn hint(self) -> &'static str {
        match self {
            Self::Keys | Self::Text => "",
            Self::Patient | Self::PatientScan => " INDEXED BY study_patient",
            Self::Accession | Self::AccessionScan => " INDEXED BY study_accession",
            Self::Referring | Self::ReferringScan => " INDEXED BY study_referring",
            Self::Name | Self::ShortName | Self::NameScan => " INDEXED BY study_name",
            Self::Birth => " INDEXED BY study_birth",
            Self::Days | Self::Walk => " INDEXED BY study_day",
        }
    }
}

/// One condition: SQL on `study AS s`, with its values in order.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub sql: String,
    pub values: Vec<Sql>,
    pub driver: Option<Driver>,
}

impl Condition {
    pub fn new(sql: impl Into<String>, values: Vec<Sql>, driver: Option<Driver>) -> Self {
        Self { sql: sql.into(), values, driver }
    }

    /// Nothing fulfils it.
    pub fn never() -> Self {
        Self::new("0", Vec::new(), Some(Driver::Keys))
    }
}

/// What is asked of study rows.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub conditions: Vec<Condition>,
    /// First and last study date.
    pub dates: (Option<String>, Option<String>),
    /// The range of dates is short enough to be walked.
    pub has_short_dates: bool,
    /// Single modality that a study must have.
    pub modality: Option<String>,
    /// Only studies at or behind this place: date and key.
    pub resume: Option<(String, i64)>,
}

impl Plan {
    pub fn add(&mut self, condition: Condition) {
        self.conditions.push(condition);
    }

    /// The statement, which yields study_key and study_date in the order of the answer, and its values.
    pub fn statement(&self, page: Option<(u32, u32)>) -> (String, Vec<Sql>) {
        let driver = self.driver();
        let is_modality_first =
            self.modality.is_some() && driver >= Driver::Days && driver != Driver::ShortName && driver != Driver::Text;
        let (dated, keyed) =
            if is_modality_first { ("m.study_date", "m.study_key") } else { ("s.study_date", "s.study_key") };
        let mut values = Vec::new();
        let mut sql = format!("SELECT {keyed}, {dated} FROM ");
        let mut glue = Glue::default();
        if is_modality_first {
            sql.push_str("study_modality AS m");
            if !self.conditions.is_empty() {
                sql.push_str(" CROSS JOIN study AS s ON s.study_key = m.study_key");
            }
        } else {
            sql.push_str("study AS s");
            sql.push_str(driver.hint());
        }
        if let Some(modality) = &self.modality {
            sql.push_str(glue.next());
            sql.push_str(if is_modality_first {
                "m.modality = ?"
            } else {
                "EXISTS (SELECT 1 FROM study_modality AS m WHERE m.modality = ? AND m.study_date = s.study_date \
                 AND m.study_key = s.study_key)"
            });
            values.push(modality.clone().into());
        }
        self.write_dates(dated, &mut sql, &mut values, &mut glue);
        for condition in &self.conditions {
            sql.push_str(glue.next());
            sql.push_str(&condition.sql);
            values.extend(condition.values.iter().cloned());
        }
        if let Some((date, key)) = &self.resume {
            sql.push_str(&format!("{}({dated}, {keyed}) <= (?, ?)", glue.next()));
            values.extend([Sql::from(date.clone()), Sql::from(*key)]);
        }
        sql.push_str(&format!(" ORDER BY {dated} DESC, {keyed} DESC"));
        if let Some((limit, offset)) = page {
            sql.push_str(" LIMIT ? OFFSET ?");
            values.extend([Sql::from(limit), Sql::from(offset)]);
        }
        (sql, values)
    }

    fn driver(&self) -> Driver {
        let by_date = if self.has_short_dates { Driver::Days } else { Driver::Walk };
        let by_condition = self.conditions.iter().filter_map(|condition| condition.driver).min();
        by_condition.map_or(by_date, |driver| driver.min(by_date))
    }

    fn write_dates(&self, dated: &str, sql: &mut String, values: &mut Vec<Sql>, glue: &mut Glue) {
        let (from, to) = &self.dates;
        if let Some(from) = from {
            sql.push_str(&format!("{}{dated} >= ?", glue.next()));
            values.push(from.clone().into());
        }
        if let Some(to) = to {
            if from.is_none() {
                // a study without a date is in no range
                sql.push_str(&format!("{}{dated} > ''", glue.next()));
            }
            sql.push_str(&format!("{}{dated} <= ?", glue.next()));
            values.push(to.clone().into());
        }
    }
}

/// ` WHERE ` the first time, ` AND ` from then on.
#[derive(Default)]
struct Glue {
    is_used: bool,
}

impl Glue {
    fn next(&mut self) -> &'static str {
        if std::mem::replace(&mut self.is_used, true) { " AND " } else { " WHERE " }
    }
}
