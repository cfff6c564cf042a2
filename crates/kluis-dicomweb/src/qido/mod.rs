//! Search parameters of QIDO-RS (PS3.18 8.3.4, 10.6.1.2): a query string becomes a [`Query`].
//!
//! Attribute names and values are decoded once. Errors name attributes by the standard's own keyword or by their place
//! in the query, never by what the client wrote: that may be patient data.

use kluis_dicom::{
    Tag, Uid, VR, dictionary,
    query::{Agreed, Filter, Level, Matching, Query, QueryError},
};

use crate::{limits, percent};

/// A search as the client asked for it, with what it must be told about it.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is searched.
    pub query: Query,
    /// What cannot be done as asked but does not stop the search; each is a `Warning: 299` header.
    pub warnings: Vec<Warning>,
    /// The decoded `accept` parameter, which has priority over the header (PS3.18 8.3.3.1).
    pub accept: Option<String>,
}

/// A `Warning: 299` of an answer (PS3.18 8.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A matching attribute is not kept at this level; it was not matched.
    NotMatched,
    /// The limit was greater than [`limits::RESULTS`].
    Limit,
    /// More results exist than the answer holds.
    MoreResults,
}

impl Warning {
    /// The value of the header.
    #[must_use]
    pub fn header_value(self) -> &'static str {
        match self {
            Self::NotMatched => {
                "299 kluis \"An attribute of the query is not searchable at this level. It has not been matched.\""
            }
            Self::Limit => "299 kluis \"The limit is greater than the maximum of 1000 results a page.\"",
            Self::MoreResults => "299 kluis \"There are additional results that can be requested.\"",
        }
    }
}

/// The query string is no search; every one is a 400 (PS3.18 8.3.4.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QidoError {
    /// Longer than [`limits::QUERY_BYTES`].
    #[error("the query is too long")]
    TooLong,
    /// A percent sign without two hex digits, or bytes that are no UTF-8.
    #[error("parameter {position} of the query is not percent-encoded UTF-8")]
    Encoding {
        /// Counted from 1.
        position: usize,
    },
    /// Neither a keyword nor a tag of the dictionary.
    #[error("parameter {position} of the query is no attribute of the data dictionary")]
    UnknownAttribute {
        /// Counted from 1.
        position: usize,
    },
    /// A private attribute, which would need its private creator.
    #[error("parameter {position} of the query is a private attribute without its private creator")]
    PrivateAttribute {
        /// Counted from 1.
        position: usize,
    },
    /// A path through something that is no sequence, or one longer than [`limits::QUERY_PATH_DEPTH`].
    #[error("parameter {position} of the query is no path through sequences")]
    Path {
        /// Counted from 1.
        position: usize,
    },
    /// The attribute or parameter stands there twice.
    #[error("the query repeats {name}")]
    Repeated {
        /// The keyword of the dictionary or the name of the parameter.
        name: &'static str,
    },
    /// The value does not fit the attribute.
    #[error("parameter {position} of the query: {source}")]
    Value {
        /// Counted from 1.
        position: usize,
        /// What is wrong with it.
        source: QueryError,
    },
    /// More attributes or values than allowed.
    #[error("the query has too many attributes or values")]
    TooMany,
    /// `limit` or `offset` is no unsigned number, or beyond its bound.
    #[error("{name} must be a whole number from 0 to {maximum}")]
    Number {
        /// `limit` or `offset`.
        name: &'static str,
        /// Greatest value.
        maximum: u32,
    },
    /// A flag that is neither `true` nor `false`.
    #[error("{name} must be true or false")]
    Flag {
        /// The name of the parameter.
        name: &'static str,
    },
}

/// Reads the raw query string (without `?`) of a search below the given study and series.
///
/// # Errors
/// [`QidoError`]; answer 400.
pub fn parse(level: Level, study: Option<Uid>, series: Option<Uid>, raw: &str) -> Result<Search, QidoError> {
    if raw.len() > limits::QUERY_BYTES {
        return Err(QidoError::TooLong);
    }
    let mut parser = Parser::default();
    for (index, piece) in raw.split('&').enumerate().filter(|(_, piece)| !piece.is_empty()) {
        let position = index + 1;
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = percent::decode(name, true).ok_or(QidoError::Encoding { position })?;
        let value = percent::decode(value, true).ok_or(QidoError::Encoding { position })?;
        parser.parameter(position, &name, &value)?;
    }
    parser.finish(level, study, series)
}

#[derive(Default)]
struct Parser {
    seen: Vec<&'static str>,
    keys: Vec<Key>,
    include: Vec<Tag>,
    include_all: bool,
    limit: Option<u32>,
    offset: u32,
    is_fuzzy: bool,
    agreed: Agreed,
    accept: Option<String>,
}

/// An attribute with the value it is to match, both as they came.
struct Key {
    position: usize,
    path: Vec<Tag>,
    vr: VR,
    value: String,
}

impl Parser {
    fn parameter(&mut self, position: usize, name: &str, value: &str) -> Result<(), QidoError> {
        match name {
            "includefield" => return self.include(position, value),
            "limit" => self.limit = Some(self.number("limit", u32::MAX, value)?),
            "offset" => self.offset = self.number("offset", limits::OFFSET, value)?,
            "fuzzymatching" => self.is_fuzzy = self.flag("fuzzymatching", value)?,
            "emptyvaluematching" => self.agreed.empty_value = self.flag("emptyvaluematching", value)?,
            "multiplevaluematching" => self.agreed.multiple_value = self.flag("multiplevaluematching", value)?,
            "accept" => {
                self.once("accept")?;
                self.accept = Some(value.to_owned());
            }
            // answers are UTF-8 whatever is preferred (PS3.18 8.8)
            "charset" => self.once("charset")?,
            _ => return self.attribute(position, name, value),
        }
        Ok(())
    }

    fn attribute(&mut self, position: usize, name: &str, value: &str) -> Result<(), QidoError> {
        let (path, keyword, vr) = resolve_path(position, name)?;
        if self.keys.iter().any(|key| key.path == path) {
            return Err(QidoError::Repeated { name: keyword });
        }
        if self.keys.len() >= limits::QUERY_FILTERS {
            return Err(QidoError::TooMany);
        }
        self.keys.push(Key { position, path, vr, value: value.to_owned() });
        Ok(())
    }

    fn include(&mut self, position: usize, value: &str) -> Result<(), QidoError> {
        for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if name == "all" {
                self.include_all = true;
                continue;
            }
            if self.include.len() >= limits::QUERY_INCLUDES {
                return Err(QidoError::TooMany);
            }
            // of a path, the whole sequence is returned; of a tag that the dictionary does not know, nothing is
            let first = name.split('.').next().unwrap_or(name);
            let tag =
                parse_tag(first).or_else(|| dictionary::tag(first)).ok_or(QidoError::UnknownAttribute { position })?;
            if !self.include.contains(&tag) {
                self.include.push(tag);
            }
        }
        Ok(())
    }

    fn number(&mut self, name: &'static str, maximum: u32, value: &str) -> Result<u32, QidoError> {
        self.once(name)?;
        let is_digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_digits { value.parse::<u32>().ok() } else { None };
        number.filter(|number| *number <= maximum).ok_or(QidoError::Number { name, maximum })
    }

    fn flag(&mut self, name: &'static str, value: &str) -> Result<bool, QidoError> {
        self.once(name)?;
        match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(QidoError::Flag { name }),
        }
    }

    fn once(&mut self, name: &'static str) -> Result<(), QidoError> {
        if self.seen.contains(&name) {
            return Err(QidoError::Repeated { name });
        }
        self.seen.push(name);
        Ok(())
    }

    fn finish(mut self, level: Level, study: Option<Uid>, series: Option<Uid>) -> Result<Search, QidoError> {
        let mut filters = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            let matching = key.matching(self.agreed)?;
            if !matches!(matching, Matching::Universal) {
                filters.push(Filter { path: key.path, matching });
            } else if let [tag] = key.path.as_slice() {
                // universal matching of an attribute asks for its return (PS3.4 C.2.2.2.3)
                self.include.push(*tag);
            }
        }
        let mut warnings = Vec::new();
        if self.limit.is_some_and(|limit| limit > limits::RESULTS) {
            warnings.push(Warning::Limit);
        }
        let mut query = Query::all(level, self.limit.unwrap_or(limits::RESULTS).min(limits::RESULTS));
        query.study = study;
        query.series = series;
        query.filters = filters;
        query.include_all = self.include_all;
        query.include = self.include;
        query.offset = self.offset;
        query.is_fuzzy = self.is_fuzzy;
        Ok(Search { query, warnings, accept: self.accept })
    }
}

impl Key {
    fn matching(&self, agreed: Agreed) -> Result<Matching, QidoError> {
        let wrong = |source| QidoError::Value { position: self.position, source };
        let tag = self.path.last().copied().ok_or(QidoError::Path { position: self.position })?;
        if self.vr != VR::CS {
            return Matching::from_text(tag, self.vr, &self.value, agreed).map_err(wrong);
        }
        // no code string holds a comma or backslash, and clients of all sorts send lists of modalities
        let list = self.value.replace(',', "\\");
        Matching::from_text(tag, self.vr, &list, Agreed { multiple_value: true, ..agreed }).map_err(wrong)
    }
}

/// A tag or keyword, or several of them joined by full stops: tags from the outside in, with keyword and value
/// representation of the last one.
fn resolve_path(position: usize, name: &str) -> Result<(Vec<Tag>, &'static str, VR), QidoError> {
    let mut path = Vec::new();
    let mut last: Option<(&'static str, VR)> = None;
    for piece in name.split('.') {
        if last.is_some_and(|(_, vr)| vr != VR::SQ) || path.len() >= limits::QUERY_PATH_DEPTH {
            return Err(QidoError::Path { position });
        }
        let tag =
            parse_tag(piece).or_else(|| dictionary::tag(piece)).ok_or(QidoError::UnknownAttribute { position })?;
        if tag.0 % 2 == 1 {
            return Err(QidoError::PrivateAttribute { position });
        }
        // group 0002 and group lengths are no attributes of an object (PS3.18 8.3.4.1)
        let known = dictionary::keyword(tag).zip(dictionary::vr(tag)).filter(|_| tag.0 >= 8 && tag.1 != 0);
        last = Some(known.ok_or(QidoError::UnknownAttribute { position })?);
        path.push(tag);
    }
    let (keyword, vr) = last.ok_or(QidoError::Path { position })?;
    Ok((path, keyword, vr))
}

fn parse_tag(text: &str) -> Option<Tag> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(text, 16).ok()?;
    let [a, b, c, d] = number.to_be_bytes();
    Some(Tag(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests;
