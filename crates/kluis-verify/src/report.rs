//! What a verification says: for programs as JSON, for people as text or as one page of HTML.

use std::fmt::Write;

use serde::Serialize;

/// What is said of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every byte of the file is what the log committed to.
    Intact,
    /// The log committed to other bytes.
    Altered,
    /// The proof names it, and there is no such file.
    Missing,
    /// A file that the proof does not name.
    Extra,
    /// Nothing that can be believed says what it should be.
    Unproven,
}

impl Verdict {
    /// All of them, the good one first.
    pub const ALL: [Self; 5] = [Self::Intact, Self::Altered, Self::Missing, Self::Extra, Self::Unproven];

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Intact => "INTACT",
            Self::Altered => "ALTERED",
            Self::Missing => "MISSING",
            Self::Extra => "EXTRA",
            Self::Unproven => "UNPROVEN",
        }
    }
}

/// What is said of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// Everything is intact, by a key that was given.
    Intact,
    /// Everything fits together, but who made the proof is not known: anyone can make one with a key of their own.
    IntactByOwnKey,
    /// Something is not intact.
    NotIntact,
}

impl Conclusion {
    /// Exit code: 0, 3 or 1.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Intact => 0,
            Self::IntactByOwnKey => 3,
            Self::NotIntact => 1,
        }
    }

    /// One sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Intact => "INTACT: every object is what the log recorded, and none is missing.",
            Self::IntactByOwnKey => {
                "INTACT BY THE KEY IN THE PROOF ONLY: the files fit the proof, but anyone can make a proof with a key of \
                 their own. Get the verifier key from the archive by another way and give it with --key."
            }
            Self::NotIntact => "NOT INTACT: see what is said of the objects.",
        }
    }
}

/// One object, or one file that is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectReport {
    /// The verdict.
    pub verdict: Verdict,
    /// Its file.
    pub file: Option<String>,
    /// Why, and where.
    pub reasons: Vec<String>,
    /// SOP Instance UID, where it is proved.
    pub sop_instance: Option<String>,
    /// Who delivered it, where it is proved.
    pub sender: Option<String>,
    /// How it travelled, where it is proved.
    pub transport: Option<String>,
    /// When it was received (RFC 3339, UTC), where it is proved.
    pub received_at: Option<String>,
    /// Index of its leaf.
    pub leaf: Option<u64>,
}

/// What a verification says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The whole.
    pub conclusion: Conclusion,
    /// Whether the key was given, and not taken from the proof.
    pub is_key_given: bool,
    /// The verifier key.
    pub key: Option<String>,
    /// The log.
    pub origin: Option<String>,
    /// Leaves under its checkpoint.
    pub log_size: Option<u64>,
    /// Root under its checkpoint, hex.
    pub log_root: Option<String>,
    /// Study Instance UID, as the proof names it.
    pub study: Option<String>,
    /// Whether the key has signed that the proof names every version that the archive has of the study.
    pub is_complete: bool,
    /// What is wrong with the proof as a whole.
    pub findings: Vec<String>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// The objects, in the order of the proof; then files that it does not name.
    pub objects: Vec<ObjectReport>,
}

impl Report {
    /// How many objects have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.objects.iter().filter(|object| object.verdict == verdict).count()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for object in &self.objects {
            let _ = writeln!(text, "{:9} {}", object.verdict.word(), object.line());
            for reason in &object.reasons {
                let _ = writeln!(text, "          {}", printable(reason));
            }
        }
        for finding in &self.findings {
            let _ = writeln!(text, "PROOF     {}", printable(finding));
        }
        for note in &self.notes {
            let _ = writeln!(text, "note      {}", printable(note));
        }
        for (name, value) in self.facts() {
            let _ = writeln!(text, "{name}: {}", printable(&value));
        }
        let _ = writeln!(text, "{}", self.counts());
        let _ = writeln!(text, "{}", self.conclusion.sentence());
        text
    }

    /// One page without scripts and without anything from elsewhere.
    #[must_use]
    pub fn html(&self) -> String {
        let mut page = String::from(HTML_HEAD);
        let class = self.conclusion.class();
        let _ = write!(page, "<p class=\"{class}\">{}</p><dl>", escape(self.conclusion.sentence()));
        for (name, value) in self.facts() {
            let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(&value));
        }
        let _ = write!(page, "<dt>objects</dt><dd>{}</dd></dl>", escape(&self.counts()));
        for finding in self.findings.iter().chain(&self.notes) {
            let _ = write!(page, "<p>{}</p>", escape(finding));
        }
        page.push_str("<table><tr><th>verdict<th>file<th>received<th>from<th>by<th>leaf<th>why and where</tr>");
        for object in &self.objects {
            let shown = |value: &Option<String>| escape(value.as_deref().unwrap_or("-"));
            let _ = write!(
                page,
                "<tr class=\"{}\"><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                if object.verdict == Verdict::Intact { "good" } else { "bad" },
                object.verdict.word(),
                shown(&object.file),
                shown(&object.received_at),
                shown(&object.sender),
                shown(&object.transport),
                object.leaf.map_or_else(|| "-".to_owned(), |leaf| leaf.to_string()),
                escape(&object.reasons.join("; ")),
            );
        }
        page.push_str("</table></body></html>\n");
        page
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let whence = if self.is_key_given { "given" } else { "from the proof itself" };
        if let Some(key) = &self.key {
            facts.push(("key", format!("{key} ({whence})")));
        }
        if let (Some(origin), Some(size), Some(root)) = (&self.origin, self.log_size, &self.log_root) {
            facts.push(("log", format!("{origin}, {size} leaves, root {root}")));
        }
        if let Some(study) = &self.study {
            facts.push(("study", study.clone()));
        }
        let is_complete = if self.is_complete { "signed by the key" } else { "not proven" };
        facts.push(("list of objects", is_complete.to_owned()));
        facts
    }

    fn counts(&self) -> String {
        let counts = Verdict::ALL.map(|verdict| format!("{} {}", self.count(verdict), verdict.word()));
        counts.join(", ")
    }
}

impl Conclusion {
    fn class(self) -> &'static str {
        match self {
            Self::Intact => "good",
            Self::IntactByOwnKey => "doubt",
            Self::NotIntact => "bad",
        }
    }
}

impl ObjectReport {
    fn line(&self) -> String {
        let mut line = printable(self.file.as_deref().unwrap_or("(no file)"));
        let known = [("received", &self.received_at), ("from", &self.sender), ("by", &self.transport)];
        for (word, value) in known {
            if let Some(value) = value {
                let _ = write!(line, "  {word} {}", printable(value));
            }
        }
        if let Some(leaf) = self.leaf {
            let _ = write!(line, "  leaf {leaf}");
        }
        if let (Some(uid), true) = (&self.sop_instance, self.verdict != Verdict::Intact) {
            let _ = write!(line, "  SOP Instance UID {}", printable(uid));
        }
        line
    }
}

/// A terminal obeys control characters: a name of a file must not speak to it.
fn printable(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const HTML_HEAD: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
<title>Verification of an exported study</title><style>\
body{font:14px/1.4 sans-serif;margin:2em}table{border-collapse:collapse;width:100%}\
td,th{border:1px solid #999;padding:.2em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
dd{overflow-wrap:anywhere}p.good,p.bad,p.doubt{font-size:1.2em;padding:.5em;border:2px solid}\
p.good{border-color:#070}p.doubt{border-color:#b60}p.bad{border-color:#b00}tr.bad{background:#fdd}\
</style></head><body><h1>Verification of an exported study</h1>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_terminals_obey_no_names() {
        let evil = "<script>alert('\u{1b}[2J\"&')</script>".to_owned();
        let object = ObjectReport {
            verdict: Verdict::Extra,
            file: Some(evil.clone()),
            reasons: vec![evil.clone()],
            sop_instance: Some(evil.clone()),
            sender: Some(evil.clone()),
            transport: Some(evil.clone()),
            received_at: Some(evil.clone()),
            leaf: None,
        };
        let report = Report {
            conclusion: Conclusion::NotIntact,
            is_key_given: false,
            key: Some(evil.clone()),
            origin: Some(evil.clone()),
            log_size: Some(1),
            log_root: Some(evil.clone()),
            study: Some(evil.clone()),
            is_complete: false,
            findings: vec![evil.clone()],
            notes: vec![evil],
            objects: vec![object],
        };
        let page = report.html();
        assert!(!page.contains("<script") && !page.contains('\u{1b}') && page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("http:") && !page.contains("https:"), "nothing is fetched");
        assert!(!report.text().contains('\u{1b}'));
    }
}
