//! Verification of one exported study.
//!
//! Each object is proved by itself: opening -> commitment -> leaf -> checkpoint -> key, and its whole file follows from the
//! opening: the head byte for byte, the data set by its digest. Beside this the key has signed the lines of the proof, which
//! is all that says that none is left out.

use std::{
    collections::{BTreeMap, HashSet},
    io::{BufReader, Read},
    path::Path,
};

use blake3::Hasher;
use kluis_dicom::{
    AeTitle,
    file_meta::{self, FileMeta},
    implementation,
};
use kluis_ledger::{Checkpoint, ExportStatement, Hash, VerifierKey};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    limits,
    locate::Pieces,
    opening,
    proof::{self, Closing, Head, Line, Lines, Object, Opening, ProofError, State, unhex},
    report::{Conclusion, ObjectReport, Report, Verdict},
    source::{Source, SourceError},
};

/// The name of the proof beside the files.
pub const PROOF: &str = "proof.jsonl";

/// What is trusted from the start.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The verifier key of the log. Without it the key in the proof is used, and the conclusion says so.
    pub key: Option<VerifierKey>,
    /// A signed checkpoint of the log that was had by another way: that of the proof must not contradict it.
    pub checkpoint: Option<String>,
}

/// Verifies the study that was exported to a folder or ZIP file.
///
/// # Errors
/// [`SourceError`] where there is nothing that could be looked at. Everything else is in the report.
pub fn verify_study(path: &Path, trust: &Trust) -> Result<Report, SourceError> {
    let mut source = Source::open(path)?;
    let mut verification = Verification::new(trust);
    verification.read_proof(&mut source);
    verification.read_files(&mut source);
    Ok(verification.conclude(&source))
}

struct Verification<'a> {
    trust: &'a Trust,
    report: Report,
    head: Option<Head>,
    checkpoint: Option<Checkpoint>,
    entries: Vec<Entry>,
    line_hashes: Vec<Hash>,
    closing: Option<Closing>,
}

/// What is kept of a line for an object; its parts are read again where they are needed.
struct Entry {
    /// Number of the line, from 0.
    line: usize,
    object: Option<Object>,
    /// Why it proves nothing.
    doubt: Option<String>,
}

impl<'a> Verification<'a> {
    fn new(trust: &'a Trust) -> Self {
        let report = Report {
            conclusion: Conclusion::NotIntact,
            is_key_given: trust.key.is_some(),
            key: trust.key.as_ref().map(ToString::to_string),
            origin: None,
            log_size: None,
            log_root: None,
            study: None,
            is_complete: false,
            findings: Vec::new(),
            notes: Vec::new(),
            objects: Vec::new(),
        };
        let (head, checkpoint, closing) = (None, None, None);
        Self { trust, report, head, checkpoint, entries: Vec::new(), line_hashes: Vec::new(), closing }
    }

    fn find(&mut self, finding: impl Into<String>) {
        self.report.findings.push(finding.into());
    }

    fn read_proof(&mut self, source: &mut Source) {
        let opened = match source.file(PROOF) {
            Ok(file) => file,
            Err(_) => return self.find(format!("there is no proof: {PROOF} is missing or cannot be opened")),
        };
        let mut lines = Lines::new(BufReader::new(opened));
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    self.find(format!("line {}: {error}", self.line_hashes.len() + 1));
                    break;
                }
            };
            self.take_line(line);
        }
        self.check_statement();
        self.find_doubles();
    }

    fn take_line(&mut self, line: &[u8]) {
        let number = self.line_hashes.len();
        let parsed = proof::parse_line(line);
        if self.closing.is_some() {
            return self.find("the proof goes on behind its statement");
        }
        if let Ok(Line::Closing(closing)) = parsed {
            self.closing = Some(closing);
            return;
        }
        self.line_hashes.push(ExportStatement::line_hash(line));
        match parsed {
            Ok(Line::Head(head)) if number == 0 => self.take_head(head),
            Ok(Line::Object(object)) if number > 0 => {
                let doubt = match (&self.head, &self.checkpoint) {
                    (Some(head), Some(checkpoint)) if object.opening.is_some() => {
                        opening::check(head, checkpoint, &object).err()
                    }
                    (Some(head), Some(checkpoint)) => {
                        let is_held = opening::check_inclusion(checkpoint, &object);
                        is_held
                            .err()
                            .or((!opening::is_of_study(head, &object)).then_some("its leaf is of another study"))
                    }
                    _ => Some("the log under it is not proved"),
                };
                let object = Object { parts: None, ..*object };
                self.entries.push(Entry { line: number, object: Some(object), doubt: doubt.map(str::to_owned) });
            }
            other => {
                let what = other.err().unwrap_or(ProofError::Form);
                self.find(format!("line {}: {what}", number + 1));
                if number > 0 {
                    self.entries.push(Entry { line: number, object: None, doubt: Some(what.to_string()) });
                }
            }
        }
    }

    fn take_head(&mut self, head: Head) {
        let own = head.key.parse::<VerifierKey>();
        if let (Some(given), Ok(own)) = (&self.trust.key, &own)
            && given != own
        {
            self.find("the proof names another key than the one that was given");
        }
        match (&self.trust.key, own) {
            (Some(given), _) => self.open_checkpoint(&head, &given.clone()),
            (None, Ok(own)) => {
                self.report.key = Some(own.to_string());
                self.open_checkpoint(&head, &own);
            }
            (None, Err(error)) => self.find(format!("the key in the proof: {error}")),
        }
        self.report.study = Some(head.study_uid.clone());
        self.head = Some(head);
    }

    fn open_checkpoint(&mut self, head: &Head, key: &VerifierKey) {
        let checkpoint = match Checkpoint::open(&head.checkpoint, key) {
            Ok(checkpoint) if checkpoint.origin == head.origin => checkpoint,
            Ok(_) => return self.find("the checkpoint in the proof is of another log"),
            Err(error) => return self.find(format!("the checkpoint in the proof: {error}")),
        };
        if let Some(note) = &self.trust.checkpoint {
            match Checkpoint::open(note, key) {
                Err(error) => return self.find(format!("the checkpoint that was given: {error}")),
                Ok(given) if given.size == checkpoint.size && given.root != checkpoint.root => {
                    return self.find("the log was shown differently: two checkpoints of one size differ");
                }
                Ok(given) if given.size == checkpoint.size => {}
                Ok(given) => self.find(format!(
                    "the checkpoint that was given is of {} leaves, that of the proof of {}: they cannot be compared",
                    given.size, checkpoint.size
                )),
            }
        }
        self.report.origin = Some(checkpoint.origin.clone());
        self.report.log_size = Some(checkpoint.size);
        self.report.log_root = Some(checkpoint.root.iter().map(|byte| format!("{byte:02x}")).collect());
        self.checkpoint = Some(checkpoint);
    }

    /// The key signed the lines: so that none is left out, and the finer hashes are those of the archive.
    fn check_statement(&mut self) {
        let Some(closing) = &self.closing else {
            return self.find("the proof ends without its statement: whether it names every object is not proved");
        };
        let key = self.trust.key.clone().or_else(|| self.head.as_ref()?.key.parse().ok());
        let Some(key) = key else { return };
        let told = closing.line_hashes();
        let statement = match ExportStatement::open(&closing.statement, &key) {
            Ok(statement) => statement,
            Err(error) => return self.find(format!("the statement over the proof: {error}")),
        };
        if statement.lines != told.len() as u64 || statement.digest != ExportStatement::digest_of(&told) {
            return self.find("the hashes of the lines are not those that were signed");
        }
        let is_line = |number: usize| self.line_hashes.get(number) == told.get(number);
        self.report.is_complete = self.line_hashes.len() == told.len() && (0..told.len()).all(is_line);
        let mut altered = Vec::new();
        for entry in &mut self.entries {
            if self.line_hashes.get(entry.line) != told.get(entry.line) && entry.doubt.is_none() {
                entry.doubt = Some("what the proof says of it is not what was signed".to_owned());
                altered.push(entry.line);
            }
        }
        if self.line_hashes.first() != told.first() {
            self.find("the first line of the proof is not the one that was signed");
        }
        if self.line_hashes.len() != told.len() {
            self.find(format!(
                "the proof had {} lines when it was signed, and has {}",
                told.len(),
                self.line_hashes.len()
            ));
        } else if !altered.is_empty() {
            self.find(format!("{} lines of the proof are not those that were signed", altered.len()));
        }
    }

    /// One leaf proves one object in one file.
    fn find_doubles(&mut self) {
        let (mut leaves, mut files, mut instances) = (HashSet::new(), HashSet::new(), HashSet::new());
        for entry in &mut self.entries {
            let Some(object) = &entry.object else { continue };
            let is_new_leaf = object.leaf.as_ref().is_none_or(|leaf| leaves.insert(leaf.index));
            let is_new_file = object.file.as_ref().is_none_or(|file| files.insert(file.clone()));
            let instance = object.opening.as_ref().filter(|_| object.state == State::Exported);
            let is_new_instance = instance.is_none_or(|opening| instances.insert(opening.sop_instance.clone()));
            if !(is_new_leaf && is_new_file && is_new_instance) {
                entry.doubt.get_or_insert_with(|| "the proof names it twice".to_owned());
            }
        }
    }

    fn read_files(&mut self, source: &mut Source) {
        let mut altered = BTreeMap::new();
        let entries = std::mem::take(&mut self.entries);
        for entry in &entries {
            let Some(object) = &entry.object else {
                self.report.objects.push(unproven(None, entry.doubt.clone().unwrap_or_default()));
                continue;
            };
            match object.state {
                State::Exported => {
                    let report = exported(entry, object, source);
                    if report.verdict == Verdict::Altered {
                        altered.insert(entry.line, self.report.objects.len());
                    }
                    self.report.objects.push(report);
                }
                State::Conflict => self.conflict(entry, object),
                State::Lost => {
                    let mut report = unproven(None, "the archive holds its leaf, and not the object".to_owned());
                    if entry.doubt.is_none() {
                        report.verdict = Verdict::Missing;
                    }
                    report.reasons.extend(entry.doubt.clone());
                    report.leaf = object.leaf.as_ref().map(|leaf| leaf.index);
                    self.report.objects.push(report);
                }
            }
        }
        self.entries = entries;
        self.locate(source, &altered);
    }

    fn conflict(&mut self, entry: &Entry, object: &Object) {
        if let Some(doubt) = &entry.doubt {
            let mut report = unproven(None, format!("another version, not exported: {doubt}"));
            report.leaf = object.leaf.as_ref().map(|leaf| leaf.index);
            self.report.objects.push(report);
            return;
        }
        let Some(opening) = &object.opening else { return };
        let received_at = time_text(opening.received_at_us);
        self.report.notes.push(format!(
            "the archive keeps other bytes that came under SOP Instance UID {}, received {received_at} from {} by {}; \
             they are not exported",
            opening.sop_instance, opening.sender, opening.transport
        ));
    }

    /// Reads the proof once more for the finer hashes of the altered objects.
    fn locate(&mut self, source: &mut Source, altered: &BTreeMap<usize, usize>) {
        let Some(last) = altered.keys().next_back().copied() else { return };
        let (mut objects, mut held) = (Vec::new(), 0);
        if let Ok(file) = source.file(PROOF) {
            let mut lines = Lines::new(BufReader::new(file));
            let mut number = 0;
            while number <= last
                && let Ok(Some(line)) = lines.next()
            {
                if let Some(report) = altered.get(&number)
                    && held + line.len() <= limits::LOCATED_BYTES
                    && let Ok(Line::Object(object)) = proof::parse_line(line)
                {
                    held += line.len();
                    objects.push((*report, object));
                }
                number += 1;
            }
        }
        if objects.len() < altered.len() {
            let left = altered.len() - objects.len();
            self.report.notes.push(format!("where {left} of the altered objects were altered was not looked for"));
        }
        for (report, object) in objects {
            let places = places(&object, source);
            if let Some(report) = self.report.objects.get_mut(report) {
                report.reasons.extend(places);
            }
        }
    }

    fn conclude(mut self, source: &Source) -> Report {
        let is_readable = self.head.is_some();
        let named: HashSet<&str> =
            self.entries.iter().filter_map(|entry| entry.object.as_ref()?.file.as_deref()).chain([PROOF]).collect();
        let mut extra = Vec::new();
        for file in source.files().filter(|file| !named.contains(file.as_str())) {
            let mut report = unproven(Some(file.clone()), "the proof does not name it".to_owned());
            if is_readable {
                report.verdict = Verdict::Extra;
            }
            extra.push(report);
        }
        for odd in source.odd() {
            let mut report = unproven(Some(odd.clone()), "it is no plain file, or has no readable name".to_owned());
            report.verdict = Verdict::Extra;
            extra.push(report);
        }
        self.report.objects.extend(extra);
        let are_intact = self.report.objects.iter().all(|object| object.verdict == Verdict::Intact);
        let is_whole = self.report.findings.is_empty() && self.report.is_complete && !self.report.objects.is_empty();
        self.report.conclusion = match (are_intact && is_whole, self.trust.key.is_some()) {
            (true, true) => Conclusion::Intact,
            (true, false) => Conclusion::IntactByOwnKey,
            (false, _) => Conclusion::NotIntact,
        };
        self.report
    }
}

fn unproven(file: Option<String>, reason: String) -> ObjectReport {
    ObjectReport {
        verdict: Verdict::Unproven,
        file,
        reasons: vec![reason],
        sop_instance: None,
        sender: None,
        transport: None,
        received_at: None,
        leaf: None,
    }
}

/// An object that must be among the files.
fn exported(entry: &Entry, object: &Object, source: &mut Source) -> ObjectReport {
    let mut report = unproven(object.file.clone(), String::new());
    report.reasons.clear();
    report.leaf = object.leaf.as_ref().map(|leaf| leaf.index);
    let (Some(opening), Some(name)) = (&object.opening, &object.file) else {
        report.reasons.extend(entry.doubt.clone());
        return report;
    };
    if entry.doubt.is_none() {
        report.sop_instance = Some(opening.sop_instance.clone());
        report.sender = Some(opening.sender.clone());
        report.transport = Some(opening.transport.clone());
        report.received_at = Some(time_text(opening.received_at_us));
    }
    if !source.holds(name) {
        report.verdict = Verdict::Missing;
        report.reasons.extend(entry.doubt.clone());
        return report;
    }
    let differences = compare(opening, name, source);
    report.verdict = match (&entry.doubt, differences.is_empty()) {
        (Some(_), _) => Verdict::Unproven,
        (None, true) => Verdict::Intact,
        (None, false) => Verdict::Altered,
    };
    report.reasons.extend(entry.doubt.clone());
    report.reasons.extend(differences);
    report
}

/// What the whole file must be follows from the opening: its head byte for byte, its data set by digest and length.
fn compare(opening: &Opening, name: &str, source: &mut Source) -> Vec<String> {
    let Some(head) = file_head(opening) else { return vec!["the proof gives it a head that no file has".to_owned()] };
    let mut file = match source.file(name) {
        Ok(file) => file,
        Err(error) => return vec![format!("the file cannot be opened: {error}")],
    };
    let mut found = Vec::new();
    let mut differences = Vec::new();
    if let Err(error) = (&mut file).take(head.len() as u64).read_to_end(&mut found) {
        return vec![format!("the file cannot be read: {error}")];
    }
    if found != head {
        let at = found.iter().zip(&head).position(|(found, wanted)| found != wanted).unwrap_or(found.len());
        let what = if at < 128 { "preamble" } else { "file meta information" };
        differences.push(format!("{what}, byte {at} of the file"));
    }
    let (mut context, mut length) = (Hasher::new(), 0_u64);
    let mut buffer = vec![0; limits::READ_BYTES];
    // a byte more than there should be is enough to know
    let mut rest = file.take(opening.length.saturating_add(1));
    loop {
        match rest.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                context.update(buffer.get(..read).unwrap_or_default());
                length = length.saturating_add(read as u64);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                differences.push(format!("the file cannot be read behind byte {length} of the data set: {error}"));
                return differences;
            }
        }
    }
    if length > opening.length {
        differences.push(format!("the file goes on behind the {} bytes of the data set", opening.length));
    } else if length < opening.length {
        differences.push(format!("the data set ends after {length} of {} bytes", opening.length));
    }
    if unhex::<32>(&opening.digest).is_none_or(|digest| context.finalize() != digest) {
        differences.push("the data set has another digest".to_owned());
    }
    differences
}

/// Where it was altered, by hashes that carry no proof of their own.
fn places(object: &Object, source: &mut Source) -> Vec<String> {
    let (Some(opening), Some(name), Some(parts)) = (&object.opening, &object.file, &object.parts) else {
        return vec!["where, the proof does not say".to_owned()];
    };
    let Some(pieces) = Pieces::new(parts, opening.length) else {
        return vec!["where, the proof does not say: its list of parts makes no sense".to_owned()];
    };
    let Some(head) = file_head(opening) else { return Vec::new() };
    let Ok(mut file) = source.file(name) else { return Vec::new() };
    if std::io::copy(&mut (&mut file).take(head.len() as u64), &mut std::io::sink()).is_err() {
        return Vec::new();
    }
    let differences = pieces.differences(file);
    differences.into_iter().map(|place| format!("altered: {place}")).collect()
}

/// Preamble, prefix and file meta information of an export: they follow from what is proved.
fn file_head(opening: &Opening) -> Option<Vec<u8>> {
    let source = opening.sender.strip_prefix("device:").and_then(|ae| ae.parse::<AeTitle>().ok());
    Some(file_meta::write(&FileMeta {
        sop_class: &opening.sop_class.parse().ok()?,
        sop_instance: &opening.sop_instance.parse().ok()?,
        transfer_syntax: &opening.transfer_syntax.parse().ok()?,
        source_ae: source.as_ref(),
        implementation_class: &implementation::class_uid(),
        implementation_version: implementation::VERSION_NAME,
    }))
}

fn time_text(microseconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "at an unreadable time".to_owned())
}
