//! Values of DICOM attributes as people read them. The templates escape; here only what would mislead is taken out.

use serde_json::{Map, Value};

/// The first value of an attribute as text; empty where there is none.
pub(super) fn first(attributes: &Map<String, Value>, tag: &str) -> String {
    match values(attributes, tag).first() {
        Some(Value::String(text)) => clean(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// All values, separated by commas.
pub(super) fn all(attributes: &Map<String, Value>, tag: &str) -> String {
    let texts: Vec<String> = values(attributes, tag).iter().filter_map(Value::as_str).map(clean).collect();
    texts.join(", ")
}

/// A person name as `FAMILY, Given Middle`; the ideographic form behind it where there is one.
pub(super) fn person(attributes: &Map<String, Value>, tag: &str) -> String {
    let Some(name) = values(attributes, tag).first() else { return String::new() };
    let group = |key: &str| name.get(key).and_then(Value::as_str).map(|text| person_group(&clean(text)));
    let forms: Vec<String> =
        ["Alphabetic", "Ideographic"].into_iter().filter_map(group).filter(|form| !form.is_empty()).collect();
    forms.join(" · ")
}

fn person_group(text: &str) -> String {
    let mut components = text.split('^').map(str::trim);
    let family = components.next().unwrap_or_default();
    let rest: Vec<&str> = components.take(2).filter(|component| !component.is_empty()).collect();
    match (family.is_empty(), rest.is_empty()) {
        (_, true) => family.to_owned(),
        (true, false) => rest.join(" "),
        (false, false) => format!("{family}, {}", rest.join(" ")),
    }
}

/// A date as `2026-01-31`; other text as it is.
pub(super) fn date(attributes: &Map<String, Value>, tag: &str) -> String {
    let text = first(attributes, tag);
    match (text.get(..4), text.get(4..6), text.get(6..8)) {
        (Some(year), Some(month), Some(day)) if text.len() == 8 => format!("{year}-{month}-{day}"),
        _ => text,
    }
}

fn values<'a>(attributes: &'a Map<String, Value>, tag: &str) -> &'a [Value] {
    attributes
        .get(tag)
        .and_then(|attribute| attribute.get("Value"))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Without control characters and marks that change the direction of reading (T25).
fn clean(text: &str) -> String {
    let is_direction =
        |c: char| matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !c.is_control() && !is_direction(*c)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_people_read_them() {
        let Value::Object(attributes) = json!({
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Jansen^Piet^A^Dr", "Ideographic": "山田^太郎"}]},
            "00100020": {"vr": "LO", "Value": ["12\u{202E}34\u{7}"]},
            "00100030": {"vr": "DA", "Value": ["19700131"]},
            "00100040": {"vr": "CS"},
            "00080061": {"vr": "CS", "Value": ["CT", "SR"]},
            "00201208": {"vr": "IS", "Value": [120]},
            "00080020": {"vr": "DA", "Value": ["äöü"]},
            "00080090": {"vr": "PN", "Value": [{"Alphabetic": "^Ann"}]},
        }) else {
            panic!()
        };
        assert_eq!(person(&attributes, "00100010"), "Jansen, Piet A · 山田, 太郎");
        assert_eq!(person(&attributes, "00080090"), "Ann");
        assert_eq!(person(&attributes, "00081070"), "");
        assert_eq!(first(&attributes, "00100020"), "1234");
        assert_eq!(date(&attributes, "00100030"), "1970-01-31");
        assert_eq!(date(&attributes, "00080020"), "äöü");
        assert_eq!(first(&attributes, "00100040"), "");
        assert_eq!(all(&attributes, "00080061"), "CT, SR");
        assert_eq!(first(&attributes, "00201208"), "120");
    }
}
