//! Person names (PS3.5 6.2.1): up to three component groups between `=`, five components each between `^`.

use std::fmt;

use serde_json::{Map, Value};

/// Names of the component groups in DICOM JSON (PS3.18 F.2.2), in the order of the groups.
pub(crate) const GROUP_NAMES: [&str; 3] = ["Alphabetic", "Ideographic", "Phonetic"];

/// One person name, decoded. Its `Debug` shows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct PersonName<'a> {
    /// Alphabetic, ideographic and phonetic representation, as written but for spaces around; `""` where absent.
    groups: [&'a str; 3],
}

/// The components of one group; `""` where absent.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Components<'a> {
    /// Family name complex.
    pub family: &'a str,
    /// Given name complex.
    pub given: &'a str,
    /// Middle name.
    pub middle: &'a str,
    /// Prefix.
    pub prefix: &'a str,
    /// Suffix.
    pub suffix: &'a str,
}

impl<'a> PersonName<'a> {
    /// Reads one value. A fourth group, which the standard does not have, stays with the third.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let mut parts = text.splitn(3, '=').map(|group| group.trim_matches([' ', '\0']));
        let mut next = || parts.next().unwrap_or_default();
        Self { groups: [next(), next(), next()] }
    }

    /// The three groups, in their order.
    #[must_use]
    pub fn groups(&self) -> [&'a str; 3] {
        self.groups
    }

    /// No group has a text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.is_empty())
    }

    /// The components of the first group that has a text.
    #[must_use]
    pub fn components(&self) -> Components<'a> {
        let group = self.groups.into_iter().find(|group| !group.is_empty()).unwrap_or_default();
        let mut parts = group.split('^').map(|part| part.trim_matches(' '));
        let mut next = || parts.next().unwrap_or_default();
        Components { family: next(), given: next(), middle: next(), prefix: next(), suffix: next() }
    }

    /// The DICOM JSON of one value: groups without text are left out; `null` where there is none at all.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let groups: Map<String, Value> = GROUP_NAMES
            .into_iter()
            .zip(self.groups)
            .filter(|(_, group)| !group.is_empty())
            .map(|(name, group)| (name.to_owned(), Value::from(group)))
            .collect();
        if groups.is_empty() { Value::Null } else { Value::Object(groups) }
    }
}

impl fmt::Debug for PersonName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(..)")
    }
}

impl fmt::Debug for Components<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Components(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn person_name_to_json_table() {
        for (text, expected) in [
            ("JANSEN^PIET^^^ ", json!({"Alphabetic": "JANSEN^PIET^^^"})),
            (
                "Yamada^Tarou=山田^太郎=やまだ^たろう",
                json!({"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}),
            ),
            ("=山田^太郎", json!({"Ideographic": "山田^太郎"})),
            ("==a=b", json!({"Phonetic": "a=b"})),
            ("", json!(null)),
            ("= =", json!(null)),
        ] {
            assert_eq!(PersonName::parse(text).to_json(), expected, "{text:?}");
        }
    }

    #[test]
    fn person_name_components() {
        let name = PersonName::parse("Adams^John Robert Quincy^^Rev.^B.A. M.Div.").components();
        assert_eq!((name.family, name.given, name.middle), ("Adams", "John Robert Quincy", ""));
        assert_eq!((name.prefix, name.suffix), ("Rev.", "B.A. M.Div."));
        assert_eq!(PersonName::parse("=山田^太郎").components().given, "太郎");
        assert!(PersonName::parse("==").is_empty());
        assert_eq!(format!("{:?}", PersonName::parse("JANSEN")), "PersonName(..)");
    }
}
