//! Which matching each kind of key asks for, and what is said of wrong ones.

use super::*;

const TAG: Tag = Tag(0x0008, 0x0020);

fn single(text: &str) -> Result<Matching, QueryError> {
    Ok(Matching::Single(text.to_owned()))
}

fn wildcard(text: &str) -> Result<Matching, QueryError> {
    Ok(Matching::Wildcard(text.to_owned()))
}

fn list(texts: &[&str]) -> Result<Matching, QueryError> {
    Ok(Matching::List(texts.iter().map(|text| (*text).to_owned()).collect()))
}

fn range(from: &str, to: &str) -> Result<Matching, QueryError> {
    let end = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(Matching::Range { from: end(from), to: end(to) })
}

/// `Matching` keeps its values out of `Debug`; the tests compare and show the key instead.
fn check(cases: Vec<(VR, &str, Result<Matching, QueryError>)>, agreed: Agreed) {
    for (vr, text, expected) in cases {
        assert!(Matching::from_text(TAG, vr, text, agreed) == expected, "{vr} {text:?}, expected {expected:?}");
    }
}

#[test]
fn matching_by_vr() {
    let too_long = "x".repeat(1025);
    let uids = vec!["1.2"; 1001].join("\\");
    let cases = vec![
        (VR::LO, "", Ok(Matching::Universal)),
        (VR::LO, "  \0", Ok(Matching::Universal)),
        (VR::PN, "**", Ok(Matching::Universal)),
        (VR::PN, "JANSEN^P* ", wildcard("JANSEN^P*")),
        (VR::PN, "JANSEN^PIET", single("JANSEN^PIET")),
        (VR::CS, " MR ", single("MR")),
        (VR::LO, "a\\b", single("a\\b")),
        (VR::LO, "\"\"", single("\"\"")),
        (VR::LT, " a\r\nb ", single(" a\r\nb")),
        (VR::LO, "a\nb", Err(QueryError::Control(TAG))),
        (VR::LO, &too_long, Err(QueryError::TooLong(TAG))),
        (VR::UI, "1.2.3\0", single("1.2.3")),
        (VR::UI, "1.2\\1.3", list(&["1.2", "1.3"])),
        (VR::UI, "1.2,1.3", list(&["1.2", "1.3"])),
        (VR::UI, "1.2*", Err(QueryError::Uid(TAG))),
        (VR::UI, "1.2\\", Err(QueryError::Uid(TAG))),
        (VR::UI, &uids, Err(QueryError::TooMany(TAG))),
        (VR::DA, "20240229", single("20240229")),
        (VR::DA, "2024.02.29", single("20240229")),
        (VR::DA, "20240229-20240301", range("20240229", "20240301")),
        (VR::DA, "20240229-", range("20240229", "")),
        (VR::DA, "-20240229", range("", "20240229")),
        (VR::DA, "202402*", Err(QueryError::Date(TAG))),
        (VR::DA, "20230229", Err(QueryError::Date(TAG))),
        (VR::DA, "-", Err(QueryError::Date(TAG))),
        (VR::DA, "2024-02-29", Err(QueryError::Date(TAG))),
        (VR::TM, "10:30", single("1030")),
        (VR::TM, "10-1130", range("100000.000000", "113059.999999")),
        (VR::TM, "1030-", range("103000.000000", "")),
        (VR::TM, "25", Err(QueryError::Time(TAG))),
        (VR::DT, "20240229+0100", single("20240229+0100")),
        (VR::DT, "2023-2024", range("20230101000000.000000", "20241231235959.999999")),
        (VR::DT, "20240229-0500-", range("20240229000000.000000-0500", "")),
        (VR::DT, "x", Err(QueryError::DateTime(TAG))),
        (VR::IS, " +07", single("7")),
        (VR::IS, "7*", Err(QueryError::Number(TAG))),
        (VR::US, "512", single("512")),
        (VR::DS, "1.50", single("1.50")),
        (VR::DS, "NaN", Err(QueryError::Number(TAG))),
        (VR::AT, "0010001a", single("0010001A")),
        (VR::SQ, "x", Err(QueryError::NotMatchable(TAG))),
        (VR::SQ, "", Ok(Matching::Universal)),
        (VR::OB, "x", Err(QueryError::NotMatchable(TAG))),
    ];
    check(cases, Agreed::default());
}

#[test]
fn matching_as_agreed() {
    let cases = vec![
        (VR::LO, "\"\"", Ok(Matching::Empty)),
        (VR::DA, "\"\"", Ok(Matching::Empty)),
        (VR::CS, "MR\\CT", list(&["MR", "CT"])),
        (VR::PN, "A*\\B", list(&["A*", "B"])),
        (VR::LT, "a\\b", single("a\\b")),
        (VR::IS, "1\\02", list(&["1", "2"])),
        (VR::IS, "1\\x", Err(QueryError::Number(TAG))),
    ];
    check(cases, Agreed { empty_value: true, multiple_value: true });
}

#[test]
fn path_table() {
    for (text, expected) in [
        ("00100010", Ok(vec![Tag(0x0010, 0x0010)])),
        ("PatientName", Ok(vec![Tag(0x0010, 0x0010)])),
        ("0008103e", Ok(vec![Tag(0x0008, 0x103E)])),
        ("00400275.00400009", Ok(vec![Tag(0x0040, 0x0275), Tag(0x0040, 0x0009)])),
        ("RequestAttributesSequence.ScheduledProcedureStepID", Ok(vec![Tag(0x0040, 0x0275), Tag(0x0040, 0x0009)])),
        ("00091001", Ok(vec![Tag(0x0009, 0x1001)])),
        ("PatientName.PatientID", Err(QueryError::NotSequence(Tag(0x0010, 0x0010)))),
        ("patientname", Err(QueryError::Attribute)),
        ("0010001", Err(QueryError::Attribute)),
        ("+0100010", Err(QueryError::Attribute)),
        ("", Err(QueryError::Attribute)),
        ("00400275.", Err(QueryError::Attribute)),
        (
            "00400275.00400275.00400275.00400275.00400275.00400275.00400275.00400275.00400009",
            Err(QueryError::Attribute),
        ),
    ] {
        assert_eq!(parse_path(text), expected, "{text:?}");
    }
}

#[test]
fn debug_and_errors_show_no_value() {
    let matching = Matching::from_text(TAG, VR::PN, "JANSEN*", Agreed::default()).unwrap();
    let query = Query { filters: vec![Filter { path: vec![TAG], matching }], ..Query::all(Level::Study, 10) };
    assert!(!format!("{query:?}").contains("JANSEN"));
    let error = Matching::from_text(TAG, VR::DA, "JANSEN", Agreed::default()).unwrap_err();
    assert_eq!(error.to_string(), "the value for (0008,0020) is neither a date YYYYMMDD nor a range of dates");
}
