//! What can be wrong: the rules, each with its check, its CVSS v4.0 base, its severity inside and outside, and its words.
//!
//! The words stand in `data/rules.toml`, in three languages; what a rule is worth stands there too, so that both are
//! read side by side.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

use crate::scan::{Exposure, Severity};

/// Something that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rule {
    /// Associates with any title.
    DicomAssociatesAnyone,
    /// Knows its own title, but takes any caller that says it.
    DicomAeTitleOnly,
    /// C-FIND.
    DicomFindOpen,
    /// C-FIND of the worklist.
    DicomWorklistOpen,
    /// C-MOVE or C-GET.
    DicomRetrieveOpen,
    /// C-STORE.
    DicomStoreOpen,
    /// Records were counted over DICOM.
    DicomCountOpen,
    /// DICOM without TLS.
    DicomClear,
    /// DICOM over TLS that wants no certificate.
    DicomTlsAnyone,
    /// Certificate is past its time.
    TlsCertificateExpired,
    /// Certificate is its own issuer.
    TlsCertificateSelfSigned,
    /// TLS before 1.2.
    TlsVersionOld,
    /// QIDO-RS.
    WebQueryOpen,
    /// Counts.
    WebCountOpen,
    /// WADO-RS and the like.
    WebRetrieveOpen,
    /// STOW-RS.
    WebStoreOpen,
    /// An interface for administrators.
    WebAdminOpen,
    /// Imaging over HTTP without TLS.
    WebClear,
    /// Any origin may read.
    WebCorsAny,
    /// Headers that protect browsers are missing.
    WebHeadersMissing,
    /// A cookie that others can read.
    WebCookieOpen,
    /// Folders are listed.
    WebListingOpen,
    /// DICOM files lie open.
    FilesDicomOpen,
    /// A default account lets in.
    DefaultAccount,
    /// Another tool says something.
    ReportedElsewhere,
}

/// What a rule is worth, and its words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Check of the catalogue.
    pub check: String,
    /// CVSS v4.0 base vector of the condition.
    pub vector: String,
    /// Its score.
    pub score: f32,
    /// Severity where only the owner's network reaches it.
    pub internal: Severity,
    /// Severity where everybody does.
    pub public: Severity,
    /// English.
    pub en: Words,
    /// Dutch.
    pub nl: Words,
    /// German.
    pub de: Words,
}

/// The words for a rule in one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// What is wrong.
    pub title: String,
    /// What it means.
    pub risk: String,
    /// What to do.
    pub fix: String,
}

/// A language of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Dutch.
    Nl,
    /// German.
    De,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::En, Self::Nl, Self::De];

    /// The tag of BCP 47.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Nl => "nl",
            Self::De => "de",
        }
    }
}

static ENTRIES: LazyLock<BTreeMap<Rule, Entry>> =
    LazyLock::new(|| toml::from_str(include_str!("../data/rules.toml")).unwrap_or_default());

impl Rule {
    /// All rules that have an entry, which a test holds to be all rules.
    pub fn all() -> impl Iterator<Item = Self> {
        ENTRIES.keys().copied()
    }

    /// What it is worth.
    #[must_use]
    pub fn entry(self) -> Option<&'static Entry> {
        ENTRIES.get(&self)
    }

    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Entry {
    /// How bad it is, as far as others reach it.
    #[must_use]
    pub fn severity(&self, exposure: Exposure) -> Severity {
        match exposure {
            Exposure::Internal => self.internal,
            Exposure::Public => self.public,
        }
    }

    /// Its words in a language.
    #[must_use]
    pub fn words(&self, language: Language) -> &Words {
        match language {
            Language::En => &self.en,
            Language::Nl => &self.nl,
            Language::De => &self.de,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_an_entry_and_its_words() {
        let parsed: BTreeMap<Rule, Entry> = toml::from_str(include_str!("../data/rules.toml")).unwrap();
        assert_eq!(parsed.len(), 25);
        for (rule, entry) in parsed {
            assert!(entry.public >= entry.internal, "{rule:?}");
            let vector: cvss::v4::Vector = entry.vector.parse().unwrap();
            assert_eq!(format!("{:.1}", vector.score().value()), format!("{:.1}", entry.score), "{rule:?}");
            for language in Language::ALL {
                let words = entry.words(language);
                for text in [&words.title, &words.risk, &words.fix] {
                    assert!(text.chars().count() > 10, "{rule:?} {language:?}");
                }
            }
        }
    }
}
