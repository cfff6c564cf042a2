//! A scope, signed, and a run under it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use kluis_inspect::{
    InspectError,
    run::{Options, run},
    scan::{Scan, Service},
    scope::{SigningKey, sign, write_key_pair},
    stop::Stop,
};
use kluis_testkit::instance::SmallInstance;
use tempfile::TempDir;
use time::{Duration, format_description::well_known::Rfc3339};
use tokio::sync::mpsc;

/// Stands in every patient's name and identifier of the laboratory.
pub const MARK: &str = "ZQXKANARIE";

/// A folder with an authority.
pub struct Site {
    pub folder: TempDir,
}

impl Site {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        write_key_pair("lab", folder.path()).unwrap();
        Self { folder }
    }

    /// Writes and signs a scope of these lines beside those that every scope has.
    pub fn scope(&self, lines: &str) -> PathBuf {
        let now = kluis_inspect::clock::now();
        let time = |days| (now + Duration::days(days)).format(&Rfc3339).unwrap();
        let head = format!(
            "schema = 1\nowner = \"Laboratory\"\ncontact = \"lab@example.org\"\nauthority = \"test\"\n\
             valid_from = \"{}\"\nvalid_until = \"{}\"\n",
            time(-1),
            time(1)
        );
        let path = self.folder.path().join("scope.toml");
        std::fs::write(&path, format!("{head}{lines}\n")).unwrap();
        let key = SigningKey::read(&self.folder.path().join("authority.key")).unwrap();
        sign(&path, &key, now).unwrap();
        path
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Runs to the end.
    pub fn run(&self, lines: &str) -> Result<Scan, InspectError> {
        self.run_with(lines, Stop::default())
    }

    /// The same with a kill switch.
    pub fn run_with(&self, lines: &str, stop: Stop) -> Result<Scan, InspectError> {
        let options = Options { scope: self.scope(lines), key: None, out: self.out(), only: None, port: None };
        run_options(&options, stop)
    }

    /// Every byte that was written for the scan; the marks of patients among them.
    pub fn marks(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.out()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = std::fs::read(&path).unwrap();
                    if bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes()) {
                        found.push(path);
                    }
                }
            }
        }
        found
    }
}

pub fn run_options(options: &Options, stop: Stop) -> Result<Scan, InspectError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (events, _heard) = mpsc::channel(16);
    runtime.block_on(run(options, stop, events))
}

/// Ports of 127.0.0.1 under a scope that goes quickly.
pub fn local(ports: &[u16], more: &str) -> String {
    format!("networks = [\"127.0.0.1\"]\nports = {ports:?}\n{more}\n[care]\nconnects_per_s = 200\n")
}

/// The service at a port.
pub fn service(scan: &Scan, port: u16) -> &Service {
    scan.assets.iter().flat_map(|asset| &asset.services).find(|service| service.port == port).unwrap_or_else(|| {
        panic!("nothing at {port}: {scan:#?}");
    })
}

/// The names of the rules that are broken at a port.
pub fn rules(scan: &Scan, port: u16) -> Vec<String> {
    let mut rules: Vec<String> =
        scan.findings().filter(|(_, finding)| finding.port == port).map(|(_, finding)| finding.rule.name()).collect();
    rules.sort();
    rules
}

/// Three files of a marked patient.
pub fn marked_files(folder: &Path) -> Vec<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    (0..3)
        .map(|number| {
            let mut instance = SmallInstance::new(7, number, 0, 0);
            instance.patient_name = format!("{MARK}^Jan");
            instance.patient_id = format!("{MARK}{number}");
            let path = folder.join(format!("{MARK}-{number}.dcm"));
            std::fs::write(&path, instance.file()).unwrap();
            path
        })
        .collect()
}

/// Puts them into an archive.
pub fn store(called: &str, port: u16, files: &[PathBuf]) {
    let output = Command::new("storescu")
        .args(["-aet", "ANY-SCU", "-aec", called, "127.0.0.1", &port.to_string()])
        .args(files)
        .output()
        .expect("storescu cannot be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
