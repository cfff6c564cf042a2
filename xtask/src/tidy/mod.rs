//! The project's own rules, each with a name. A finding is a line `path:line: rule: sentence`; one that is exempted in
//! `xtask/tidy.exemptions` is let pass, and an exemption that nothing needs is a finding itself.

mod arrows;
mod exemptions;
mod functions;
mod rules;
mod source;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use self::{exemptions::Exemptions, source::Source};

/// A rule that is broken somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule.
    rule: &'static str,
    /// File, from the folder of the workspace.
    path: String,
    /// Line, from 1.
    line: usize,
    /// What in the file, as exemptions name it: a function, or empty for the whole file.
    item: String,
    sentence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.sentence)
    }
}

const PLAN: &str = "ARCHITECTURE.md";
const EXEMPTIONS: &str = "xtask/tidy.exemptions";

/// Checks the whole workspace.
pub fn run(root: &Path) -> Result<()> {
    let sources = read_sources(root)?;
    let plan = fs::read_to_string(root.join(PLAN)).with_context(|| format!("{PLAN} cannot be read"))?;
    let mut findings = arrows::check(&plan, &arrows::workspace(root)?);
    for source in &sources {
        findings.extend(rules::check(source));
    }
    let text = fs::read_to_string(root.join(EXEMPTIONS)).with_context(|| format!("{EXEMPTIONS} cannot be read"))?;
    let findings = Exemptions::parse(&text).apply(findings);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} places are not tidy", findings.len());
    }
    println!("tidy: {} files hold", sources.len());
    Ok(())
}

/// Every text file that belongs to the project.
fn read_sources(root: &Path) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    walk(root, &mut paths)?;
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        // what is no text, such as a picture, has no lines to check
        if let Ok(text) = String::from_utf8(fs::read(&path)?) {
            sources.push(Source::new(name, text));
        }
    }
    Ok(sources)
}

/// Folders that are made, not written.
const MADE: [&str; 6] = ["target", ".git", ".tools", "node_modules", "demo-data", "__pycache__"];

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let is_made = MADE.iter().any(|made| entry.file_name() == *made);
        if kind.is_dir() && !is_made {
            walk(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}
