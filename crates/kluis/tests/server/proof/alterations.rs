//! Everything that somebody may do to an export between the archive and the one who looks at it.

use std::{collections::BTreeMap, ops::Range, path::Path};

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use kluis_testkit::{SmallInstance, part10, random::Random};
use kluis_verify::{Conclusion, Report, Trust, Verdict};
use serde_json::Value;

use super::{FRAME_BYTES, FRAMES, Site, import, look, read_all, verdicts};
use crate::support::{Server, dicomweb::find};

/// Flips in files of objects, and in the proof.
const FLIPS: usize = 150;

struct Export<'a> {
    folder: &'a Path,
    files: BTreeMap<String, Vec<u8>>,
    trust: Trust,
}

impl Export<'_> {
    fn objects(&self) -> Vec<String> {
        self.files.keys().filter(|name| *name != "proof.jsonl").cloned().collect()
    }

    /// What is said while these files have other bytes, or are not there.
    fn with(&self, changes: &[(&str, Option<&[u8]>)]) -> Result<Report> {
        for (name, bytes) in changes {
            match bytes {
                Some(bytes) => std::fs::write(self.folder.join(name), bytes)?,
                None => std::fs::remove_file(self.folder.join(name))?,
            }
        }
        let report = look(self.folder, &self.trust);
        for (name, _) in changes {
            match self.files.get(*name) {
                Some(bytes) => std::fs::write(self.folder.join(name), bytes)?,
                None => std::fs::remove_file(self.folder.join(name))?,
            }
        }
        report
    }

    /// The lines of the proof, as they are written: parsed and written anew they would be other lines.
    fn lines(&self) -> Vec<String> {
        lines(&self.files)
    }

    fn with_lines(&self, lines: &[String]) -> Result<Report> {
        self.with(&[("proof.jsonl", Some(joined(lines).as_bytes()))])
    }
}

fn lines(files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    std::str::from_utf8(&files["proof.jsonl"]).unwrap().lines().map(str::to_owned).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Where the value of a key stands in a line, by its first place. No text in a proof holds brackets.
fn value_of(line: &str, key: &str) -> Range<usize> {
    let start = line.find(&format!("\"{key}\":")).unwrap() + key.len() + 3;
    let (mut depth, mut is_text) = (0, false);
    for (at, byte) in line.bytes().enumerate().skip(start) {
        match byte {
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => depth += 1,
            b'}' | b']' if !is_text && depth > 0 => depth -= 1,
            b',' | b'}' | b']' if !is_text && depth == 0 => return start..at,
            _ => {}
        }
    }
    panic!("{key} has no end")
}

/// The same line with the value of a key taken from another line.
fn mixed(line: &str, key: &str, other: &str) -> String {
    let place = value_of(line, key);
    format!("{}{}{}", &line[..place.start], &other[value_of(other, key)], &line[place.end..])
}

/// Places of all values that are no objects and no lists.
fn values(line: &str) -> Vec<Range<usize>> {
    let (bytes, mut found, mut at) = (line.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => {
                at = start + 2 + line[start + 1..].bytes().position(|byte| byte == b'"').unwrap();
                if bytes.get(at) != Some(&b':') {
                    found.push(start..at);
                }
            }
            b'0'..=b'9' | b'-' | b'n' => {
                let length = line[start..].bytes().position(|byte| b",]}".contains(&byte)).unwrap();
                at += length;
                found.push(start..at);
            }
            _ => at += 1,
        }
    }
    found
}

/// The line with one of these values changed to another of its kind.
fn altered(line: &str, place: &Range<usize>) -> String {
    let value = &line[place.clone()];
    let value = match (value.parse::<i64>(), value) {
        (Ok(number), _) => (number + 1).to_string(),
        (_, "null") => "\"00\"".to_owned(),
        (_, "\"\"") => "\"1\"".to_owned(),
        _ => {
            let (head, last) = value[..value.len() - 1].split_at(value.len() - 2);
            format!("{head}{}\"", if last == "1" { "2" } else { "1" })
        }
    };
    format!("{}{value}{}", &line[..place.start], &line[place.end..])
}

/// Only these files are not intact, and they are what is said.
fn assert_only(report: &Report, expected: &[(&str, Verdict)], what: &str) {
    assert_eq!(report.conclusion, Conclusion::NotIntact, "{what}: {}", report.text());
    let found: BTreeMap<&str, Verdict> =
        verdicts(report).into_iter().filter(|(_, verdict)| *verdict != Verdict::Intact).collect();
    assert_eq!(found, expected.iter().copied().collect(), "{what}: {}", report.text());
}

#[test]
fn whatever_is_altered_is_named() -> Result<()> {
    let site = Site::new(64)?;
    let folder = site.export("out")?;
    let export = Export { folder: &folder, files: read_all(&folder)?, trust: site.trust()? };
    let objects = export.objects();
    let mut random = Random::new(64, "alterations");
    for round in 0..FLIPS {
        let name = &objects[random.below(objects.len())];
        let mut bytes = export.files[name].clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        let what = format!("round {round}: {name}, byte {at}");
        let report = export.with(&[(name, Some(&bytes))])?;
        assert_only(&report, &[(name, Verdict::Altered)], &what);
        let reasons =
            report.objects.iter().find(|object| object.verdict == Verdict::Altered).unwrap().reasons.join("; ");
        let is_located =
            reasons.contains("altered: (") || reasons.contains("preamble") || reasons.contains("file meta");
        assert!(is_located, "{what}: {reasons}");
    }
    for round in 0..40 {
        let name = &objects[random.below(objects.len())];
        let bytes = &export.files[name];
        let at = random.below(bytes.len());
        let cut = export.with(&[(name, Some(&bytes[..at]))])?;
        assert_only(&cut, &[(name, Verdict::Altered)], &format!("round {round}: {name} cut at {at}"));
        let longer = [bytes, &[0][..]].concat();
        assert_only(&export.with(&[(name, Some(&longer))])?, &[(name, Verdict::Altered)], "a byte more");
        let inserted = [&bytes[..at], &[0], &bytes[at..]].concat();
        assert_only(&export.with(&[(name, Some(&inserted))])?, &[(name, Verdict::Altered)], "a byte in between");
        let other = &objects[(objects.iter().position(|o| o == name).unwrap() + 1) % objects.len()];
        let swapped = export.with(&[(name, Some(&export.files[other])), (other, Some(bytes))])?;
        assert_only(&swapped, &[(name, Verdict::Altered), (other, Verdict::Altered)], "swapped");
        assert_only(&export.with(&[(name, None)])?, &[(name, Verdict::Missing)], "removed");
        let foreign = "ST000001/SE000001/IM000099";
        assert_only(&export.with(&[(foreign, Some(bytes))])?, &[(foreign, Verdict::Extra)], "added");
    }
    std::os::unix::fs::symlink(folder.join(&objects[0]), folder.join("LINK"))?;
    assert_only(&look(&folder, &export.trust)?, &[("LINK", Verdict::Extra)], "a link");
    std::fs::remove_file(folder.join("LINK"))?;
    assert_eq!(look(&folder, &export.trust)?.conclusion, Conclusion::Intact, "all is as it was");
    Ok(())
}

#[test]
fn element_and_frame_are_named() -> Result<()> {
    let site = Site::new(65)?;
    let folder = site.export("out")?;
    let export = Export { folder: &folder, files: read_all(&folder)?, trust: site.trust()? };
    let told = |name: &str, at: usize| -> Result<String> {
        let mut bytes = export.files[name].clone();
        bytes[at] ^= 0x10;
        let report = export.with(&[(name, Some(&bytes))])?;
        assert_only(&report, &[(name, Verdict::Altered)], name);
        Ok(report.objects.iter().find(|object| object.verdict == Verdict::Altered).unwrap().reasons.join("; "))
    };
    for name in export.objects() {
        let at = find(&export.files[&name], b"Proof^Study").context("no name")?;
        let reasons = told(&name, at)?;
        assert!(reasons.ends_with("altered: (0010,0010) PatientName"), "{reasons}");
    }
    let framed = "ST000001/SE000003/IM000001";
    let bytes = &export.files[framed];
    let pixels = bytes.len() - usize::from(FRAMES) * FRAME_BYTES;
    for frame in 0..usize::from(FRAMES) {
        for at in [0, FRAME_BYTES / 2, FRAME_BYTES - 1] {
            let reasons = told(framed, pixels + frame * FRAME_BYTES + at)?;
            let expected = format!("altered: (7FE0,0010) PixelData, frame {}, bytes ", frame + 1);
            assert!(reasons.contains(&expected) && reasons.matches("altered: ").count() == 1, "{reasons}");
        }
    }
    Ok(())
}

#[test]
fn no_change_of_the_proof_goes_unseen() -> Result<()> {
    let site = Site::new(66)?;
    let folder = site.export("out")?;
    let export = Export { folder: &folder, files: read_all(&folder)?, trust: site.trust()? };
    let refused = |report: Report, what: &str| {
        assert_eq!(report.conclusion, Conclusion::NotIntact, "{what}: {}", report.text());
        report
    };
    let proof = &export.files["proof.jsonl"];
    let mut random = Random::new(66, "proof");
    for round in 0..FLIPS {
        let mut bytes = proof.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        refused(export.with(&[("proof.jsonl", Some(&bytes))])?, &format!("round {round}: byte {at}"));
        let own = Export { trust: Trust::default(), files: export.files.clone(), folder: &folder };
        refused(own.with(&[("proof.jsonl", Some(&bytes))])?, &format!("round {round}: byte {at}, own key"));
        refused(export.with(&[("proof.jsonl", Some(&proof[..at]))])?, &format!("cut at {at}"));
    }
    // each field of each line
    let lines = export.lines();
    assert_eq!(export.with_lines(&lines)?.conclusion, Conclusion::Intact);
    let mut fields = 0;
    for (number, line) in lines.iter().enumerate() {
        let places = values(line);
        let parts = line.find("\"parts\"").unwrap_or(line.len());
        for (at, place) in places.iter().enumerate() {
            // of the many parts of an object some speak for all
            if place.start > parts && at % 7 != 0 {
                continue;
            }
            let mut changed = lines.clone();
            changed[number] = altered(line, place);
            let what = format!("line {number}, {}", &line[place.start.saturating_sub(20)..place.end]);
            let report = refused(export.with_lines(&changed)?, &what);
            let file = serde_json::from_str::<Value>(line)?["file"].as_str().unwrap_or("-").to_owned();
            let is_named = report
                .objects
                .iter()
                .any(|object| object.file.as_ref() == Some(&file) && object.verdict != Verdict::Intact);
            assert!(is_named || file == "-", "{what} does not name {file}: {}", report.text());
            let is_bound = place.start > line.find("\"leaf\"").unwrap_or(line.len()) && place.start < parts;
            let is_by_the_log = report.objects.iter().any(|object| {
                object
                    .reasons
                    .iter()
                    .any(|reason| reason.contains("leaf") || reason.contains("form") || reason.contains("wrong"))
            });
            // the length follows from the digest, so that the log has no need to know it
            assert!(!is_bound || is_by_the_log || what.contains("length"), "{what}: {}", report.text());
            fields += 1;
        }
    }
    assert!(fields > 150, "only {fields} fields");
    // lines left out, twice, or in another order; proofs of others
    for number in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(number);
        refused(export.with_lines(&without)?, &format!("without line {number}"));
        let mut twice = lines.clone();
        twice.insert(number, lines[number].clone());
        refused(export.with_lines(&twice)?, &format!("line {number} twice"));
        let other = 1 + number % 5;
        if number == 0 || number + 1 == lines.len() || other == number {
            continue;
        }
        for field in ["leaf", "opening", "file", "parts"] {
            let mut changed = lines.clone();
            changed[number] = mixed(&lines[number], field, &lines[other]);
            refused(export.with_lines(&changed)?, &format!("{field} of line {other} in line {number}"));
        }
        let mut swapped = lines.clone();
        swapped.swap(number, other);
        refused(export.with_lines(&swapped)?, "lines in another order");
    }
    // left out with its file: only the statement knows
    let mut without = lines.clone();
    let gone: Value = serde_json::from_str(&without.remove(1))?;
    let gone = gone["file"].as_str().unwrap();
    let report = export.with(&[("proof.jsonl", Some(joined(&without).as_bytes())), (gone, None)])?;
    refused(report, "an object left out with its line");
    Ok(())
}

/// Somebody with a log and a key of their own makes a proof that is right in all but the key.
#[test]
fn a_forged_archive_convinces_nobody_who_has_the_key() -> Result<()> {
    let site = Site::new(67)?;
    let genuine = site.export("out")?;
    let trust = site.trust()?;
    let files = read_all(&genuine)?;
    let forger = Server::start()?;
    for (name, bytes) in files.iter().filter(|(name, _)| *name != "proof.jsonl") {
        let at = find(bytes, b"Proof^Study").context("no name")?;
        let mut bytes = bytes.clone();
        bytes[at..at + 5].copy_from_slice(b"Other");
        import(&forger, &name.replace('/', "_"), &bytes)?;
    }
    let out = forger.beside().join("out");
    forger.command(&["export", "--study", &site.study, "--proof", "--out", out.to_str().context("path")?])?;
    let report = look(&out, &trust)?;
    assert_eq!(report.conclusion, Conclusion::NotIntact, "{}", report.text());
    assert_eq!(report.count(Verdict::Intact), 0, "{}", report.text());
    // it is only consistent with itself, and that is what is said
    let own = look(&out, &Trust::default())?;
    assert_eq!(own.conclusion, Conclusion::IntactByOwnKey, "{}", own.text());
    // parts of the one in the other
    let forged = read_all(&out)?;
    let (ours, theirs) = (lines(&files), lines(&forged));
    let export = Export { folder: &genuine, files: files.clone(), trust: trust.clone() };
    for (key, number) in [("checkpoint", 0), ("key", 0), ("commitment_key", 0), ("statement", ours.len() - 1)] {
        let mut changed = ours.clone();
        let other = if number == 0 { &theirs[0] } else { &theirs[theirs.len() - 1] };
        changed[number] = mixed(&ours[number], key, other);
        assert_eq!(export.with_lines(&changed)?.conclusion, Conclusion::NotIntact, "{key}");
    }
    // a checkpoint that was had from the archive before, and one of another log
    let checkpoint = |line: &str| -> Result<Option<String>> {
        Ok(serde_json::from_str::<Value>(line)?["checkpoint"].as_str().map(str::to_owned))
    };
    let with = |line: &str| anyhow::Ok(Trust { checkpoint: checkpoint(line)?, ..trust.clone() });
    assert_eq!(look(&genuine, &with(&ours[0])?)?.conclusion, Conclusion::Intact);
    assert_eq!(look(&genuine, &with(&theirs[0])?)?.conclusion, Conclusion::NotIntact);
    Ok(())
}

/// Altered together with its finer hashes, an object is altered all the same.
#[test]
fn finer_hashes_decide_nothing() -> Result<()> {
    let site = Site::new(68)?;
    let folder = site.export("out")?;
    let export = Export { folder: &folder, files: read_all(&folder)?, trust: site.trust()? };
    let mut altered = SmallInstance::new(68, 1, 2, 1);
    altered.patient_name = "Other^Study1".to_owned();
    let file = part10::file(&altered.data_set(), part10::EXPLICIT_VR_LITTLE_ENDIAN);
    let name = "ST000001/SE000002/IM000001";
    let bytes = &export.files[name];
    let data_set = crate::support::dicomweb::data_set(&file);
    let head = bytes.len() - crate::support::dicomweb::data_set(bytes).len();
    let forged = [&bytes[..head], data_set].concat();
    assert_eq!(forged.len(), bytes.len());
    let mut lines = export.lines();
    let line = lines.iter_mut().find(|line| line.contains(name)).context("no line")?;
    let parts = serde_json::from_str::<Value>(line)?["parts"]["list"].clone();
    let (mut at, mut changed) = (0, 0);
    for part in parts.as_array().context("parts")? {
        let end = at + usize::try_from(part["length"].as_u64().unwrap())?;
        let hashes = part["hashes"].as_str().unwrap();
        let forged = BASE64_STANDARD.encode(blake3::hash(&data_set[at..end]).as_bytes());
        if hashes.len() == forged.len() && hashes != forged {
            *line = line.replace(hashes, &forged);
            changed += 1;
        }
        at = end;
    }
    assert_eq!(changed, 1, "the name alone is another");
    let report = export.with(&[("proof.jsonl", Some(joined(&lines).as_bytes())), (name, Some(&forged))])?;
    let verdict = verdicts(&report)[name];
    assert!(matches!(verdict, Verdict::Altered | Verdict::Unproven), "{}", report.text());
    assert_eq!(report.conclusion, Conclusion::NotIntact, "{}", report.text());
    Ok(())
}

/// A ZIP file holds more than its entries; whatever is altered in it, what is said of the entries is right.
#[test]
fn altered_zip_files_are_told() -> Result<()> {
    let site = Site::new(69)?;
    let zip = site.export("out.zip")?;
    let trust = site.trust()?;
    let genuine = entries(&zip)?;
    let bytes = std::fs::read(&zip)?;
    let mut random = Random::new(69, "zip");
    let mut seen = 0;
    for round in 0..FLIPS {
        let mut altered = bytes.clone();
        let at = random.below(altered.len());
        altered[at] ^= 1 << random.below(8);
        std::fs::write(&zip, &altered)?;
        // one that is no ZIP file any more is refused as a whole
        let Ok(report) = look(&zip, &trust) else { continue };
        if entries(&zip).ok().as_ref() == Some(&genuine) {
            continue;
        }
        assert_eq!(report.conclusion, Conclusion::NotIntact, "round {round}, byte {at}: {}", report.text());
        seen += 1;
    }
    assert!(seen > FLIPS / 2, "only {seen} flips changed an entry");
    Ok(())
}

fn entries(zip: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(zip)?)?;
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let mut bytes = Vec::new();
        std::io::copy(&mut entry, &mut bytes)?;
        entries.insert(entry.name_raw().to_vec(), bytes);
    }
    Ok(entries)
}
