use kluis_dicom::query::{Level, Matching};
use proptest::prelude::*;

use super::*;

const STUDY_UID: Tag = Tag(0x0020, 0x000D);
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);

fn search(raw: &str) -> Result<Search, QidoError> {
    parse(Level::Study, None, None, raw)
}

fn only_filter(raw: &str) -> (Vec<Tag>, Matching) {
    let mut filters = search(raw).unwrap_or_else(|error| panic!("{raw}: {error}")).query.filters;
    assert_eq!(filters.len(), 1, "{raw}");
    let filter = filters.remove(0);
    (filter.path, filter.matching)
}

fn range(from: Option<&str>, to: Option<&str>) -> Matching {
    Matching::Range { from: from.map(str::to_owned), to: to.map(str::to_owned) }
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn g01_g04_g07_g08_values_and_names() {
    for (raw, tag, matching) in [
        ("PatientID=4711", Tag(0x0010, 0x0020), Matching::Single("4711".into())),
        ("00100020=4711", Tag(0x0010, 0x0020), Matching::Single("4711".into())),
        ("PatientName=*Jansen%5EP*", PATIENT_NAME, Matching::Wildcard("*Jansen^P*".into())),
        ("PatientName=M%C3%BCller", PATIENT_NAME, Matching::Single("Müller".into())),
        ("PatientName=van+der+Berg", PATIENT_NAME, Matching::Single("van der Berg".into())),
        ("StudyDescription=a%26b%3Dc%23%5B%5D%2C", Tag(0x0008, 0x1030), Matching::Single("a&b=c#[],".into())),
        ("0020000d=1.2.3", STUDY_UID, Matching::Single("1.2.3".into())),
        ("ModalitiesInStudy=CT", Tag(0x0008, 0x0061), Matching::Single("CT".into())),
        ("ModalitiesInStudy=CT%5CMR", Tag(0x0008, 0x0061), Matching::List(strings(&["CT", "MR"]))),
        ("InstanceNumber=7", Tag(0x0020, 0x0013), Matching::Single("7".into())),
    ] {
        assert_eq!(only_filter(raw), (vec![tag], matching), "{raw}");
    }
}

#[test]
fn g10_g11_uid_lists_with_plain_and_encoded_comma() {
    for raw in ["StudyInstanceUID=1.2,3.4", "StudyInstanceUID=1.2%2C3.4", "StudyInstanceUID=1.2%5C3.4"] {
        assert_eq!(only_filter(raw), (vec![STUDY_UID], Matching::List(strings(&["1.2", "3.4"]))), "{raw}");
    }
}

#[test]
fn g09_g33_dates_times_and_ranges() {
    for (raw, expected) in [
        ("StudyDate=20260131", Matching::Single("20260131".into())),
        ("StudyDate=20260101-20260131", range(Some("20260101"), Some("20260131"))),
        ("StudyDate=-20260131", range(None, Some("20260131"))),
        ("StudyDate=20260101-", range(Some("20260101"), None)),
        ("StudyTime=1030-1045", range(Some("103000.000000"), Some("104559.999999"))),
    ] {
        assert_eq!(only_filter(raw).1, expected, "{raw}");
    }
    assert!(search("StudyDate=20260101-&StudyTime=10-").unwrap().query.combines_date_time);
}

#[test]
fn g20_sequence_paths() {
    let expected = vec![Tag(0x0040, 0x0275), Tag(0x0040, 0x0009)];
    for raw in ["RequestAttributesSequence.ScheduledProcedureStepID=a", "00400275.00400009=a"] {
        assert_eq!(only_filter(raw).0, expected, "{raw}");
    }
}

#[test]
fn g17_g18_g19_include_fields() {
    let query = search("includefield=StudyDescription,00080060&includefield=00081030%2C00100030").unwrap().query;
    assert_eq!(query.include, [Tag(0x0008, 0x1030), Tag(0x0008, 0x0060), Tag(0x0010, 0x0030)]);
    assert!(!query.include_all);
    assert!(search("includefield=all").unwrap().query.include_all);
}

#[test]
fn g12_g16_g28_g31_parameters() {
    let found = search("limit=101&offset=200&fuzzymatching=false").unwrap();
    assert_eq!((found.query.limit, found.query.offset, found.warnings), (101, 200, vec![]));
    assert_eq!(search("").unwrap().query.limit, limits::RESULTS);
    assert_eq!(search("limit=0").unwrap().query.limit, 0);
    let found = search("limit=5000&fuzzymatching=true").unwrap();
    assert_eq!(found.query.limit, limits::RESULTS);
    assert_eq!(found.warnings, [Warning::Limit]);
    let list = Matching::List(strings(&["1", "2"]));
    assert_eq!(only_filter("multiplevaluematching=true&PatientID=1%5C2").1, list);
    assert_eq!(only_filter("emptyvaluematching=true&PatientID=%22%22").1, Matching::Empty);
    assert_eq!(only_filter("PatientID=%22%22").1, Matching::Single("\"\"".into()));
    assert_eq!(search("accept=application%2Fdicom%2Bjson").unwrap().accept.as_deref(), Some("application/dicom+json"));
}

#[test]
fn empty_and_star_match_all_and_ask_for_the_attribute() {
    for raw in ["PatientName=", "PatientName", "PatientName=*", "PatientName=**"] {
        let query = search(raw).unwrap().query;
        assert!(query.filters.is_empty(), "{raw}");
        assert_eq!(query.include, [PATIENT_NAME], "{raw}");
    }
}

#[test]
fn g05_g06_g15_g32_wrong_queries_are_named() {
    let many_filters: String =
        (1..=65).map(|number| format!("RequestAttributesSequence.0008{number:04X}=1&")).collect();
    for (raw, error) in [
        ("Nonsense=1", QidoError::UnknownAttribute { position: 1 }),
        ("PatientID=1&00020010=1", QidoError::UnknownAttribute { position: 2 }),
        ("00100000=1", QidoError::UnknownAttribute { position: 1 }),
        ("00091001=1", QidoError::PrivateAttribute { position: 1 }),
        ("PatientID=1&00100020=2", QidoError::Repeated { name: "PatientID" }),
        ("limit=1&limit=1", QidoError::Repeated { name: "limit" }),
        ("limit=-1", QidoError::Number { name: "limit", maximum: u32::MAX }),
        ("limit=+1", QidoError::Number { name: "limit", maximum: u32::MAX }),
        ("limit=ten", QidoError::Number { name: "limit", maximum: u32::MAX }),
        ("limit=", QidoError::Number { name: "limit", maximum: u32::MAX }),
        ("offset=1000001", QidoError::Number { name: "offset", maximum: limits::OFFSET }),
        ("fuzzymatching=yes", QidoError::Flag { name: "fuzzymatching" }),
        ("StudyInstanceUID=1.2/3", QidoError::Value { position: 1, source: QueryError::Uid(STUDY_UID) }),
        ("StudyDate=20261301", QidoError::Value { position: 1, source: QueryError::Date(Tag(0x0008, 0x0020)) }),
        ("StudyTime=2530", QidoError::Value { position: 1, source: QueryError::Time(Tag(0x0008, 0x0030)) }),
        ("InstanceNumber=a", QidoError::Value { position: 1, source: QueryError::Number(Tag(0x0020, 0x0013)) }),
        ("PixelData=1", QidoError::Value { position: 1, source: QueryError::NotMatchable(Tag(0x7FE0, 0x0010)) }),
        ("PatientID.StudyDate=1", QidoError::Path { position: 1 }),
        ("PatientID=%zz", QidoError::Encoding { position: 1 }),
        ("includefield=Nonsense", QidoError::UnknownAttribute { position: 1 }),
    ] {
        assert_eq!(search(raw).map(|found| found.query.filters.len()), Err(error.clone()), "{raw}");
    }
    assert!(search(&many_filters).is_err());
    let long = format!("PatientID={}", "1".repeat(limits::QUERY_BYTES));
    assert_eq!(search(&long).err(), Some(QidoError::TooLong));
    let uids = format!("StudyInstanceUID={}1", "1.2,".repeat(1001));
    assert_eq!(search(&uids).err(), Some(QidoError::Value { position: 1, source: QueryError::TooMany(STUDY_UID) }));
}

#[test]
fn errors_never_repeat_what_the_client_wrote() {
    for raw in ["JANSEN^PIET=1", "StudyDate=JANSEN", "PatientID=JANSEN%", "limit=JANSEN", "includefield=JANSEN"] {
        let error = search(raw).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("JANSEN"), "{raw}");
    }
}

proptest! {
    #[test]
    fn any_text_gives_an_answer(raw in "\\PC{0,200}") {
        let _ = search(&raw);
    }

    #[test]
    fn any_value_of_any_kind_gives_an_answer(value in "[-0-9.+*?\\\\,\" ]{0,30}") {
        let encoded = crate::encode_component(&value);
        for name in ["StudyDate", "StudyTime", "AcquisitionDateTime", "StudyInstanceUID", "PatientName", "Modality"] {
            let _ = search(&format!("{name}={encoded}"));
        }
    }
}
