//! Application entity titles (PS3.5 6.2, VR AE; PS3.8 7.1.1.3).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An AE title: 1 to 16 characters of the default repertoire, no backslash, no control characters, no outer spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AeTitle(String);

/// The text is no AE title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an AE title has 1 to 16 printable ASCII characters, no backslash, and is not only spaces")]
pub struct AeTitleError;

impl AeTitle {
    /// The text, without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AeTitle {
    type Err = AeTitleError;

    /// Leading and trailing spaces are not significant (PS3.5 6.2) and are dropped.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let text = s.trim_matches(' ');
        let is_valid =
            (1..=16).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\');
        if is_valid { Ok(Self(text.to_owned())) } else { Err(AeTitleError) }
    }
}

impl TryFrom<String> for AeTitle {
    type Error = AeTitleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AeTitle> for String {
    fn from(title: AeTitle) -> Self {
        title.0
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
