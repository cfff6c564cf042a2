//! Matching of study keys (PS3.4 C.2.2.2): a table of filters and the studies that they find. Each row is also held
//! against matching in memory, so that the database and the memory never disagree.

use kluis_dicom::{
    Tag,
    query::{Filter, Level, Matching, Query},
};
use kluis_policy::RowFilter;

use super::sample::{Sample, query, uid};
use crate::{Index, IndexError, Page, limits, matches};

const DATE: Tag = Tag(0x0008, 0x0020);
const TIME: Tag = Tag(0x0008, 0x0030);
const ACCESSION: Tag = Tag(0x0008, 0x0050);
const MODALITIES: Tag = Tag(0x0008, 0x0061);
const AVAILABILITY: Tag = Tag(0x0008, 0x0056);
const REFERRING: Tag = Tag(0x0008, 0x0090);
const DESCRIPTION: Tag = Tag(0x0008, 0x1030);
const NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const BIRTH: Tag = Tag(0x0010, 0x0030);
const SEX: Tag = Tag(0x0010, 0x0040);
const STUDY: Tag = Tag(0x0020, 0x000D);

fn single(text: &str) -> Matching {
    Matching::Single(text.to_owned())
}

fn wild(text: &str) -> Matching {
    Matching::Wildcard(text.to_owned())
}

fn list(texts: &[&str]) -> Matching {
    Matching::List(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn range(from: &str, to: &str) -> Matching {
    let end = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Matching::Range { from: end(from), to: end(to) }
}

/// Study n has Study Instance UID 1.2.3.n; by date, latest first: 6 5 4 3 2 1, then those without a date, 8 and 7.
fn corpus() -> Vec<Sample> {
    let study = |study, name: &str, patient_id, date: &str, time| Sample {
        study,
        name: name.to_owned(),
        patient_id,
        date: date.to_owned(),
        time,
        ..Sample::default()
    };
    vec![
        Sample {
            modality: "CT",
            accession: "A1",
            birth_date: "19700101",
            description: "CT Knie rechts".to_owned(),
            referring: "Dijk^Anna",
            ..study(1, "JANSEN^PIET", "P1", "20240101", "080000.000000")
        },
        Sample {
            modality: "CT",
            accession: "A2",
            birth_date: "19700102",
            description: "MR KNIE".to_owned(),
            referring: "Dijk^Anna",
            ..study(2, "Jansén^Piet^^", "P2", "20240102", "093000.000000")
        },
        Sample {
            modality: "MR",
            accession: "A10",
            birth_date: "19710101",
            ..study(3, "JANSENS^MARIA", "P10", "20240103", "100000.000000")
        },
        Sample {
            modality: "US",
            referring: "Jong=鈴木^花",
            description: "50% [x]_*y".to_owned(),
            ..study(4, "Yamada^Tarou=山田^太郎=やまだ^たろう", "p1", "20240104", "235959.999999")
        },
        Sample { modality: "PR", ..study(5, "Hoekstra^O'Neil", "P*", "20240204", "000000.000000") },
        Sample { accession: "B1", ..study(6, "JANSEN", "", "20250101", "") },
        study(7, "", "P12", "", "120000.000000"),
        study(8, "de Vries^^^^", "Q?", "", ""),
    ]
}

async fn found(index: &impl Index, query: &Query) -> Vec<u32> {
    let page: Page = index.search(query, &RowFilter::All).await.unwrap();
    page.matches.iter().map(|row| row.study.as_str().rsplit('.').next().unwrap().parse().unwrap()).collect()
}

/// Filters, and the studies that fulfil all of them.
type Case = (Vec<(Tag, Matching)>, &'static [u32]);

/// All filters one by one, then pairs.
fn table() -> Vec<Case> {
    let mut table: Vec<Case> = Vec::new();
    let mut one = |tag: Tag, rows: Vec<(Matching, &'static [u32])>| {
        table.extend(rows.into_iter().map(|(matching, studies)| (vec![(tag, matching)], studies)));
    };
    one(
        STUDY,
        vec![
            (single("1.2.3.4"), &[4]),
            (single("1.2.3.99"), &[]),
            (list(&["1.2.3.4", "1.2.3.1", "1.2.3.99"]), &[4, 1]),
        ],
    );
    one(
        PATIENT_ID,
        vec![
            (Matching::Universal, &[6, 5, 4, 3, 2, 1, 8, 7]),
            (single("P1"), &[1]),
            (single("p1"), &[4]),
            (wild("P1*"), &[3, 1, 7]),
            (wild("P?"), &[5, 2, 1]),
            (wild("*1"), &[4, 1]),
            (wild("*1*"), &[4, 3, 1, 7]),
            (list(&["P1", "P2", "Z"]), &[2, 1]),
            (Matching::Empty, &[6]),
        ],
    );
    one(
        ACCESSION,
        vec![
            (single("A1"), &[1]),
            (wild("A1*"), &[3, 1]),
            (wild("?1"), &[6, 1]),
            (Matching::Empty, &[5, 4, 8, 7]),
            (list(&["A1", "B*"]), &[6, 1]),
        ],
    );
    one(
        MODALITIES,
        vec![
            (single("CT"), &[2, 1]),
            (list(&["MR", "US"]), &[4, 3]),
            (wild("?R"), &[5, 3]),
            (Matching::Empty, &[6, 8, 7]),
            (single("ct"), &[]),
        ],
    );
    one(AVAILABILITY, vec![(single("ONLINE"), &[6, 5, 4, 3, 2, 1, 8, 7]), (single("OFFLINE"), &[])]);
    one(SEX, vec![(single("F"), &[]), (Matching::Empty, &[6, 5, 4, 3, 2, 1, 8, 7])]);
    one(
        DESCRIPTION,
        vec![
            (single("MR KNIE"), &[2]),
            (wild("*Knie*"), &[1]),
            (wild("*KNIE"), &[2]),
            (wild("*I*"), &[2]),
            (wild("*x]_*"), &[4]),
            (wild("50%*"), &[4]),
            (wild("*_**y"), &[4]),
        ],
    );
    table.extend(moments());
    table.extend(names());
    table.extend(pairs());
    table
}

fn moments() -> Vec<Case> {
    let mut table: Vec<Case> = Vec::new();
    let mut one = |tag: Tag, rows: Vec<(Matching, &'static [u32])>| {
        table.extend(rows.into_iter().map(|(matching, studies)| (vec![(tag, matching)], studies)));
    };
    one(
        BIRTH,
        vec![
            (single("19700101"), &[1]),
            (range("19700102", "19991231"), &[3, 2]),
            (range("", "19700101"), &[1]),
            (range("19700102", ""), &[3, 2]),
            (Matching::Empty, &[6, 5, 4, 8, 7]),
        ],
    );
    one(
        DATE,
        vec![
            (single("20240103"), &[3]),
            (range("20240102", "20240104"), &[4, 3, 2]),
            (range("20240104", ""), &[6, 5, 4]),
            (range("", "20240102"), &[2, 1]),
            (Matching::Empty, &[8, 7]),
        ],
    );
    one(
        TIME,
        vec![
            (single("0930"), &[2]),
            (single("23"), &[4]),
            (range("080000.000000", "100000.000000"), &[3, 2, 1]),
            (range("", "080000.000000"), &[5, 1]),
            (range("235959.000000", ""), &[4]),
        ],
    );
    table
}

fn names() -> Vec<Case> {
    let patient: Vec<(Matching, &'static [u32])> = vec![
        (single("jansen^piet"), &[2, 1]),
        (single("JANSÉN^PIET^"), &[2, 1]),
        (single("JANSEN"), &[6]),
        (wild("JANSEN*"), &[6, 3, 2, 1]),
        (wild("JANSEN^*"), &[6, 2, 1]),
        (wild("Jansén^P*"), &[2, 1]),
        (wild("J*"), &[6, 3, 2, 1]),
        (wild("JANSEN?"), &[]),
        (wild("JANSEN?^*"), &[6, 3]),
        (wild("J?NSEN"), &[6]),
        (wild("*oekstra*"), &[5]),
        (wild("*o'n*"), &[5]),
        (wild("*ra*"), &[5]),
        (wild("?oek*"), &[5]),
        (wild("*^PIET"), &[2, 1]),
        (wild("DE *"), &[8]),
        (single("山田^太郎"), &[4]),
        (wild("山*"), &[4]),
        (wild("*太郎"), &[4]),
        (wild("やまだ*"), &[4]),
        (wild("yamada*"), &[4]),
        (wild("yamada*=山田*"), &[4]),
        (wild("=山田*"), &[4]),
        (wild("=yamada*"), &[]),
        (single("yamada^tarou=山田^太郎=やまだ^たろう"), &[4]),
        (Matching::Empty, &[7]),
    ];
    let referring: Vec<(Matching, &'static [u32])> = vec![
        (single("dijk^anna"), &[2, 1]),
        (wild("DI*"), &[2, 1]),
        (single("JONG"), &[4]),
        (wild("鈴木*"), &[4]),
        (wild("*nna"), &[2, 1]),
    ];
    let row = |tag| move |(matching, studies)| (vec![(tag, matching)], studies);
    patient.into_iter().map(row(NAME)).chain(referring.into_iter().map(row(REFERRING))).collect()
}

fn pairs() -> Vec<Case> {
    vec![
        (vec![(DATE, range("20240101", "20240103")), (TIME, range("093001.000000", "100000.000000"))], &[3, 2]),
        (vec![(DATE, range("20240102", "")), (TIME, range("100000.000000", ""))], &[5, 4, 3]),
        (vec![(DATE, range("20240102", "")), (TIME, range("", "100000.000000"))], &[5, 3, 2]),
        (vec![(DATE, range("20240101", "20240131")), (MODALITIES, single("CT"))], &[2, 1]),
        (vec![(DATE, single("20240101")), (MODALITIES, single("MR"))], &[]),
        (vec![(NAME, wild("JANSEN*")), (DATE, range("20240102", "20240131"))], &[3, 2]),
        (vec![(NAME, wild("JANSEN*")), (MODALITIES, single("MR"))], &[3]),
        (vec![(NAME, wild("J*")), (DATE, single("20240101"))], &[1]),
        (vec![(PATIENT_ID, wild("*1*")), (MODALITIES, single("CT"))], &[1]),
        (vec![(DESCRIPTION, wild("*KNIE*")), (DATE, range("20240101", "20241231"))], &[2]),
        (vec![(REFERRING, wild("DIJK*")), (SEX, Matching::Empty), (DATE, range("", "20240101"))], &[1]),
        (vec![(STUDY, list(&["1.2.3.1", "1.2.3.2"])), (NAME, wild("jansén*"))], &[2, 1]),
    ]
}

pub(super) async fn study_keys(index: &impl Index) {
    index.insert(corpus().iter().map(Sample::build).collect()).await.unwrap();
    let everything = index.search(&query(Level::Study, &[]), &RowFilter::All).await.unwrap().matches;
    assert_eq!(everything.len(), 8);
    for (filters, expected) in table() {
        let query = query(Level::Study, &filters);
        let case: Vec<_> = filters.iter().map(|(tag, matching)| (tag, text(matching))).collect();
        assert_eq!(found(index, &query).await, expected, "{case:?}");
        let in_memory: Vec<_> =
            everything.iter().filter(|row| matches(&query, &row.attributes)).map(|row| row.study.clone()).collect();
        let expected: Vec<_> = expected.iter().map(|study| uid(&[*study])).collect();
        assert_eq!(in_memory, expected, "in memory: {case:?}");
    }
    let mut apart =
        query(Level::Study, &[(DATE, range("20240101", "20240103")), (TIME, range("093001.000000", "100000.000000"))]);
    apart.combines_date_time = false;
    assert_eq!(found(index, &apart).await, [3], "a date and a time that are not combined");
    let mut unsupported = query(Level::Study, &[(Tag(0x0008, 0x0060), single("CT")), (NAME, single("JANSEN"))]);
    unsupported.filters.push(Filter { path: vec![Tag(0x0040, 0x0275), Tag(0x0040, 0x0009)], matching: single("S") });
    assert_eq!(found(index, &unsupported).await, [6], "keys of lower levels are passed over");
}

/// What the case looks for; the samples are nobody.
fn text(matching: &Matching) -> String {
    match matching {
        Matching::Single(text) | Matching::Wildcard(text) => text.clone(),
        Matching::List(list) => list.join("|"),
        Matching::Range { from, to } => format!("{from:?}-{to:?}"),
        Matching::Universal | Matching::Empty => format!("{matching:?}"),
    }
}

pub(super) async fn fuzzy_names(index: &impl Index) {
    index.insert(corpus().iter().map(Sample::build).collect()).await.unwrap();
    for (name, expected) in [
        (single("piet jans"), &[2, 1][..]),
        (single("ma jansens"), &[3]),
        (single("neil"), &[5]),
        (single("太"), &[4]),
        (wild("JANSEN*"), &[6, 3, 2, 1]),
        (single("vries de"), &[8]),
        (single("piet maria"), &[]),
    ] {
        let query = Query { is_fuzzy: true, ..query(Level::Study, &[(NAME, name.clone())]) };
        assert_eq!(found(index, &query).await, expected, "{}", text(&name));
    }
}

pub(super) async fn limits(index: &impl Index) {
    index.insert(corpus().iter().map(Sample::build).collect()).await.unwrap();
    let long = "x".repeat(limits::MAX_VALUE_BYTES + 1);
    let many = vec![String::from("1.2"); limits::MAX_VALUES + 1];
    let filter = |matching| Filter { path: vec![NAME], matching };
    let all = Query::all(Level::Study, 10);
    for (query, what) in [
        (Query { offset: limits::MAX_OFFSET + 1, ..all.clone() }, "offset"),
        (Query { filters: vec![filter(Matching::Empty); limits::MAX_FILTERS + 1], ..all.clone() }, "filters"),
        (Query { filters: vec![filter(Matching::Single(long))], ..all.clone() }, "length of a value"),
        (Query { filters: vec![filter(Matching::List(many))], ..all.clone() }, "values in a list"),
    ] {
        let outcome = index.search(&query, &RowFilter::All).await;
        assert!(matches!(outcome, Err(IndexError::QueryLimit(found)) if found == what), "{what}");
    }
    let most = vec!["9.9".to_owned(); limits::MAX_VALUES - 1].into_iter().chain(["1.2.3.1".to_owned()]).collect();
    let query = query(Level::Study, &[(STUDY, Matching::List(most))]);
    assert_eq!(found(index, &query).await, [1], "as many values as the limit says");
}
