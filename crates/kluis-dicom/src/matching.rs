//! Evaluates the conditions of a [`Query`](crate::query::Query) in memory (PS3.4 C.2.2.2), for what SQL cannot decide.
//!
//! No recursion and no backtracking beyond the last `*`: a pattern of m and a text of n characters take at most m·n steps.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{
    Tag, date_time, fold,
    query::{Filter, Matching},
};

/// How the conditions of a query work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// See [`Query::is_fuzzy`](crate::query::Query::is_fuzzy).
    pub is_fuzzy: bool,
    /// See [`Query::combines_date_time`](crate::query::Query::combines_date_time).
    pub combines_date_time: bool,
}

/// Whether a DICOM JSON object (PS3.18 F.2) fulfils all filters.
///
/// An attribute of several values matches where one of them does. Filters that lead into the same sequence must be
/// fulfilled by one and the same item (C.2.2.2.6). Person names ignore case and diacritics; all other text is compared as
/// it stands (C.2.2.2.1). A stored time of limited precision counts as its first moment.
#[must_use]
pub fn matches(filters: &[Filter], attributes: &Map<String, Value>, manner: Manner) -> bool {
    filters.iter().enumerate().all(|(index, filter)| {
        let Some((_, sequences)) = filter.path.split_last() else { return true };
        let is_first_of_group = !filters
            .iter()
            .take(index)
            .any(|earlier| earlier.path.split_last().is_some_and(|(_, other)| other == sequences));
        if !is_first_of_group {
            return true;
        }
        let group: Vec<&Filter> =
            filters.iter().filter(|other| other.path.split_last().is_some_and(|(_, path)| path == sequences)).collect();
        let items = items_at(attributes, sequences);
        if items.is_empty() {
            return group.iter().all(|filter| matches!(filter.matching, Matching::Universal | Matching::Empty));
        }
        items.iter().any(|item| item_matches(&group, item, manner))
    })
}

/// The time attribute that a date attribute forms a moment with, where both stand beside each other.
#[must_use]
pub fn time_of_date(date: Tag) -> Option<Tag> {
    Some(match (date.0, date.1) {
        // Study, Series, Acquisition, Content Date.
        (0x0008, element @ 0x0020..=0x0023) => Tag(0x0008, element + 0x10),
        // Instance Creation Date, Patient's Birth Date.
        (0x0008, 0x0012) => Tag(0x0008, 0x0013),
        (0x0010, 0x0030) => Tag(0x0010, 0x0032),
        // Scheduled and Performed Procedure Step Start and End Date.
        (0x0040, element @ (0x0002 | 0x0004 | 0x0244 | 0x0250)) => Tag(0x0040, element + 1),
        _ => return None,
    })
}

/// Wild card matching (C.2.2.2.4) of text as it stands: `*` any run of characters, also none; `?` exactly one.
#[must_use]
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let (mut pattern_rest, mut text_rest) = (pattern, text);
    // Where to go on when the run that the last `*` stands for must be one character longer.
    let mut resume: Option<(&str, &str)> = None;
    loop {
        let mut behind_pattern = pattern_rest.chars();
        let mut behind_text = text_rest.chars();
        let wanted = behind_pattern.next();
        let found = behind_text.next();
        match (wanted, found) {
            (Some('*'), _) => {
                pattern_rest = behind_pattern.as_str();
                if pattern_rest.is_empty() {
                    return true;
                }
                resume = Some((pattern_rest, text_rest));
            }
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern_rest = behind_pattern.as_str();
                text_rest = behind_text.as_str();
            }
            _ => {
                let Some((pattern_behind_star, run_start)) = resume else { return false };
                let mut longer_run = run_start.chars();
                if longer_run.next().is_none() {
                    return false;
                }
                pattern_rest = pattern_behind_star;
                text_rest = longer_run.as_str();
                resume = Some((pattern_rest, text_rest));
            }
        }
    }
}

/// Matching of person names (C.2.2.2.1.1): folded ([`fold`]), with wildcards, each component group by itself.
///
/// A pattern without `=` matches where it matches any group; with `=`, each of its groups that is not empty must match
/// the group in the same place. Components missing at the end count as empty, so `JANSEN^*` finds `JANSEN`.
#[must_use]
pub fn person_name(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (fold(pattern), fold(name));
    if !pattern.contains('=') {
        return name.split('=').any(|group| group_matches(&pattern, group));
    }
    let mut groups = name.split('=');
    pattern.split('=').all(|wanted| {
        let group = groups.next().unwrap_or_default();
        wanted.is_empty() || group_matches(wanted, group)
    })
}

/// Fuzzy matching of person names: each word of the pattern begins a word of the name, in any order, in any group.
#[must_use]
pub fn person_name_fuzzy(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (fold(pattern), fold(name));
    words(&pattern).all(|wanted| {
        let wanted = wanted.trim_end_matches('*');
        words(&name)
            .any(|word| if wanted.contains(['*', '?']) { wildcard(wanted, word) } else { word.starts_with(wanted) })
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(['^', '=', ' ', ',', '-', '.', '\'']).filter(|word| !word.is_empty())
}

fn group_matches(pattern: &str, group: &str) -> bool {
    let (pattern, group) = (pattern.trim_end_matches('^'), group.trim_end_matches(['^', ' ']));
    if wildcard(pattern, group) {
        return true;
    }
    // A name has five components; those not written are empty.
    let missing = 4usize.saturating_sub(group.matches('^').count());
    pattern.contains('^') && (1..=missing).any(|count| wildcard(pattern, &format!("{group}{}", "^".repeat(count))))
}

fn items_at<'a>(attributes: &'a Map<String, Value>, sequences: &[Tag]) -> Vec<&'a Map<String, Value>> {
    let mut items = vec![attributes];
    for sequence in sequences {
        let key = json_key(*sequence);
        items = items
            .into_iter()
            .filter_map(|item| item.get(&key)?.get("Value")?.as_array())
            .flatten()
            .filter_map(Value::as_object)
            .collect();
    }
    items
}

fn json_key(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

fn item_matches(group: &[&Filter], item: &Map<String, Value>, manner: Manner) -> bool {
    group.iter().all(|filter| {
        let Some(&tag) = filter.path.last() else { return true };
        if manner.combines_date_time {
            if let Some(time) = time_of_date(tag).and_then(|time| filter_of(group, time))
                && is_same_form(&filter.matching, &time.matching)
            {
                return moment_matches(filter, time, item);
            }
            let is_time_of_a_pair = group.iter().any(|date| {
                date.path.last().and_then(|&date| time_of_date(date)) == Some(tag)
                    && is_same_form(&date.matching, &filter.matching)
            });
            if is_time_of_a_pair {
                return true;
            }
        }
        attribute_matches(&filter.matching, item.get(&json_key(tag)), manner)
    })
}

fn filter_of<'a>(group: &[&'a Filter], tag: Tag) -> Option<&'a Filter> {
    group.iter().find(|filter| filter.path.last() == Some(&tag)).copied()
}

/// Only ranges of the same form are combined: `a-b` with `a-b`, `a-` with `a-`, `-b` with `-b` (C.2.2.2.5).
fn is_same_form(date: &Matching, time: &Matching) -> bool {
    match (date, time) {
        (Matching::Range { from: df, to: dt }, Matching::Range { from: tf, to: tt }) => {
            df.is_some() == tf.is_some() && dt.is_some() == tt.is_some()
        }
        _ => false,
    }
}

fn moment_matches(date: &Filter, time: &Filter, item: &Map<String, Value>) -> bool {
    let stored = |filter: &Filter, read: fn(&str) -> Option<String>| {
        let attribute = item.get(&json_key(*filter.path.last()?))?;
        values(attribute).next().and_then(|text| read(&text))
    };
    let Some(day) = stored(date, date_time::date) else { return false };
    let Some(clock) = stored(time, |text| Some(date_time::time(text)?.from)) else { return false };
    let moment = day + &clock;
    match (&date.matching, &time.matching) {
        (Matching::Range { from: df, to: dt }, Matching::Range { from: tf, to: tt }) => {
            let from = df.as_ref().zip(tf.as_ref()).map(|(day, clock)| format!("{day}{clock}"));
            let to = dt.as_ref().zip(tt.as_ref()).map(|(day, clock)| format!("{day}{clock}"));
            is_within(&moment, from.as_deref(), to.as_deref())
        }
        _ => false,
    }
}

fn attribute_matches(matching: &Matching, attribute: Option<&Value>, manner: Manner) -> bool {
    if *matching == Matching::Universal {
        return true;
    }
    let mut texts = attribute.into_iter().flat_map(values).filter(|text| !text.is_empty()).peekable();
    if texts.peek().is_none() {
        return match matching {
            Matching::Empty => true,
            Matching::List(list) => list.iter().any(String::is_empty),
            _ => false,
        };
    }
    let vr = attribute.and_then(|attribute| attribute.get("vr")).and_then(Value::as_str).unwrap_or_default();
    texts.any(|text| match matching {
        Matching::Universal => true,
        Matching::Empty => false,
        Matching::Single(wanted) => single_matches(vr, wanted, &text, manner),
        Matching::Wildcard(pattern) if vr == "PN" => name_matches(pattern, &text, manner),
        Matching::Wildcard(pattern) => wildcard(pattern, &text),
        Matching::List(list) => list.iter().any(|wanted| match wanted.contains(['*', '?']) {
            true if vr == "PN" => name_matches(wanted, &text, manner),
            true => wildcard(wanted, &text),
            false => single_matches(vr, wanted, &text, manner),
        }),
        Matching::Range { from, to } => range_matches(vr, from.as_deref(), to.as_deref(), &text),
    })
}

fn single_matches(vr: &str, wanted: &str, text: &str, manner: Manner) -> bool {
    match vr {
        "PN" => name_matches(wanted, text, manner),
        "DA" => date_time::date(text).is_some_and(|date| date == wanted),
        "TM" => match (date_time::time(wanted), date_time::time(text)) {
            (Some(wanted), Some(stored)) => is_within(&stored.from, Some(&wanted.from), Some(&wanted.to)),
            _ => false,
        },
        "DT" => date_time::date_time(wanted).zip(date_time::date_time(text)).is_some_and(|(wanted, stored)| {
            let (from, to) = (moment(&wanted.from, wanted.offset_min), moment(&wanted.to, wanted.offset_min));
            is_moment_within(moment(&stored.from, stored.offset_min), from, to)
        }),
        "IS" | "SS" | "US" | "SL" | "UL" | "SV" | "UV" => {
            wanted.parse::<i128>().is_ok_and(|wanted| text.parse::<i128>() == Ok(wanted))
        }
        "DS" | "FL" | "FD" => wanted.parse::<f64>().is_ok_and(|wanted| text.parse::<f64>() == Ok(wanted)),
        _ => wanted == text,
    }
}

fn name_matches(pattern: &str, name: &str, manner: Manner) -> bool {
    person_name(pattern, name) || (manner.is_fuzzy && person_name_fuzzy(pattern, name))
}

fn range_matches(vr: &str, from: Option<&str>, to: Option<&str>, text: &str) -> bool {
    match vr {
        "DA" => date_time::date(text).is_some_and(|date| is_within(&date, from, to)),
        "TM" => date_time::time(text).is_some_and(|time| is_within(&time.from, from, to)),
        "DT" => date_time::date_time(text).is_some_and(|stored| {
            is_moment_within(moment(&stored.from, stored.offset_min), from.and_then(end), to.and_then(end))
        }),
        _ => false,
    }
}

fn is_within(text: &str, from: Option<&str>, to: Option<&str>) -> bool {
    from.is_none_or(|from| from <= text) && to.is_none_or(|to| text <= to)
}

/// A moment: microseconds in its own local time, and minutes east of UTC where known.
type Moment = (i64, Option<i16>);

/// Reads `YYYYMMDDHHMMSS.FFFFFF`.
fn moment(local: &str, offset_min: Option<i16>) -> Option<Moment> {
    let digits = |range: std::ops::Range<usize>| local.get(range)?.parse::<i64>().ok();
    let month = time::Month::try_from(u8::try_from(digits(4..6)?).ok()?).ok()?;
    let day = u8::try_from(digits(6..8)?).ok()?;
    let date = time::Date::from_calendar_date(i32::try_from(digits(0..4)?).ok()?, month, day).ok()?;
    let seconds =
        i64::from(date.to_julian_day()) * 86_400 + digits(8..10)? * 3600 + digits(10..12)? * 60 + digits(12..14)?;
    Some((seconds * 1_000_000 + digits(15..21)?, offset_min))
}

fn end(text: &str) -> Option<Moment> {
    let (local, offset) = text.split_at_checked(21)?;
    moment(local, date_time::offset_minutes(offset))
}

/// In UTC where both sides say their offset, else as local times (PS3.4 C.2.2.2.5 leaves that to the archive).
fn is_moment_within(stored: Option<Moment>, from: Option<Moment>, to: Option<Moment>) -> bool {
    let Some((stored, stored_offset)) = stored else { return false };
    let distance = |(other, other_offset): Moment| match (stored_offset, other_offset) {
        (Some(stored_offset), Some(other_offset)) => {
            (stored - i64::from(stored_offset) * 60_000_000) - (other - i64::from(other_offset) * 60_000_000)
        }
        _ => stored - other,
    };
    from.is_none_or(|from| distance(from) >= 0) && to.is_none_or(|to| distance(to) <= 0)
}

/// The values of an attribute as text; a person name with its groups between `=`.
fn values(attribute: &Value) -> impl Iterator<Item = Cow<'_, str>> {
    attribute.get("Value").and_then(Value::as_array).into_iter().flatten().filter_map(|value| match value {
        Value::String(text) => Some(Cow::Borrowed(text.trim_end_matches([' ', '\0']))),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Object(groups) => {
            let group = |name| groups.get(name).and_then(Value::as_str).unwrap_or_default();
            let joined = [group("Alphabetic"), group("Ideographic"), group("Phonetic")].join("=");
            Some(Cow::Owned(joined.trim_end_matches('=').to_owned()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
