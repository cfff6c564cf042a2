//! Unique identifiers (PS3.5 9).

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A unique identifier: 1 to 64 characters of `0-9` and `.`.
///
/// PS3.5 9.1 asks for more (no leading zeros in a component, registered roots); devices in the field break those rules,
/// and nothing here depends on them, so they are not enforced.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(Arc<str>);

/// The text is no UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UidError {
    /// No characters at all.
    #[error("a UID must not be empty")]
    Empty,
    /// More than 64 characters.
    #[error("a UID has at most 64 characters")]
    TooLong,
    /// A character other than a digit or a full stop.
    #[error("a UID consists of digits and full stops")]
    Character,
}

impl Uid {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a value as it stands in a data set: the trailing NUL or space that makes the length even is dropped
    /// (PS3.5 9.1; devices pad with either).
    ///
    /// # Errors
    /// [`UidError`] where the rest is no UID.
    pub fn from_value(value: &[u8]) -> Result<Self, UidError> {
        let end = value.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
        let text = value.get(..end).unwrap_or_default();
        std::str::from_utf8(text).map_err(|_| UidError::Character)?.parse()
    }
}

impl FromStr for Uid {
    type Err = UidError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.is_empty() {
            return Err(UidError::Empty);
        }
        if s.len() > 64 {
            return Err(UidError::TooLong);
        }
        if !s.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(UidError::Character);
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({})", self.0)
    }
}

impl Serialize for Uid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_accepts_digits_and_stops_up_to_64() {
        let longest = "1".repeat(64);
        for text in ["1", "1.2.840.10008.1.1", longest.as_str()] {
            assert_eq!(text.parse::<Uid>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn uid_refuses_everything_else_by_name() {
        let too_long = "1".repeat(65);
        for (text, error) in [
            ("", UidError::Empty),
            (too_long.as_str(), UidError::TooLong),
            ("1.2/../3", UidError::Character),
            ("1.2 ", UidError::Character),
        ] {
            assert_eq!(text.parse::<Uid>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn uid_value_loses_its_padding() {
        for value in [&b"1.2\0"[..], b"1.2 ", b"1.2", b"1.2\0\0"] {
            assert_eq!(Uid::from_value(value).unwrap().as_str(), "1.2");
        }
        assert_eq!(Uid::from_value(b"\0\0"), Err(UidError::Empty));
    }
}
