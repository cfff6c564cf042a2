//! The database against matching in memory, on many small random questions: they must never disagree, whatever index
//! serves, and no combination of keys may give a statement that the engine refuses.

use std::time::Instant;

use kluis_dicom::{
    Tag,
    query::{Filter, Level, Matching, Query},
};
use kluis_policy::RowFilter;
use rusqlite::params_from_iter;

use crate::{Index, matches, sqlite::SqliteIndex, suite::sample::Sample};

/// A small generator with a fixed seed: the same questions at every run (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

const NAMES: [&str; 12] = [
    "",
    "JANSEN^PIET",
    "Jansén^Piet",
    "JANSEN",
    "JANSENS^A",
    "JA^",
    "Müller^Jörg",
    "MULLER^J^^",
    "de Vries^O'Neil",
    "Yamada^Tarou=山田^太郎=やまだ",
    "=山田",
    "Jansen^^Piet=鈴木",
];
const PATTERNS: [&str; 24] = [
    "JANSEN^PIET",
    "JANSEN",
    "jansen*",
    "JANSEN^*",
    "JA*",
    "J*",
    "*ANSEN*",
    "*PIET",
    "J?NSEN*",
    "JANSEN?*",
    "?*",
    "*^*",
    "山田*",
    "*郎",
    "Yamada*=山*",
    "=山田",
    "=*",
    "**",
    "de *",
    "*'*",
    "MULLER^*^",
    "JANSEN^^*",
    "*en^pi*",
    "^",
];
const IDS: [&str; 7] = ["", "P1", "p1", "P10", "P*", "100%", "Ä1"];
const ID_PATTERNS: [&str; 9] = ["P1", "P*", "*1", "?1", "P?", "*1*", "100%", "p*0", "Ä*"];
const DATES: [&str; 6] = ["", "20240101", "20240102", "20240301", "20250101", "2024"];
const TIMES: [&str; 5] = ["", "080000.000000", "093000.000000", "235959.999999", "noon"];
const TEXTS: [&str; 6] = ["", "CT Knie rechts", "CT KNIE", "knie  links", "[a]*_%", "Füße"];
const TEXT_PATTERNS: [&str; 9] = ["CT KNIE", "*Knie*", "*KNIE", "CT*", "*e l*", "*[a]*", "F??e", "*üß*", "*e  l*"];
const MODALITIES: [&str; 4] = ["", "CT", "MR", "PR"];

fn sample(dice: &mut Dice, study: u32, series: u32) -> Sample {
    Sample {
        study,
        series,
        patient_id: dice.pick(&IDS),
        name: dice.pick(&NAMES).to_owned(),
        birth_date: dice.pick(&DATES),
        date: dice.pick(&DATES).to_owned(),
        time: dice.pick(&TIMES),
        accession: dice.pick(&IDS),
        description: dice.pick(&TEXTS).to_owned(),
        referring: dice.pick(&NAMES),
        modality: dice.pick(&MODALITIES),
        ..Sample::default()
    }
}

fn text_matching(dice: &mut Dice, patterns: &[&str]) -> Matching {
    match dice.roll(8) {
        0 => Matching::Empty,
        1 => Matching::List(vec![dice.pick(patterns).to_owned(), dice.pick(patterns).to_owned()]),
        _ => {
            let text = dice.pick(patterns).to_owned();
            if text.contains(['*', '?']) { Matching::Wildcard(text) } else { Matching::Single(text) }
        }
    }
}

fn moment_matching(dice: &mut Dice, values: &[&str]) -> Matching {
    let mut end = || Some(dice.pick(values).to_owned()).filter(|text| !text.is_empty());
    let (from, to) = (end(), end());
    match (dice.roll(6), from) {
        (0, _) => Matching::Empty,
        (1 | 2, Some(value)) => Matching::Single(value),
        (_, None) if to.is_none() => Matching::Universal,
        (_, from) => Matching::Range { from, to },
    }
}

fn filter(dice: &mut Dice) -> Filter {
    let (tag, matching) = match dice.roll(10) {
        0 | 1 => (Tag(0x0010, 0x0010), text_matching(dice, &PATTERNS)),
        2 => (Tag(0x0008, 0x0090), text_matching(dice, &PATTERNS)),
        3 => (Tag(0x0010, 0x0020), text_matching(dice, &ID_PATTERNS)),
        4 => (Tag(0x0008, 0x0050), text_matching(dice, &ID_PATTERNS)),
        5 => (Tag(0x0008, 0x1030), text_matching(dice, &TEXT_PATTERNS)),
        6 => (Tag(0x0008, 0x0061), text_matching(dice, &["CT", "MR", "?R", "XX"])),
        7 => (Tag(0x0010, 0x0030), moment_matching(dice, &DATES[..5])),
        8 => (Tag(0x0008, 0x0020), moment_matching(dice, &DATES[..5])),
        _ => (Tag(0x0008, 0x0030), moment_matching(dice, &TIMES[..4])),
    };
    Filter { path: vec![tag], matching }
}

#[tokio::test]
async fn the_database_and_the_memory_agree() {
    let directory = tempfile::tempdir().unwrap();
    let index = SqliteIndex::open(&directory.path().join("index.db"), &[7; 32]).unwrap();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut batch = Vec::new();
    for study in 1..=120 {
        let series = 1 + dice.roll(3) as u32;
        batch.extend((1..=series).map(|series| sample(&mut dice, study, series).build()));
    }
    index.insert(batch.into()).await.unwrap();
    let all = index.search(&Query::all(Level::Study, 1000), &RowFilter::All).await.unwrap().matches;
    assert_eq!(all.len(), 120);
    let mut found = 0;
    for question in 0..1500 {
        let mut query = Query::all(Level::Study, 1000);
        for _ in 0..=dice.roll(3) {
            let filter = filter(&mut dice);
            if query.filters.iter().all(|other| other.path != filter.path) {
                query.filters.push(filter);
            }
        }
        query.is_fuzzy = dice.roll(5) == 0;
        query.combines_date_time = dice.roll(2) == 0;
        let expected: Vec<_> =
            all.iter().filter(|row| matches(&query, &row.attributes)).map(|row| &row.study).collect();
        let page = index.search(&query, &RowFilter::All).await.unwrap();
        let rows: Vec<_> = page.matches.iter().map(|row| &row.study).collect();
        let values: Vec<String> = query.filters.iter().map(show).collect();
        assert_eq!(rows, expected, "question {question}: {values:?} fuzzy {}", query.is_fuzzy);
        found += rows.len();
    }
    assert!(found > 5_000, "the questions find something: {found}");
}

fn show(filter: &Filter) -> String {
    let values = match &filter.matching {
        Matching::Single(text) | Matching::Wildcard(text) => text.clone(),
        Matching::List(list) => list.join("|"),
        Matching::Range { from, to } => format!("{from:?}-{to:?}"),
        Matching::Universal => "universal".to_owned(),
        Matching::Empty => "empty".to_owned(),
    };
    format!("{} {values}", filter.path[0])
}

/// Which index serves which question. Without this a statement may be right, and read every study.
#[test]
fn statements_use_the_index_that_serves_best() {
    let directory = tempfile::tempdir().unwrap();
    let connection =
        crate::sqlite::connection::open_writer(&directory.path().join("index.db"), &[7; 32], crate::sqlite::PROFILE)
            .unwrap();
    let referrer = RowFilter::Referring("dijk^anna".to_owned());
    for (filters, rows, expected) in [
        (vec![], &RowFilter::All, "SCAN s USING COVERING INDEX study_day"),
        (vec![single(STUDY, "1.2")], &RowFilter::All, "SEARCH s USING INDEX study_uid (uid_hash=?)"),
        (vec![single(PATIENT_ID, "P")], &RowFilter::All, "SEARCH s USING COVERING INDEX study_patient (patient_id=?)"),
        (
            vec![wild(PATIENT_ID, "P*")],
            &RowFilter::All,
            "SEARCH s USING COVERING INDEX study_patient (patient_id>? AND patient_id<?)",
        ),
        (vec![wild(PATIENT_ID, "*P*")], &RowFilter::All, "SCAN s USING COVERING INDEX study_patient"),
        (
            vec![wild(NAME, "JANSEN*"), days("20240101", "20240131")],
            &RowFilter::All,
            "SEARCH s USING COVERING INDEX study_name (patient_name_folded>? AND patient_name_folded<?)",
        ),
        (
            vec![wild(NAME, "J*"), days("20240101", "20240131")],
            &RowFilter::All,
            "SEARCH s USING INDEX study_day (study_date>? AND study_date<?)",
        ),
        (vec![wild(NAME, "*ANSEN*")], &RowFilter::All, "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"),
        (
            vec![wild(NAME, "*ANSEN*"), days("20240101", "20240131")],
            &RowFilter::All,
            "SEARCH s USING INDEX study_day (study_date>? AND study_date<?)",
        ),
        (
            vec![single(MODALITIES_IN_STUDY, "CT"), days("20240101", "20240131")],
            &RowFilter::All,
            "SEARCH m USING PRIMARY KEY (modality=? AND study_date>? AND study_date<?)",
        ),
        (vec![], &referrer, "SEARCH s USING COVERING INDEX study_referring (referring_folded=?)"),
    ] {
        let query = Query { filters, ..Query::all(Level::Study, 100) };
        let (plan, _) = super::study::plan(&connection, &query, rows).unwrap();
        let (sql, values) = plan.statement(Some((100, 0)));
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps: Vec<String> =
            explained.query_map(params_from_iter(values), |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        assert_eq!(steps[0], expected, "{sql}: {steps:?}");
    }
}

/// What is asked for every row of an answer and before every store never reads a table, and nothing is sorted.
#[test]
fn what_is_asked_often_is_read_from_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let connection =
        crate::sqlite::connection::open_writer(&directory.path().join("index.db"), &[7; 32], crate::sqlite::PROFILE)
            .unwrap();
    for (sql, expected) in [
        (
            super::page::COUNT_STUDY,
            &[
                "SEARCH r USING COVERING INDEX series_study (study_key=?)",
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH i USING COVERING INDEX instance_series (series_key=?)",
            ][..],
        ),
        (
            crate::sqlite::lookup::FIND_SEALED,
            &[
                "SEARCH x USING PRIMARY KEY (sop_hash=?)",
                "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)",
            ],
        ),
        (crate::sqlite::seal::LIST_QUIET, &["SEARCH r USING INDEX series_quiet (last_arrival<?)"]),
    ] {
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = vec![1_i64; explained.parameter_count()];
        let steps: Vec<String> =
            explained.query_map(params_from_iter(parameters), |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        assert_eq!(steps[..expected.len()], *expected, "{sql}");
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN")), "{steps:?}");
    }
}

/// A question for SOP Instance UIDs leads to their series, hot or sealed, not to every series with a manifest.
#[test]
fn instances_are_found_by_their_uid_without_a_walk() {
    let directory = tempfile::tempdir().unwrap();
    let connection =
        crate::sqlite::connection::open_writer(&directory.path().join("index.db"), &[7; 32], crate::sqlite::PROFILE)
            .unwrap();
    let mut plan = super::plan::Plan::default();
    plan.add(super::study::studies_of_instances(&["1.2.3".to_owned(), "1.2.4".to_owned()]));
    let (sql, values) = plan.statement(None);
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps: Vec<String> =
        explained.query_map(params_from_iter(values), |row| row.get(3)).unwrap().map(Result::unwrap).collect();
    for expected in
        ["SEARCH s USING INTEGER PRIMARY KEY", "SEARCH i USING INDEX instance_sop", "SEARCH x USING PRIMARY KEY"]
    {
        assert!(steps.iter().any(|step| step.starts_with(expected)), "{expected}: {steps:?}");
    }
    assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
}

/// How long questions take, printed; `KLUIS_INDEX_STUDIES` sets how many studies there are.
#[tokio::test]
async fn latency() {
    let studies = std::env::var("KLUIS_INDEX_STUDIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.db");
    let index = SqliteIndex::open(&path, &[7; 32]).unwrap();
    let start = Instant::now();
    fill(&index, studies).await;
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("{studies} studies, 4 series: {:?}, {} bytes a study", start.elapsed(), bytes / u64::from(studies));
    for (what, filters, offset) in [
        ("UID", vec![single(STUDY, "1.2.3.77")], 0),
        ("name prefix", vec![wild(NAME, "jansenboer*")], 0),
        ("short name prefix", vec![wild(NAME, "j*")], 0),
        ("name infix", vec![wild(NAME, "*senhoek*")], 0),
        ("two-letter infix", vec![wild(NAME, "*jb*")], 0),
        ("latest", vec![], 0),
        ("offset 500", vec![], 500),
        ("one day", vec![days("20100301", "20100301")], 0),
        ("month and CT", vec![days("20100301", "20100331"), single(MODALITIES_IN_STUDY, "CT")], 0),
        ("CT", vec![single(MODALITIES_IN_STUDY, "CT")], 0),
        ("month and description", vec![days("20100301", "20100331"), wild(DESCRIPTION, "*smit*")], 0),
        ("description", vec![wild(DESCRIPTION, "*smit*")], 0),
    ] {
        let query = Query { filters, offset, ..Query::all(Level::Study, 100) };
        let mut best = f64::MAX;
        let mut rows = 0;
        for _ in 0..3 {
            let start = Instant::now();
            rows = index.search(&query, &RowFilter::All).await.unwrap().matches.len();
            best = best.min(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("{what}: {best:.2} ms, {rows} rows");
        match what {
            "UID" => assert_eq!(rows, 1),
            "latest" | "offset 500" | "CT" => assert_eq!(rows, 100, "{what}"),
            _ => {}
        }
    }
}

/// Studies of four series of one instance.
async fn fill(index: &SqliteIndex, studies: u32) {
    let mut dice = Dice(42);
    let syllables = ["jan", "sen", "hoek", "stra", "vries", "mul", "ler", "bak", "ker", "visser", "smit", "boer"];
    for first in (1..=studies).step_by(100) {
        let batch = (first..first + 100).flat_map(|study| {
            let family: String = (0..3).map(|_| dice.pick(&syllables)).collect();
            let date = format!("20{:02}{:02}{:02}", dice.roll(20), 1 + dice.roll(12), 1 + dice.roll(28));
            let description = format!("{} {}", dice.pick(&["MR", "CT", "XR"]), dice.pick(&syllables));
            let modality = dice.pick(&["CT", "MR", "CR", "US", "CR"]);
            (1..=4).map(move |series| Sample {
                study,
                series,
                name: format!("{family}^{}", study % 97),
                date: date.clone(),
                description: description.clone(),
                modality,
                ..Sample::default()
            })
        });
        index.insert(batch.map(|sample| sample.build()).collect()).await.unwrap();
    }
    index.checkpoint().await.unwrap();
}

const STUDY: Tag = Tag(0x0020, 0x000D);
const NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const DESCRIPTION: Tag = Tag(0x0008, 0x1030);
const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);

fn single(tag: Tag, text: &str) -> Filter {
    Filter { path: vec![tag], matching: Matching::Single(text.to_owned()) }
}

fn wild(tag: Tag, text: &str) -> Filter {
    Filter { path: vec![tag], matching: Matching::Wildcard(text.to_owned()) }
}

fn days(from: &str, to: &str) -> Filter {
    let matching = Matching::Range { from: Some(from.to_owned()), to: Some(to.to_owned()) };
    Filter { path: vec![Tag(0x0008, 0x0020)], matching }
}
