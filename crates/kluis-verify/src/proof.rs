//! The lines of a proof, read with bounds. Any bytes may be given: nothing here panics, recurses or allocates what a
//! number in the input says.

use std::io::BufRead;

use base64::prelude::{BASE64_STANDARD, Engine};
use kluis_ledger::Hash;
use serde::Deserialize;

use crate::limits;

/// The form that is read.
pub const FORM: &str = "kluis-proof/1";

/// Why a line says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// It is longer than any line of ours.
    #[error("the line is too long")]
    TooLong,
    /// There are more lines than a proof can have.
    #[error("the proof has too many lines")]
    TooMany,
    /// It is no JSON of the known form.
    #[error("the line has not the form of a proof")]
    Form,
    /// The proof is of a form that this program does not know.
    #[error("the proof is of an unknown form")]
    UnknownForm,
    /// A field is not what it must be.
    #[error("{0} is wrong")]
    Field(&'static str),
    /// It cannot be read.
    #[error("the proof cannot be read: {0}")]
    Read(String),
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// [`FORM`].
    pub form: String,
    /// Name of the log.
    pub origin: String,
    /// The verifier key that the node names: to be believed only where it is known from elsewhere.
    pub key: String,
    /// Opaque id of the study in the leaves, 64 hex digits.
    pub study: String,
    /// Study Instance UID.
    pub study_uid: String,
    /// Commitment key of the study, 64 hex digits.
    pub commitment_key: String,
    /// Signed head of the log.
    pub checkpoint: String,
}

/// Whether a version is among the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is.
    Exported,
    /// It is another version under a known SOP Instance UID, which archives do not show.
    Conflict,
    /// The archive holds its leaf only.
    Lost,
}

/// A line for one version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Whether it is among the files.
    pub state: State,
    /// Its file.
    pub file: Option<String>,
    /// Its leaf.
    pub leaf: Option<Leaf>,
    /// What the leaf commits to.
    pub opening: Option<Opening>,
    /// Finer hashes.
    pub parts: Option<Parts>,
}

/// A leaf and its way to the root.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Its index in the log.
    pub index: u64,
    /// The entry, base64.
    entry: String,
    /// The inclusion proof, base64.
    path: String,
}

impl Leaf {
    /// The bytes of the entry.
    #[must_use]
    pub fn entry(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.entry).unwrap_or_default()
    }

    /// The hashes of the inclusion proof.
    #[must_use]
    pub fn path(&self) -> Vec<Hash> {
        hashes(&self.path).unwrap_or_default()
    }
}

/// What a leaf commits to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Id of the object, 32 hex digits.
    pub object: String,
    /// BLAKE3 of the data set, 64 hex digits.
    pub digest: String,
    /// Its length in bytes.
    pub length: u64,
    /// Series Instance UID.
    pub series: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// SOP Class UID.
    pub sop_class: String,
    /// Transfer Syntax UID.
    pub transfer_syntax: String,
    /// Label of who delivered it.
    pub sender: String,
    /// How it travelled.
    pub transport: String,
    /// When it was received, Unix time in microseconds.
    pub received_at_us: i64,
    /// Id of the version that was there before.
    pub previous: Option<String>,
}

/// Finer hashes of an object: without proof of their own, and used only to say where it was altered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// The longest piece that is hashed, in bytes.
    pub step: u64,
    /// One behind the other, without gaps.
    pub list: Vec<Part>,
}

/// A data element of the outermost level, or what belongs to none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Eight hex digits.
    pub tag: Option<String>,
    /// In bytes.
    pub length: u64,
    /// Where in the data set each frame begins.
    #[serde(default)]
    pub frames: Vec<u64>,
    /// BLAKE3 of each piece, base64.
    pub hashes: String,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// SHA-256 of each line before, base64.
    line_hashes: String,
    /// The signed note over them.
    pub statement: String,
}

impl Closing {
    /// SHA-256 of each line before.
    #[must_use]
    pub fn line_hashes(&self) -> Vec<Hash> {
        hashes(&self.line_hashes).unwrap_or_default()
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The first.
    Head(Head),
    /// One in between.
    Object(Box<Object>),
    /// The last.
    Closing(Closing),
}

/// Reads one line without its line end.
///
/// # Errors
/// [`ProofError`].
pub fn parse_line(line: &[u8]) -> Result<Line, ProofError> {
    if line.len() > limits::LINE_BYTES {
        return Err(ProofError::TooLong);
    }
    let text = std::str::from_utf8(line).map_err(|_| ProofError::Form)?;
    let starts = |key: &str| text.starts_with(key);
    if starts("{\"form\"") {
        let head: Head = serde_json::from_str(text).map_err(|_| ProofError::Form)?;
        check_head(&head)?;
        return Ok(Line::Head(head));
    }
    if starts("{\"line_hashes\"") {
        let closing: Closing = serde_json::from_str(text).map_err(|_| ProofError::Form)?;
        hashes(&closing.line_hashes).ok_or(ProofError::Field("line_hashes"))?;
        check("statement", closing.statement.len() <= limits::NOTE_BYTES)?;
        return Ok(Line::Closing(closing));
    }
    let object: Object = serde_json::from_str(text).map_err(|_| ProofError::Form)?;
    check_object(&object)?;
    Ok(Line::Object(Box::new(object)))
}

/// Reads a whole proof, with everything that is checked without files; for fuzzing and tests.
///
/// # Errors
/// The first [`ProofError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Line>, ProofError> {
    let (mut reader, mut lines) = (Lines::new(bytes), Vec::new());
    while let Some(line) = reader.next()? {
        let line = parse_line(line)?;
        if let (Line::Object(object), Some(Line::Head(head))) = (&line, lines.first()) {
            // whatever it says, it must not fail otherwise than by saying so
            let _ = crate::opening::check_commitment(head, object);
            let _ = object.parts.as_ref().map(|parts| crate::locate::Pieces::new(parts, u64::MAX));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Lines of a proof, one at a time.
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
    count: usize,
}

impl<R: BufRead> Lines<R> {
    /// From the start.
    pub fn new(input: R) -> Self {
        Self { input, line: Vec::new(), count: 0 }
    }

    /// The next line without its line end; `None` behind the last.
    ///
    /// # Errors
    /// [`ProofError::TooLong`], [`ProofError::TooMany`], [`ProofError::Read`]; nothing can be read behind any of them.
    #[allow(clippy::should_implement_trait, reason = "it lends the line")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, ProofError> {
        self.line.clear();
        if self.count >= limits::LINES {
            return Err(ProofError::TooMany);
        }
        loop {
            let buffer = self.input.fill_buf().map_err(|error| ProofError::Read(error.kind().to_string()))?;
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            if self.line.len() + taken.len() > limits::LINE_BYTES {
                return Err(ProofError::TooLong);
            }
            self.line.extend_from_slice(taken);
            let used = taken.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                self.count += 1;
                return Ok(Some(&self.line));
            }
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        // the last line too ends in a line end: a cut one is not taken for whole
        Err(ProofError::Form)
    }
}

/// Hashes set one behind the other, base64.
pub(crate) fn hashes(text: &str) -> Option<Vec<Hash>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let (hashes, []) = bytes.as_chunks::<32>() else { return None };
    Some(hashes.to_vec())
}

/// Bytes in lowercase hex digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

fn check(field: &'static str, is_right: bool) -> Result<(), ProofError> {
    if is_right { Ok(()) } else { Err(ProofError::Field(field)) }
}

fn check_head(head: &Head) -> Result<(), ProofError> {
    if head.form != FORM {
        return Err(ProofError::UnknownForm);
    }
    check("origin", head.origin.len() <= limits::TEXT_BYTES)?;
    check("key", head.key.len() <= limits::TEXT_BYTES)?;
    check("study", unhex::<32>(&head.study).is_some())?;
    check("study_uid", is_uid(&head.study_uid))?;
    check("commitment_key", unhex::<32>(&head.commitment_key).is_some())?;
    check("checkpoint", head.checkpoint.len() <= limits::NOTE_BYTES)
}

fn check_object(object: &Object) -> Result<(), ProofError> {
    if let Some(file) = &object.file {
        check("file", is_file_name(file))?;
    }
    check("file", object.file.is_some() == (object.state == State::Exported))?;
    if let Some(leaf) = &object.leaf {
        let entry = BASE64_STANDARD.decode(&leaf.entry).map_err(|_| ProofError::Field("entry"))?;
        check("entry", (1..=limits::LEAF_BYTES).contains(&entry.len()))?;
        let path = hashes(&leaf.path).ok_or(ProofError::Field("path"))?;
        check("path", path.len() <= limits::PATH_HASHES)?;
    }
    if let Some(opening) = &object.opening {
        check("object", unhex::<16>(&opening.object).is_some())?;
        check("digest", unhex::<32>(&opening.digest).is_some())?;
        let uids = [&opening.series, &opening.sop_instance, &opening.sop_class, &opening.transfer_syntax];
        check("a UID", uids.into_iter().all(|uid| is_uid(uid)))?;
        check("sender", opening.sender.len() <= limits::TEXT_BYTES)?;
        check("transport", opening.transport.len() <= 64)?;
        check("previous", opening.previous.as_ref().is_none_or(|object| unhex::<16>(object).is_some()))?;
    }
    check("opening", object.opening.is_some() || object.state == State::Lost)?;
    if let Some(parts) = &object.parts {
        check("parts", parts.list.len() <= limits::PARTS && (1..=limits::STEP_BYTES).contains(&parts.step))?;
        check("parts", parts.list.iter().all(|part| part.tag.as_ref().is_none_or(|tag| tag_of(tag).is_some())))?;
    }
    Ok(())
}

/// Group and element of eight hex digits.
pub(crate) fn tag_of(text: &str) -> Option<kluis_dicom::Tag> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let (group, element) = text.split_at_checked(4)?;
    Some(kluis_dicom::Tag(u16::from_str_radix(group, 16).ok()?, u16::from_str_radix(element, 16).ok()?))
}

fn is_uid(text: &str) -> bool {
    text.parse::<kluis_dicom::Uid>().is_ok()
}

/// As PS3.10 8.2 has it: so a name leads nowhere else.
fn is_file_name(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=8).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    text.split('/').count() <= 8 && text.split('/').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = concat!(
        r#"{"form":"kluis-proof/1","origin":"o","key":"k","study":"#,
        r#""0000000000000000000000000000000000000000000000000000000000000000","study_uid":"1.2","commitment_key":"#,
        r#""0000000000000000000000000000000000000000000000000000000000000000","checkpoint":"c"}"#
    );

    #[test]
    fn a_proof_is_read_line_by_line_and_a_cut_one_is_not_whole() {
        let lost = r#"{"state":"lost","file":null,"leaf":null,"opening":null,"parts":null}"#;
        let closing = r#"{"line_hashes":"","statement":""}"#;
        let proof = format!("{HEAD}\n{lost}\n{closing}\n");
        assert_eq!(parse(proof.as_bytes()).unwrap().len(), 3);
        assert!(matches!(parse(b""), Ok(lines) if lines.is_empty()));
        for cut in 1..proof.len() {
            let is_between = proof.as_bytes()[cut - 1] == b'\n';
            assert_eq!(parse(&proof.as_bytes()[..cut]).is_ok(), is_between, "{cut}");
        }
    }

    #[test]
    fn what_breaks_the_form_is_told() {
        let head = |from: &str, to: &str| parse_line(HEAD.replacen(from, to, 1).as_bytes());
        assert_eq!(head("proof/1", "proof/2"), Err(ProofError::UnknownForm));
        assert_eq!(head("\"1.2\"", "\"1.x\""), Err(ProofError::Field("study_uid")));
        assert_eq!(head("00", "0"), Err(ProofError::Field("study")));
        assert_eq!(head("{", "{\"form\":\"x\","), Err(ProofError::Form), "a key twice");
        assert_eq!(head("\"origin\"", "\"else\""), Err(ProofError::Form), "an unknown key");
        for (file, is_right) in
            [("A/B1", true), ("../A", false), ("/A", false), ("A//B", false), ("a", false), ("", false)]
        {
            let opening = concat!(
                r#"{"object":"00000000000000000000000000000000","digest":"#,
                r#""0000000000000000000000000000000000000000000000000000000000000000","length":1,"series":"1","#,
                r#""sop_instance":"1","sop_class":"1","transfer_syntax":"1","sender":"","transport":"local","#,
                r#""received_at_us":0,"previous":null}"#
            );
            let line =
                format!(r#"{{"state":"exported","file":"{file}","leaf":null,"opening":{opening},"parts":null}}"#);
            assert_eq!(parse_line(line.as_bytes()).is_ok(), is_right, "{file}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse_line(deep.as_bytes()), Err(ProofError::Form));
    }
}
