//! On what it was measured: processor, memory, kernel, disk, and the versions of all programs.

use std::{fs, path::Path, process::Command};

use serde::Serialize;

use crate::clock;

/// Machine and programs, in words.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Date and time, UTC.
    pub date: String,
    /// What and which, in the order of the page.
    pub facts: Vec<(String, String)>,
}

/// Asks the machine. What does not answer is told as unknown.
pub fn describe(root: &Path, place: &Path, kluis: &Path) -> Machine {
    let now = clock::now();
    let date = format!("{} {:02}:{:02} UTC", now.date(), now.hour(), now.minute());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(unknown);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| unknown());
    let disk = said(Command::new("findmnt").args(["-no", "FSTYPE,SOURCE,OPTIONS", "-T"]).arg(place));
    let commit = said(Command::new("git").arg("-C").arg(root).args(["describe", "--always", "--dirty"]));
    let dicomweb = said(Command::new("dpkg-query").args(["-W", "-f", "${Version}", "orthanc-dicomweb"]));
    let facts = [
        ("processor", format!("{cpu}, {cores} cores")),
        ("memory", memory),
        ("kernel", kernel.trim().to_owned()),
        ("disk", disk.split_whitespace().collect::<Vec<_>>().join(" ")),
        ("Kluis", format!("{}, commit {commit}", said(Command::new(kluis).arg("--version")))),
        ("Orthanc", format!("{}, DICOMweb plugin {dicomweb}", said(Command::new("Orthanc").arg("--version")))),
        ("DCMTK", said(Command::new("storescu").arg("--version"))),
        ("nginx", said(Command::new("nginx").arg("-v"))),
        ("fio", said(Command::new("fio").arg("--version"))),
    ];
    Machine { date, facts: facts.into_iter().map(|(what, which)| (what.to_owned(), which)).collect() }
}

/// The first line that a program says, wherever it says it.
fn said(command: &mut Command) -> String {
    let Ok(output) = command.output() else { return unknown() };
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.map_or_else(unknown, |line| line.chars().take(160).collect())
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
