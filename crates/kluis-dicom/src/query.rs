//! What a search asks, for C-FIND (PS3.4 C.2.2.2) and QIDO-RS (PS3.18 8.3.4) alike.
//!
//! Parses keys and says by name what is wrong with them; knows no index and no transport.

use std::fmt;

use crate::{Tag, Uid, VR, date_time, dictionary};

/// Most characters of one key.
const MAX_KEY_CHARS: usize = 1024;
/// Most values of one key (a list of UIDs).
const MAX_KEY_VALUES: usize = 1000;
/// Deepest sequence path of one key.
const MAX_PATH: usize = 8;

/// What the rows of an answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// One row per study.
    Study,
    /// One row per series.
    Series,
    /// One row per SOP instance.
    Instance,
}

/// One search. All filters must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What the rows are.
    pub level: Level,
    /// Only within this study.
    pub study: Option<Uid>,
    /// Only within this series.
    pub series: Option<Uid>,
    /// Conditions, all of which hold for a row.
    pub filters: Vec<Filter>,
    /// All attributes known at this level are wanted (`includefield=all`).
    pub include_all: bool,
    /// Attributes wanted beyond those that are always returned.
    pub include: Vec<Tag>,
    /// Most rows wanted.
    pub limit: u32,
    /// Rows to pass over.
    pub offset: u32,
    /// Names match as they sound or begin (PS3.4 C.2.2.2.1.1), not only as they are written.
    pub is_fuzzy: bool,
    /// A date range and the range of its time are one range of moments (PS3.4 C.2.2.2.5): always so in QIDO-RS
    /// (PS3.18 8.3.4.1.1), in C-FIND where it was negotiated. See [`crate::matching::time_of_date`] for the pairs.
    pub combines_date_time: bool,
}

impl Query {
    /// Everything at a level, the first `limit` rows.
    #[must_use]
    pub fn all(level: Level, limit: u32) -> Self {
        Self {
            level,
            study: None,
            series: None,
            filters: Vec::new(),
            include_all: false,
            include: Vec::new(),
            limit,
            offset: 0,
            is_fuzzy: false,
            combines_date_time: true,
        }
    }
}

/// A condition on one attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// One tag, or the way to an attribute within sequences; never empty.
    pub path: Vec<Tag>,
    /// What its value must be.
    pub matching: Matching,
}

/// The kinds of matching of PS3.4 C.2.2.2. The texts are without padding. Its `Debug` shows the kind only, since keys
/// are names and identifiers of patients.
#[derive(Clone, PartialEq, Eq)]
pub enum Matching {
    /// Anything, also nothing (C.2.2.2.3).
    Universal,
    /// Only an attribute that is absent or has no value (C.2.2.2.7).
    Empty,
    /// This value (C.2.2.2.1). DA as `YYYYMMDD`; TM and DT at the precision of the query, without colons: a value
    /// matches where it lies in [`date_time::time`] or [`date_time::date_time`] of it.
    Single(String),
    /// Text in which `*` stands for any run of characters and `?` for one (C.2.2.2.4).
    Wildcard(String),
    /// Any of these: UIDs (C.2.2.2.2) or multiple values (C.2.2.2.8).
    List(Vec<String>),
    /// Inclusive, in the form that sorts as text: DA `YYYYMMDD`, TM `HHMMSS.FFFFFF`, DT `YYYYMMDDHHMMSS.FFFFFF` with
    /// `&ZZXX` where it was given (C.2.2.2.5). At least one end is there.
    Range {
        /// First value that matches; none: from the beginning.
        from: Option<String>,
        /// Last value that matches; none: to the end.
        to: Option<String>,
    },
}

impl fmt::Debug for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Universal => "Universal",
            Self::Empty => "Empty",
            Self::Single(_) => "Single(..)",
            Self::Wildcard(_) => "Wildcard(..)",
            Self::List(_) => "List(..)",
            Self::Range { .. } => "Range(..)",
        })
    }
}

/// Which kinds of matching beyond the basic ones were agreed (C-FIND) or asked for (QIDO-RS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Agreed {
    /// `""` matches the empty value (PS3.4 C.2.2.2.7; PS3.18 8.3.4.5).
    pub empty_value: bool,
    /// `\` separates values, any of which may match (PS3.4 C.2.2.2.8; PS3.18 8.3.4.6).
    pub multiple_value: bool,
}

/// What is wrong with a key. Never carries the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Neither a tag of eight hexadecimal digits nor a keyword of the standard, or a path with more than 8 steps.
    #[error("not an attribute of the standard")]
    Attribute,
    /// A path leads through an attribute that is no sequence.
    #[error("{0} is not a sequence")]
    NotSequence(Tag),
    /// The attribute is a sequence or binary and cannot be matched by a value.
    #[error("{0} cannot be matched by a value")]
    NotMatchable(Tag),
    /// More than 1,024 characters in a value.
    #[error("the value for {0} is too long")]
    TooLong(Tag),
    /// More than 1,000 values.
    #[error("too many values for {0}")]
    TooMany(Tag),
    /// A control character.
    #[error("the value for {0} contains a control character")]
    Control(Tag),
    /// Not a UID.
    #[error("the value for {0} is not a UID")]
    Uid(Tag),
    /// Not a date nor a range of dates.
    #[error("the value for {0} is neither a date YYYYMMDD nor a range of dates")]
    Date(Tag),
    /// Not a time nor a range of times.
    #[error("the value for {0} is neither a time HHMMSS nor a range of times")]
    Time(Tag),
    /// Not a date-time nor a range of date-times.
    #[error("the value for {0} is neither a date-time YYYYMMDDHHMMSS nor a range of date-times")]
    DateTime(Tag),
    /// Not a number.
    #[error("the value for {0} is not a number")]
    Number(Tag),
}

impl Matching {
    /// Reads the text of a key as the matching that PS3.4 C.2.2.2 gives it for this VR.
    ///
    /// * nothing, or for text VRs only `*`: universal;
    /// * UI: a UID or several, between which stand `\` (DIMSE) or `,` (PS3.18 8.3.4.1);
    /// * DA, TM, DT: a value or a range; never wildcards;
    /// * AE, CS, LO, LT, PN, SH, ST, UC, UR, UT: `*` and `?` are wildcards;
    /// * numbers (IS, DS, US…) and AS, AT: the value itself.
    ///
    /// # Errors
    /// A [`QueryError`] with the tag.
    pub fn from_text(tag: Tag, vr: VR, text: &str, agreed: Agreed) -> Result<Self, QueryError> {
        if text.chars().nth(MAX_KEY_CHARS.saturating_mul(if vr == VR::UI { 65 } else { 1 })).is_some() {
            return Err(QueryError::TooLong(tag));
        }
        let text = text.trim_end_matches([' ', '\0']);
        let is_free_text = matches!(vr, VR::LT | VR::ST | VR::UT);
        let text = if is_free_text { text } else { text.trim_start_matches(' ') };
        if text.chars().any(|character| character.is_control() && !(is_free_text && "\r\n\t\u{c}".contains(character)))
        {
            return Err(QueryError::Control(tag));
        }
        if text.is_empty() {
            return Ok(Self::Universal);
        }
        if agreed.empty_value && text == "\"\"" {
            return Ok(Self::Empty);
        }
        match vr {
            VR::UI => uids(tag, text),
            VR::DA | VR::TM | VR::DT => moments(tag, vr, text),
            VR::SQ | VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN => Err(QueryError::NotMatchable(tag)),
            VR::AE | VR::CS | VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UR | VR::UT => {
                let may_be_several = agreed.multiple_value && !matches!(vr, VR::LT | VR::ST | VR::UR | VR::UT);
                texts(tag, text, may_be_several)
            }
            VR::AS | VR::AT => values(tag, text, agreed, |value| Some(value.to_ascii_uppercase())),
            VR::IS | VR::SS | VR::US | VR::SL | VR::UL | VR::SV | VR::UV => {
                values(tag, text, agreed, |value| value.parse::<i128>().ok().map(|number| number.to_string()))
            }
            VR::DS | VR::FL | VR::FD => values(tag, text, agreed, |value| {
                value.parse::<f64>().ok().filter(|number| number.is_finite()).map(|_| value.to_owned())
            }),
        }
    }
}

/// The attribute or sequence path of a QIDO-RS key (PS3.18 8.3.4.1): `00100010`, `PatientName`,
/// `RequestAttributesSequence.00400009`, `00400275.00400009`.
///
/// # Errors
/// [`QueryError::Attribute`], [`QueryError::NotSequence`].
pub fn parse_path(text: &str) -> Result<Vec<Tag>, QueryError> {
    let mut path = Vec::new();
    for step in text.split('.') {
        if let Some(&sequence) = path.last()
            && dictionary::vr(sequence).is_some_and(|vr| vr != VR::SQ)
        {
            return Err(QueryError::NotSequence(sequence));
        }
        if path.len() == MAX_PATH {
            return Err(QueryError::Attribute);
        }
        path.push(parse_tag(step).ok_or(QueryError::Attribute)?);
    }
    Ok(path)
}

fn parse_tag(text: &str) -> Option<Tag> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let number = u32::from_str_radix(text, 16).ok()?;
        return Some(Tag((number >> 16) as u16, (number & 0xFFFF) as u16));
    }
    dictionary::tag(text)
}

fn uids(tag: Tag, text: &str) -> Result<Matching, QueryError> {
    let mut list = Vec::new();
    for part in text.split(['\\', ',']) {
        let uid: Uid = part.trim_matches([' ', '\0']).parse().map_err(|_| QueryError::Uid(tag))?;
        if list.len() == MAX_KEY_VALUES {
            return Err(QueryError::TooMany(tag));
        }
        list.push(uid.as_str().to_owned());
    }
    Ok(one_or_list(list))
}

/// Reads the text of one end as the first and the last value it stands for.
type ReadEnds = fn(&str) -> Option<(String, String)>;

fn moments(tag: Tag, vr: VR, text: &str) -> Result<Matching, QueryError> {
    let (error, ends): (QueryError, ReadEnds) = match vr {
        VR::DA => (QueryError::Date(tag), |text| date_time::date(text).map(|date| (date.clone(), date))),
        VR::TM => (QueryError::Time(tag), |text| date_time::time(text).map(|span| (span.from, span.to))),
        _ => (QueryError::DateTime(tag), |text| {
            date_time::date_time(text).map(|span| {
                let offset = text.find(['+', '-']).and_then(|at| text.get(at..)).unwrap_or_default();
                (span.from + offset, span.to + offset)
            })
        }),
    };
    match date_time::span(vr, text) {
        date_time::Span::Malformed => Err(error),
        date_time::Span::Single(text) => {
            let (from, _) = ends(text).ok_or(error)?;
            Ok(Matching::Single(if vr == VR::DA { from } else { text.replace(':', "") }))
        }
        date_time::Span::Range(range) => {
            let from = range.from.map(|text| ends(text).ok_or(error)).transpose()?.map(|(from, _)| from);
            let to = range.to.map(|text| ends(text).ok_or(error)).transpose()?.map(|(_, to)| to);
            Ok(Matching::Range { from, to })
        }
    }
}

fn texts(tag: Tag, text: &str, may_be_several: bool) -> Result<Matching, QueryError> {
    if may_be_several && text.contains('\\') {
        let list: Vec<String> = text.split('\\').map(|part| part.trim_matches(' ').to_owned()).collect();
        return if list.len() > MAX_KEY_VALUES { Err(QueryError::TooMany(tag)) } else { Ok(Matching::List(list)) };
    }
    if text.bytes().all(|byte| byte == b'*') {
        return Ok(Matching::Universal);
    }
    Ok(if text.contains(['*', '?']) { Matching::Wildcard(text.to_owned()) } else { Matching::Single(text.to_owned()) })
}

fn values(tag: Tag, text: &str, agreed: Agreed, read: impl Fn(&str) -> Option<String>) -> Result<Matching, QueryError> {
    let parts: Vec<&str> = if agreed.multiple_value { text.split('\\').collect() } else { vec![text] };
    if parts.len() > MAX_KEY_VALUES {
        return Err(QueryError::TooMany(tag));
    }
    let list: Option<Vec<String>> = parts.iter().map(|part| read(part.trim_matches(' '))).collect();
    Ok(one_or_list(list.ok_or(QueryError::Number(tag))?))
}

fn one_or_list(mut list: Vec<String>) -> Matching {
    if list.len() > 1 {
        return Matching::List(list);
    }
    list.pop().map_or(Matching::Universal, Matching::Single)
}

#[cfg(test)]
mod tests;
