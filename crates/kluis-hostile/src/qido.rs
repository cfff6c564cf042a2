//! Searches (PS3.18 8.3.4, PS3.4 C.2.2.2): any query string is a bounded query or refused by name, and matching it against
//! any stored text comes to an end with the answer of a plainer algorithm.

use kluis_dicom::{
    Tag,
    matching::{self, Manner},
    query::{Level, Matching, Query},
};
use kluis_dicomweb::{decode, encode_component, limits, qido};
use serde_json::{Map, Value, json};

use crate::input::Input;

const PATIENT_ID: Tag = Tag(0x0010, 0x0020);

/// `level (1) | query string line | stored text`
pub fn qido(data: &[u8]) {
    let mut input = Input(data);
    let level = match input.byte() % 3 {
        0 => Level::Study,
        1 => Level::Series,
        _ => Level::Instance,
    };
    let raw = String::from_utf8_lossy(input.line()).into_owned();
    let stored = String::from_utf8_lossy(input.0).into_owned();
    let parsed = qido::parse(level, None, None, &raw);
    if let Some(encoded) = encoded_again(&raw) {
        let again = qido::parse(level, None, None, &encoded);
        match (&parsed, &again) {
            (Ok(one), Ok(other)) => assert_eq!((&one.query, &one.accept), (&other.query, &other.accept)),
            // encoded afresh it may be longer
            (_, Err(qido::QidoError::TooLong)) => {}
            (one, other) => {
                assert_eq!(one.as_ref().err(), other.as_ref().err(), "encoded otherwise it is another query")
            }
        }
    }
    let Ok(search) = parsed else { return };
    bounded(&search.query);
    matched(&search.query, &stored);
}

fn bounded(query: &Query) {
    assert!(query.filters.len() <= limits::QUERY_FILTERS);
    assert!(query.include.len() <= limits::QUERY_INCLUDES + limits::QUERY_FILTERS);
    assert!(query.limit <= limits::RESULTS && query.offset <= limits::OFFSET);
    for filter in &query.filters {
        assert!(!filter.path.is_empty() && filter.path.len() <= limits::QUERY_PATH_DEPTH);
        let values = match &filter.matching {
            Matching::Universal | Matching::Empty => Vec::new(),
            Matching::Single(value) | Matching::Wildcard(value) => vec![value],
            Matching::List(values) => values.iter().collect(),
            Matching::Range { from, to } => {
                assert!(from.is_some() || to.is_some(), "a range without an end");
                from.iter().chain(to).collect()
            }
        };
        assert!(values.len() <= 1000);
        // a list of 1,000 UIDs is the longest
        assert!(values.iter().all(|value| value.chars().count() <= 1024 && !value.contains('\0')));
    }
}

/// Attributes of one row, all of them holding the same text.
fn row(stored: &str) -> Map<String, Value> {
    let number = stored.trim().parse::<i64>().map_or_else(|_| json!(stored), |number| json!(number));
    let row = json!({
        "00080020": {"vr": "DA", "Value": [stored]},
        "00080030": {"vr": "TM", "Value": [stored]},
        "0008002A": {"vr": "DT", "Value": [stored]},
        "00080050": {"vr": "SH", "Value": [stored]},
        "00080060": {"vr": "CS", "Value": [stored, "CT"]},
        "00080061": {"vr": "CS"},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": stored, "Ideographic": stored}]},
        "00100020": {"vr": "LO", "Value": [stored]},
        "00200010": {"vr": "SH", "Value": [stored]},
        "00200013": {"vr": "IS", "Value": [number]},
        "00280030": {"vr": "DS", "Value": [number]},
        "00400275": {"vr": "SQ", "Value": [{}, {"00400009": {"vr": "SH", "Value": [stored]}}]},
    });
    row.as_object().cloned().unwrap_or_default()
}

fn matched(query: &Query, stored: &str) {
    let row = row(stored);
    for (is_fuzzy, combines_date_time) in [(false, true), (true, true), (query.is_fuzzy, query.combines_date_time)] {
        let manner = Manner { is_fuzzy, combines_date_time };
        let all = matching::matches(&query.filters, &row, manner);
        assert_eq!(all, matching::matches(&query.filters, &row, manner));
        if !all || combines_date_time {
            continue;
        }
        for filter in &query.filters {
            assert!(matching::matches(std::slice::from_ref(filter), &row, manner), "all match, and one does not");
        }
    }
    for filter in &query.filters {
        if let (Matching::Wildcard(pattern), [PATIENT_ID]) = (&filter.matching, filter.path.as_slice()) {
            let text = stored.trim_end_matches([' ', '\0']);
            let expected = !text.is_empty() && plain_wildcard(pattern, text);
            let found = matching::matches(std::slice::from_ref(filter), &row, Manner::default());
            assert_eq!(found, expected, "wild cards match otherwise");
        }
    }
}

/// The table of all prefixes against all prefixes: slower, and plain.
fn plain_wildcard(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut reached = vec![false; text.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for wanted in pattern.chars() {
        let before = std::mem::replace(&mut reached, vec![false; text.len() + 1]);
        let mut so_far = false;
        for (place, to) in reached.iter_mut().enumerate() {
            so_far |= before.get(place).copied().unwrap_or_default();
            let from = place.checked_sub(1);
            let came = from.and_then(|from| before.get(from)).copied().unwrap_or_default();
            let found = from.and_then(|from| text.get(from));
            *to = if wanted == '*' { so_far } else { came && (wanted == '?' || found == Some(&wanted)) };
        }
    }
    reached.last().copied().unwrap_or_default()
}

/// The same parameters with every character encoded; `None` where one cannot be decoded.
fn encoded_again(raw: &str) -> Option<String> {
    let pieces = raw.split('&').map(|piece| {
        let Some((name, value)) = piece.split_once('=') else { return Some(encode_component(&decode(piece, true)?)) };
        Some(format!("{}={}", encode_component(&decode(name, true)?), encode_component(&decode(value, true)?)))
    });
    Some(pieces.collect::<Option<Vec<_>>>()?.join("&"))
}
