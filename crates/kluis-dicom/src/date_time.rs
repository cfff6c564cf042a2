//! Dates, times and date-times as the data set writes them (PS3.5 6.2, VR DA, TM, DT), brought into one form that sorts
//! as text, and the split of a range in a query (PS3.4 C.2.2.2.5).
//!
//! Forms of the standards before 1993 (`yyyy.mm.dd`, `hh:mm:ss`) are read too. Nothing here knows what time it is.

use crate::VR;

/// A time or date-time of limited precision is an interval: both ends, inclusive, in the form that sorts as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Interval {
    /// First moment: `HHMMSS.FFFFFF` (TM) or `YYYYMMDDHHMMSS.FFFFFF` (DT).
    pub from: String,
    /// Last moment, same form.
    pub to: String,
    /// Minutes east of UTC, where a DT says so.
    pub offset_min: Option<i16>,
}

/// The two ends of a range as they were written; at least one is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ends<'a> {
    /// Before the hyphen.
    pub from: Option<&'a str>,
    /// Behind the hyphen.
    pub to: Option<&'a str>,
}

/// How the text of a DA, TM or DT key reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Span<'a> {
    /// One value.
    Single(&'a str),
    /// `a-b`, `a-`, `-b`.
    Range(Ends<'a>),
    /// Neither: a lone hyphen, or more hyphens than a range has.
    Malformed,
}

/// A date as `YYYYMMDD`; `None` where it is none. `yyyy.mm.dd` is read too.
#[must_use]
pub fn date(text: &str) -> Option<String> {
    let text = trim(text);
    let digits = match text.len() {
        8 => text.to_owned(),
        10 => {
            let mut parts = text.split('.');
            let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
            if (year.len(), month.len(), day.len()) != (4, 2, 2) {
                return None;
            }
            format!("{year}{month}{day}")
        }
        _ => return None,
    };
    let (year, month, day) = (number(digits.get(..4)?)?, number(digits.get(4..6)?)?, number(digits.get(6..)?)?);
    ((1..=days_in(year, month)).contains(&day)).then_some(digits)
}

/// A time (`HH`, `HHMM`, `HHMMSS`, `HHMMSS.F` to `.FFFFFF`; `hh:mm:ss` too) as the interval its precision stands for.
#[must_use]
pub fn time(text: &str) -> Option<Interval> {
    let text = trim(text);
    let plain = if text.contains(':') { without_colons(text)? } else { text.to_owned() };
    let (from, to) = time_ends(&plain)?;
    Some(Interval { from, to, offset_min: None })
}

/// A date-time (`YYYY` to `YYYYMMDDHHMMSS.FFFFFF`, with or without `&ZZXX`) as the interval its precision stands for, in
/// the local time it was written in.
#[must_use]
pub fn date_time(text: &str) -> Option<Interval> {
    let text = trim(text);
    let (local, offset) = match text.find(['+', '-']) {
        Some(position) => (text.get(..position)?, Some(text.get(position..)?)),
        None => (text, None),
    };
    let offset_min = match offset {
        Some(offset) => Some(offset_minutes(offset)?),
        None => None,
    };
    let year = number(local.get(..4)?)?;
    let rest = local.get(4..)?;
    if rest.is_empty() {
        return Some(whole_days(format!("{year:04}0101"), format!("{year:04}1231"), offset_min));
    }
    let month = number(rest.get(..2)?)?;
    let last = days_in(year, month);
    if last == 0 {
        return None;
    }
    if rest.len() == 2 {
        return Some(whole_days(format!("{year:04}{month:02}01"), format!("{year:04}{month:02}{last:02}"), offset_min));
    }
    let day = date(local.get(..8)?)?;
    let clock = local.get(8..)?;
    if clock.is_empty() {
        return Some(whole_days(day.clone(), day, offset_min));
    }
    let (from, to) = time_ends(clock)?;
    Some(Interval { from: format!("{day}{from}"), to: format!("{day}{to}"), offset_min })
}

/// Minutes east of UTC of `+ZZXX` or `-ZZXX` (PS3.5 6.2: -1200 to +1400), also the value of (0008,0201).
#[must_use]
pub fn offset_minutes(text: &str) -> Option<i16> {
    let text = trim(text);
    let digits = text.strip_prefix(['+', '-'])?;
    if digits.len() != 4 {
        return None;
    }
    let minutes = number(digits.get(2..)?)?;
    let total = number(digits.get(..2)?)? * 60 + minutes;
    let total = i16::try_from(total).ok().filter(|_| minutes < 60)?;
    match text.starts_with('-') {
        true => (total <= 12 * 60).then_some(-total),
        false => (total <= 14 * 60).then_some(total),
    }
}

/// Takes the text of a query key apart (PS3.4 C.2.2.2.5).
///
/// In a DT a hyphen also begins an offset from UTC. It is taken as one where four digits follow that are an offset
/// (at most 1200, which no year of interest is) and the value ends there.
#[must_use]
pub fn span(vr: VR, text: &str) -> Span<'_> {
    let text = trim(text);
    let mut separators = text
        .match_indices('-')
        .map(|(position, _)| position)
        .filter(|&position| vr != VR::DT || !is_offset(text, position));
    let Some(position) = separators.next() else { return Span::Single(text) };
    if separators.next().is_some() {
        return Span::Malformed;
    }
    let from = text.get(..position).map(trim).filter(|end| !end.is_empty());
    let to = text.get(position + 1..).map(trim).filter(|end| !end.is_empty());
    match (from, to) {
        (None, None) => Span::Malformed,
        _ => Span::Range(Ends { from, to }),
    }
}

fn is_offset(text: &str, position: usize) -> bool {
    let rest = text.get(position..).unwrap_or_default();
    let (offset, behind) = match rest.split_at_checked(5) {
        Some(parts) => parts,
        None => return false,
    };
    position > 0 && (behind.is_empty() || behind.starts_with('-')) && offset_minutes(offset).is_some()
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\0'])
}

/// A number of digits only (no sign, which `parse` would take).
fn number(digits: &str) -> Option<u32> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn days_in(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    }
}

fn whole_days(first: String, last: String, offset_min: Option<i16>) -> Interval {
    Interval { from: first + "000000.000000", to: last + "235959.999999", offset_min }
}

fn without_colons(text: &str) -> Option<String> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    if !clock.split(':').all(|part| part.len() == 2) {
        return None;
    }
    let plain = clock.replace(':', "");
    Some(fraction.map_or(plain.clone(), |fraction| format!("{plain}.{fraction}")))
}

fn time_ends(text: &str) -> Option<(String, String)> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    let hour = number(clock.get(..2)?).filter(|hour| *hour < 24)?;
    let minute = clock.get(2..4).map(number);
    let second = clock.get(4..6).map(number);
    let is_of_a_length = matches!(clock.len(), 2 | 4 | 6);
    if !is_of_a_length || (fraction.is_some() && clock.len() != 6) {
        return None;
    }
    let minute = match minute {
        Some(minute) => Some(minute.filter(|minute| *minute < 60)?),
        None => None,
    };
    let second = match second {
        // A leap second is written as 60 (PS3.5 6.2).
        Some(second) => Some(second.filter(|second| *second <= 60)?),
        None => None,
    };
    let fraction = fraction.unwrap_or_default();
    if fraction.len() > 6 || (!fraction.is_empty() && number(fraction).is_none()) {
        return None;
    }
    let from = format!("{hour:02}{:02}{:02}.{fraction:0<6}", minute.unwrap_or(0), second.unwrap_or(0));
    let to = format!("{hour:02}{:02}{:02}.{fraction:9<6}", minute.unwrap_or(59), second.unwrap_or(59));
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_table() {
        for (text, expected) in [
            ("20240229", Some("20240229")),
            ("2024.02.29", Some("20240229")),
            ("20240229 ", Some("20240229")),
            ("20230229", None),
            ("19000229", None),
            ("20000229", Some("20000229")),
            ("20241301", None),
            ("20240100", None),
            ("2024", None),
            ("2024-02-29", None),
            ("+0240229", None),
            ("", None),
            ("2024022é", None),
        ] {
            assert_eq!(date(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn time_table() {
        for (text, expected) in [
            ("10", Some(("100000.000000", "105959.999999"))),
            ("1030", Some(("103000.000000", "103059.999999"))),
            ("103015", Some(("103015.000000", "103015.999999"))),
            ("103015.5", Some(("103015.500000", "103015.599999"))),
            ("103015.123456", Some(("103015.123456", "103015.123456"))),
            ("10:30:15", Some(("103015.000000", "103015.999999"))),
            ("10:30:15.25 ", Some(("103015.250000", "103015.259999"))),
            ("235960", Some(("235960.000000", "235960.999999"))),
            ("24", None),
            ("1", None),
            ("1060", None),
            ("103061", None),
            ("1030.5", None),
            ("103015.1234567", None),
            ("1:30", None),
            ("103015.", Some(("103015.000000", "103015.999999"))),
            ("1é", None),
        ] {
            let found = time(text).map(|interval| (interval.from, interval.to));
            assert_eq!(found, expected.map(|(from, to)| (from.to_owned(), to.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn date_time_table() {
        for (text, from, to, offset) in [
            ("2024", "20240101000000.000000", "20241231235959.999999", None),
            ("202402", "20240201000000.000000", "20240229235959.999999", None),
            ("20240229", "20240229000000.000000", "20240229235959.999999", None),
            ("2024022910", "20240229100000.000000", "20240229105959.999999", None),
            ("20240229103015.5-0500", "20240229103015.500000", "20240229103015.599999", Some(-300)),
            ("20240229+1400", "20240229000000.000000", "20240229235959.999999", Some(840)),
        ] {
            let found = date_time(text).unwrap();
            assert_eq!((found.from.as_str(), found.to.as_str(), found.offset_min), (from, to, offset), "{text:?}");
        }
        for text in ["", "202", "202413", "20240230", "20240229-1300", "20240229+0560", "2024x", "2024022"] {
            assert!(date_time(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn span_table() {
        fn shown(span: Span<'_>) -> String {
            match span {
                Span::Single(text) => format!("={text}"),
                Span::Range(ends) => format!("{}..{}", ends.from.unwrap_or("?"), ends.to.unwrap_or("?")),
                Span::Malformed => "!".to_owned(),
            }
        }
        for (vr, text, expected) in [
            (VR::DA, "20240101", "=20240101"),
            (VR::DA, "20240101-20240201", "20240101..20240201"),
            (VR::DA, "20240101-", "20240101..?"),
            (VR::DA, "-20240101 ", "?..20240101"),
            (VR::DA, "2024-01-01", "!"),
            (VR::DA, "-", "!"),
            (VR::TM, "10-1130", "10..1130"),
            (VR::DT, "20240101-0500", "=20240101-0500"),
            (VR::DT, "20240101-0500-20240102-0500", "20240101-0500..20240102-0500"),
            (VR::DT, "2023-2024", "2023..2024"),
            (VR::DT, "20240101-0500-", "20240101-0500..?"),
            (VR::DT, "-20240101-0500", "?..20240101-0500"),
        ] {
            assert_eq!(shown(span(vr, text)), expected, "{text:?}");
        }
    }
}
