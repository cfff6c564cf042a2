//! Conditions on person names (PS3.4 C.2.2.2.1.1) and on other text with wildcards (C.2.2.2.4).
//!
//! A beginning becomes a range on the folded column; three or more characters elsewhere become trigrams; what these let
//! through is decided by the functions that matching in memory uses too.

use kluis_dicom::fold;
use rusqlite::{Connection, types::Value as Sql};

use super::plan::{Condition, Driver};
use crate::{IndexError, sqlite::database::first};

/// Most trigrams of one text that are looked up; more do not narrow it further.
const MAX_TRIGRAMS: usize = 12;

/// A column of study with folded person names.
#[derive(Clone, Copy)]
pub(super) struct NameColumn {
    /// `s.…`
    pub column: &'static str,
    /// `name_group.kind`.
    pub kind: i64,
    /// When the name begins with at least three characters, fewer, or none.
    pub drivers: [Driver; 3],
}

pub(super) const PATIENT: NameColumn = NameColumn {
    column: "s.patient_name_folded",
    kind: crate::sqlite::PATIENT_NAME,
    drivers: [Driver::Name, Driver::ShortName, Driver::NameScan],
};

pub(super) const REFERRING: NameColumn = NameColumn {
    column: "s.referring_folded",
    kind: crate::sqlite::REFERRING_NAME,
    drivers: [Driver::Referring, Driver::Referring, Driver::ReferringScan],
};

/// A name, with or without wildcards.
pub(super) fn person_name(
    connection: &Connection,
    name: NameColumn,
    pattern: &str,
    is_fuzzy: bool,
) -> Result<Vec<Condition>, IndexError> {
    let folded = fold(pattern);
    if is_fuzzy {
        return Ok(by_function("kluis_name_fuzzy", name, pattern, &folded, fuzzy_runs(&folded)));
    }
    if folded.contains('=') {
        let runs = folded.split('=').flat_map(literal_runs);
        return Ok(by_function("kluis_name", name, pattern, &folded, runs));
    }
    let beginning = folded.split(['*', '?']).next().unwrap_or_default().trim_end_matches(['^', ' ']);
    if beginning.is_empty() {
        return Ok(by_function("kluis_name", name, pattern, &folded, literal_runs(&folded)));
    }
    let group = other_groups(connection, name, beginning)?;
    let (alphabetic, mut values) = alphabetic_group(name, pattern, &folded, beginning);
    if !group {
        let driver = if beginning.chars().nth(2).is_some() { name.drivers[0] } else { name.drivers[1] };
        return Ok(vec![Condition::new(alphabetic, values, Some(driver))]);
    }
    let column = name.column;
    values.extend([Sql::from(name.kind), beginning.to_owned().into()]);
    let above = above(beginning).map(|above| {
        values.push(above.into());
        " AND folded < ?"
    });
    values.push(pattern.to_owned().into());
    let sql = format!(
        "({alphabetic} OR (s.study_key IN (SELECT study_key FROM name_group WHERE kind = ? AND folded >= ?{}) \
         AND kluis_name(?, {column})))",
        above.unwrap_or_default()
    );
    Ok(vec![Condition::new(sql, values, Some(Driver::Text))])
}

/// Text with wildcards in a column of its own, case as it stands.
pub(super) fn wildcard(column: &'static str, pattern: &str, leading: Driver, scanning: Driver) -> Condition {
    let beginning = pattern.split(['*', '?']).next().unwrap_or_default();
    let mut sql = String::new();
    let mut values = Vec::new();
    if !beginning.is_empty() {
        sql = format!("{column} >= ? AND ");
        values.push(Sql::from(beginning.to_owned()));
        if let Some(above) = above(beginning) {
            sql.push_str(&format!("{column} < ? AND "));
            values.push(above.into());
        }
    }
    sql.push_str(&format!("kluis_wildcard(?, {column})"));
    values.push(pattern.to_owned().into());
    Condition::new(sql, values, Some(if beginning.is_empty() { scanning } else { leading }))
}

/// The studies in whose names or description these texts, folded, stand somewhere.
pub(super) fn trigrams<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Condition> {
    let mut quoted: Vec<String> = Vec::new();
    for text in texts {
        let characters: Vec<char> = text.chars().collect();
        for three in characters.windows(3) {
            let term = format!("\"{}\"", three.iter().collect::<String>().replace('"', "\"\""));
            if quoted.len() < MAX_TRIGRAMS && !quoted.contains(&term) {
                quoted.push(term);
            }
        }
    }
    if quoted.is_empty() {
        return None;
    }
    let sql = "s.study_key IN (SELECT rowid FROM study_text WHERE study_text MATCH ?)";
    Some(Condition::new(sql, vec![quoted.join(" AND ").into()], Some(Driver::Text)))
}

/// What stands between wildcards.
pub(super) fn literal_runs(folded: &str) -> impl Iterator<Item = &str> {
    // what a name leaves out at its end is matched as empty components, and is not in its text
    folded.split(['*', '?']).map(|run| run.trim_matches(['^', ' ']))
}

fn fuzzy_runs(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(['^', '=', ' ', ',', '-', '.', '\'']).flat_map(|word| word.split(['*', '?']))
}

fn by_function<'a>(
    function: &str,
    name: NameColumn,
    pattern: &str,
    folded: &str,
    runs: impl Iterator<Item = &'a str>,
) -> Vec<Condition> {
    let column = name.column;
    let narrowed = if folded.is_empty() { None } else { trigrams(runs) };
    let driver = if narrowed.is_some() { None } else { Some(name.drivers[2]) };
    let decided = Condition::new(format!("{function}(?, {column})"), vec![pattern.to_owned().into()], driver);
    narrowed.into_iter().chain([decided]).collect()
}

/// The first group of the name, which begins the column.
fn alphabetic_group(name: NameColumn, pattern: &str, folded: &str, beginning: &str) -> (String, Vec<Sql>) {
    let column = name.column;
    if !folded.contains(['*', '?']) {
        let group = folded.trim_end_matches(['^', ' ']);
        // the group ends with the column or before the next group
        let sql = format!("({column} >= ? AND {column} < ? AND ({column} = ? OR {column} >= ?))");
        let [equal, next, behind] = [group.to_owned(), format!("{group}="), format!("{group}>")];
        return (sql, vec![equal.clone().into(), behind.into(), equal.into(), next.into()]);
    }
    let mut values = vec![Sql::from(beginning.to_owned())];
    let mut sql = format!("({column} >= ?");
    if let Some(above) = above(beginning) {
        sql.push_str(&format!(" AND {column} < ?"));
        values.push(above.into());
    }
    if folded.strip_suffix('*') != Some(beginning) {
        sql.push_str(&format!(" AND kluis_name(?, {column})"));
        values.push(pattern.to_owned().into());
    }
    sql.push(')');
    (sql, values)
}

/// Whether any ideographic or phonetic group begins so: mostly there are none, and the statement stays simple.
fn other_groups(connection: &Connection, name: NameColumn, beginning: &str) -> Result<bool, IndexError> {
    let above = above(beginning);
    let sql = if above.is_some() {
        "SELECT 1 FROM name_group WHERE kind = ? AND folded >= ? AND folded < ? LIMIT 1"
    } else {
        "SELECT 1 FROM name_group WHERE kind = ? AND folded >= ? LIMIT 1"
    };
    let values = [Sql::from(name.kind), beginning.to_owned().into()].into_iter().chain(above.map(Sql::from));
    Ok(first(connection, "find name group", sql, rusqlite::params_from_iter(values), |_| Ok(()))?.is_some())
}

/// The least text above all that begin so; none where there is none.
pub(super) fn above(beginning: &str) -> Option<String> {
    let mut text = beginning.to_owned();
    while let Some(last) = text.pop() {
        // from U+D7FF the next character is U+E000
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).take(0x801).find_map(char::from_u32);
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_is_the_least_text_behind_a_beginning() {
        for (beginning, least) in
            [("jans", Some("jant")), ("a\u{D7FF}", Some("a\u{E000}")), ("a\u{10FFFF}", Some("b")), ("\u{10FFFF}", None)]
        {
            assert_eq!(above(beginning).as_deref(), least, "{beginning:?}");
        }
    }

    #[test]
    fn trigrams_are_quoted_and_limited() {
        let condition = trigrams(["a\"b", "kn"].into_iter()).unwrap();
        assert_eq!(condition.values, [Sql::from("\"a\"\"b\"".to_owned())]);
        assert!(trigrams(["kn", ""].into_iter()).is_none());
        let long = trigrams(["abcdefghijklmnopqrstuvwxyz"].into_iter()).unwrap();
        let [Sql::Text(text)] = &long.values[..] else { panic!("one text") };
        assert_eq!(text.matches(" AND ").count(), MAX_TRIGRAMS - 1);
    }
}
