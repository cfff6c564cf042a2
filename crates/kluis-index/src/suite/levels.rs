//! Order, pages, computed attributes; series and instances.

use kluis_dicom::{
    Tag,
    query::{Filter, Level, Matching, Query},
};
use kluis_policy::RowFilter;
use serde_json::json;

use super::sample::{Sample, query, uid};
use crate::{Index, Location, ManifestPointer, Row, SealCandidate};

const MODALITY: Tag = Tag(0x0008, 0x0060);
const STATION: Tag = Tag(0x0008, 0x1010);
const SOP_INSTANCE: Tag = Tag(0x0008, 0x0018);
const NUMBER: Tag = Tag(0x0020, 0x0013);
const SERIES: Tag = Tag(0x0020, 0x000E);
const NAME: Tag = Tag(0x0010, 0x0010);

fn single(text: &str) -> Matching {
    Matching::Single(text.to_owned())
}

/// The lowest UID of each row, without `1.2.3.`.
fn names(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            let lowest = row.instance.as_ref().or(row.series.as_ref()).unwrap_or(&row.study);
            lowest.as_str().trim_start_matches("1.2.3.").to_owned()
        })
        .collect()
}

async fn seal_all(index: &impl Index) {
    for candidate in index.series_to_seal(super::sample::epoch() + time::Duration::days(1), 100).await.unwrap() {
        seal(index, &candidate).await;
    }
}

async fn seal(index: &impl Index, candidate: &SealCandidate) {
    let rows = index.instances(&candidate.study, Some(&candidate.series), None, &RowFilter::All).await.unwrap();
    let keys: Vec<i64> = rows.iter().map(|row| row.row_key).collect();
    let location = Location { pack: 8, offset: candidate.series_key.unsigned_abs() * 100, length: 50 };
    let pointer = ManifestPointer { location, count: rows.len() as u64, data_length: 5 };
    assert!(index.seal(candidate, &pointer, &keys).await.unwrap());
}

pub(super) async fn order_and_pages(index: &impl Index) {
    // dates: 1 and 4 the same, 2 later, 3 none
    let dates = ["20240101", "20240105", "", "20240101"];
    let studies = dates.into_iter().zip(1..).map(|(date, study)| Sample {
        study,
        date: date.to_owned(),
        name: "A".to_owned(),
        modality: "CT",
        ..Sample::default()
    });
    index.insert(studies.map(|sample| sample.build()).collect()).await.unwrap();
    let everything = ["2", "4", "1", "3"];
    for filters in [
        vec![],
        vec![(NAME, single("A"))],
        vec![(Tag(0x0008, 0x0061), single("CT"))],
        vec![(Tag(0x0010, 0x0040), Matching::Empty)],
    ] {
        for offset in 0..6 {
            for limit in 0..6 {
                let query = Query { offset, limit, ..query(Level::Study, &filters) };
                let page = index.search(&query, &RowFilter::All).await.unwrap();
                let rest = &everything[everything.len().min(offset as usize)..];
                let expected = &rest[..rest.len().min(limit as usize)];
                assert_eq!(names(&page.matches), expected, "{filters:?} {offset} {limit}");
                assert_eq!(page.has_more, rest.len() > limit as usize, "{filters:?} {offset} {limit}");
            }
        }
    }
}

pub(super) async fn computed_attributes(index: &impl Index) {
    let sample = |series, instance, modality| Sample { series, instance, modality, ..Sample::default() };
    let first = [sample(1, 1, "PR"), sample(1, 2, "PR"), sample(2, 1, "CT"), sample(3, 1, "CT")];
    index.insert(first.iter().map(Sample::build).collect()).await.unwrap();
    index.insert(vec![Sample { study: 2, ..Sample::default() }.build()].into()).await.unwrap();
    for is_sealed in [false, true] {
        if is_sealed {
            seal_all(index).await;
        }
        let page = index.search(&query(Level::Study, &[]), &RowFilter::All).await.unwrap();
        let [second, first] = &page.matches[..] else { panic!("two studies") };
        let attributes = &first.attributes;
        assert_eq!(attributes["00080061"], json!({"vr": "CS", "Value": ["CT", "PR"]}), "each modality once");
        assert_eq!(attributes["00201206"]["Value"], json!([3]));
        assert_eq!(attributes["00201208"]["Value"], json!([4]));
        assert_eq!(attributes["00080056"]["Value"], json!(["ONLINE"]));
        assert_eq!(attributes["0020000D"]["Value"], json!(["1.2.3.1"]));
        assert!(!second.attributes.contains_key("00080061"), "no modality: no attribute, rather than an empty one");

        let query = Query { study: Some(uid(&[1])), ..query(Level::Series, &[]) };
        let page = index.search(&query, &RowFilter::All).await.unwrap();
        assert_eq!(names(&page.matches), ["1.1", "1.2", "1.3"]);
        assert_eq!(page.matches[0].attributes["00201209"]["Value"], json!([2]));
        assert_eq!(page.matches[0].attributes["00201208"]["Value"], json!([4]), "of the study, too");
        assert_eq!(page.matches[0].attributes["0020000E"]["Value"], json!(["1.2.3.1.1"]));
    }
    // a late instance counts beside the sealed ones
    let late = sample(2, 2, "CT").build();
    index.insert(vec![late].into()).await.unwrap();
    let query = Query { study: Some(uid(&[1])), ..query(Level::Series, &[]) };
    let page = index.search(&query, &RowFilter::All).await.unwrap();
    let counts: Vec<_> =
        page.matches.iter().map(|row| row.attributes["00201209"]["Value"][0].as_u64().unwrap()).collect();
    assert_eq!(counts, [2, 2, 1]);
}

fn tree() -> Vec<Sample> {
    let sample = |study, series, instance| Sample {
        study,
        series,
        instance,
        date: format!("2024010{study}"),
        name: format!("NAME{study}"),
        modality: if series == 1 { "CT" } else { "SR" },
        series_number: [None, Some(5), Some(-1), None][series as usize],
        station: if study == 2 { "EAST" } else { "WEST" },
        steps: if series == 2 { vec!["S1", "S2"] } else { vec![] },
        number: if instance == 3 { None } else { Some(10 - i64::from(instance)) },
        ..Sample::default()
    };
    let mut samples = Vec::new();
    for study in 1..=2 {
        for series in [3, 1, 2] {
            samples.extend((1..=3).rev().map(|instance| sample(study, series, instance)));
        }
    }
    samples
}

pub(super) async fn series_and_instances(index: &impl Index) {
    index.insert(tree().iter().map(Sample::build).collect()).await.unwrap();
    let series = |filters: &[(Tag, Matching)]| query(Level::Series, filters);
    let instances = |filters: &[(Tag, Matching)]| query(Level::Instance, filters);
    let step = Filter { path: vec![Tag(0x0040, 0x0275), Tag(0x0040, 0x0009)], matching: single("S2") };
    let table: Vec<(Query, &[&str])> = vec![
        (series(&[]), &["2.2", "2.1", "2.3", "1.2", "1.1", "1.3"]),
        (Query { study: Some(uid(&[1])), ..series(&[]) }, &["1.2", "1.1", "1.3"]),
        (Query { study: Some(uid(&[9])), ..series(&[]) }, &[]),
        (Query { offset: 2, limit: 3, ..series(&[]) }, &["2.3", "1.2", "1.1"]),
        (series(&[(MODALITY, single("CT"))]), &["2.1", "1.1"]),
        (series(&[(MODALITY, single("SR")), (STATION, single("WEST"))]), &["1.2", "1.3"]),
        (series(&[(NAME, Matching::Wildcard("name2*".to_owned()))]), &["2.2", "2.1", "2.3"]),
        (series(&[(SERIES, Matching::List(vec!["1.2.3.1.3".into(), "1.2.3.2.1".into()]))]), &["2.1", "1.3"]),
        (Query { filters: vec![step], ..series(&[]) }, &["2.2", "1.2"]),
        (Query { series: Some(uid(&[1, 1])), ..instances(&[]) }, &["1.1.2", "1.1.1", "1.1.3"]),
        (Query { study: Some(uid(&[2])), series: Some(uid(&[1, 1])), ..instances(&[]) }, &[]),
        (Query { study: Some(uid(&[2])), limit: 4, ..instances(&[]) }, &["2.2.2", "2.2.1", "2.2.3", "2.1.2"]),
        (Query { offset: 7, limit: 2, ..instances(&[]) }, &["2.3.1", "2.3.3"]),
        (instances(&[(NUMBER, single("9")), (MODALITY, single("CT"))]), &["2.1.1", "1.1.1"]),
        (instances(&[(NUMBER, Matching::Empty), (STATION, single("EAST"))]), &["2.2.3", "2.1.3", "2.3.3"]),
        (
            instances(&[(SOP_INSTANCE, Matching::List(vec!["1.2.3.1.3.1".into(), "1.2.3.2.1.2".into(), "9".into()]))]),
            &["2.1.2", "1.3.1"],
        ),
        (instances(&[(SOP_INSTANCE, single("1.2.3.1.3.1")), (SERIES, single("1.2.3.1.1"))]), &[]),
    ];
    for (query, expected) in table {
        let page = index.search(&query, &RowFilter::All).await.unwrap();
        assert_eq!(names(&page.matches), expected, "{query:?}");
    }
    let page = index.search(&instances(&[(NUMBER, single("9"))]), &RowFilter::All).await.unwrap();
    assert_eq!(names(&page.matches).len(), 6);
    let attributes = &page.matches[0].attributes;
    assert_eq!(attributes["00100010"]["Value"][0]["Alphabetic"], "NAME2", "an instance tells its study's attributes");
    assert_eq!(attributes["00080060"]["Value"][0], "SR", "and its series'");
    assert_eq!(attributes["00200013"]["Value"][0], 9);
    assert_eq!(attributes["00080018"]["Value"][0], "1.2.3.2.2.1");
    assert_eq!(attributes["00083002"]["Value"][0], "1.2.840.10008.1.2.1");
}

pub(super) async fn series_for_instances(index: &impl Index) {
    index.insert(tree().iter().map(Sample::build).collect()).await.unwrap();
    let candidates = index.series_to_seal(super::sample::epoch() + time::Duration::days(1), 100).await.unwrap();
    for candidate in candidates.iter().filter(|candidate| candidate.study == uid(&[1])) {
        seal(index, candidate).await;
    }
    let all = ["2.2", "2.1", "2.3", "1.2", "1.1", "1.3"];
    for limit in [1, 2, 4, 6, 7] {
        let mut series = Vec::new();
        let mut after = None;
        for _ in 0..8 {
            let page = index.search_series(&query(Level::Instance, &[]), &RowFilter::All, after, limit).await.unwrap();
            assert!(page.series.len() <= limit as usize);
            series.extend(page.series);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let uids: Vec<_> = series.iter().map(|series| series.series.as_str().trim_start_matches("1.2.3.")).collect();
        assert_eq!(uids, all, "pages of {limit}");
        assert_eq!(series.iter().map(|series| series.hot_count).collect::<Vec<_>>(), [3, 3, 3, 0, 0, 0]);
        assert!(series[..3].iter().all(|series| series.manifest.is_none()));
        assert!(series[3..].iter().all(|series| series.manifest.is_some_and(|manifest| manifest.count == 3)));
        assert_eq!(series[3].attributes["00100010"]["Value"][0]["Alphabetic"], "NAME1");
    }
    for (filters, expected) in [
        (vec![(MODALITY, single("CT"))], &["2.1", "1.1"][..]),
        (vec![(NUMBER, single("9"))], &all),
        // a manifest is known by the instances in it, and no other is read
        (vec![(SOP_INSTANCE, single("1.2.3.2.3.1"))], &["2.3"]),
        (vec![(SOP_INSTANCE, single("1.2.3.1.3.1"))], &["1.3"]),
        (vec![(SOP_INSTANCE, single("1.2.3.1.3.77"))], &[]),
        (vec![(SOP_INSTANCE, Matching::List(vec!["1.2.3.1.3.1".into(), "1.2.3.2.3.1".into()]))], &["2.3", "1.3"]),
    ] {
        let page = index.search_series(&query(Level::Instance, &filters), &RowFilter::All, None, 100).await.unwrap();
        let uids: Vec<_> =
            page.series.iter().map(|series| series.series.as_str().trim_start_matches("1.2.3.")).collect();
        assert_eq!(uids, expected, "{filters:?}");
    }
}
