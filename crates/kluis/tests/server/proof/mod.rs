//! `kluis export --proof`, and what the offline verifier says of it once somebody has altered it.

mod alterations;
mod exports;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kluis_testkit::{SmallInstance, part10};
use kluis_verify::{Report, Trust, Verdict, verify_study};

use crate::support::{Server, pause};

/// Frames of the multi-frame object, and bytes of each.
const FRAMES: u8 = 5;
const FRAME_BYTES: usize = 4_096;

/// A node with one study: a sealed series, one that is not, an object with frames, and a conflict.
pub struct Site {
    pub server: Server,
    pub study: String,
}

/// A file of the given name beside the node.
fn put(server: &Server, name: &str, file: &[u8]) -> Result<String> {
    let path = server.beside().join(name);
    std::fs::write(&path, file)?;
    Ok(path.to_str().context("path")?.to_owned())
}

fn import(server: &Server, name: &str, file: &[u8]) -> Result<()> {
    let path = put(server, name, file)?;
    ensure!(server.command(&["import", &path])?["stored"] == 1, "{name} was not stored");
    Ok(())
}

/// An object of [`FRAMES`] frames.
fn frames(instance: &SmallInstance) -> Vec<u8> {
    let pixels = (0..usize::from(FRAMES) * FRAME_BYTES).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    let set = instance.data_set().without((0x7FE0, 0x0010)).without((0x0028, 0x0010)).without((0x0028, 0x0011));
    let set = set.short((0x0028, 0x0010), 64).short((0x0028, 0x0011), 64);
    let set = set.text((0x0028, 0x0008), "IS", FRAMES.to_string()).pixels8(pixels);
    part10::file(&set, part10::EXPLICIT_VR_LITTLE_ENDIAN)
}

impl Site {
    pub fn new(seed: u64) -> Result<Self> {
        let server = Server::start_with_config("[seal]\nquiet_s = 1\n")?;
        let instance = |series, number| SmallInstance::new(seed, 1, series, number);
        for number in 1..=3 {
            import(&server, &format!("sealed{number}.dcm"), &instance(1, number).file())?;
        }
        let begun = Instant::now();
        while server.command(&["verify"])?["manifests"] == 0 {
            ensure!(begun.elapsed() < Duration::from_secs(60), "no series was sealed");
            pause();
        }
        for number in 1..=2 {
            import(&server, &format!("hot{number}.dcm"), &instance(2, number).file())?;
        }
        import(&server, "frames.dcm", &frames(&instance(3, 1)))?;
        // of another study: a leaf in between that is none of ours
        import(&server, "other.dcm", &SmallInstance::new(seed, 2, 1, 1).file())?;
        let mut conflict = instance(1, 1);
        conflict.patient_name = "Somebody^Else".to_owned();
        let path = put(&server, "conflict.dcm", &conflict.file())?;
        let refused = crate::support::kluis(&server.data(), &["import", &path])?;
        ensure!(refused.status.code() == Some(1), "{refused:?}");
        let study = instance(1, 1).study;
        Ok(Self { server, study })
    }

    pub fn export(&self, name: &str) -> Result<PathBuf> {
        let out = self.server.beside().join(name);
        self.server.command(&["export", "--study", &self.study, "--proof", "--out", out.to_str().context("path")?])?;
        Ok(out)
    }

    pub fn trust(&self) -> Result<Trust> {
        let key = std::fs::read_to_string(self.server.data().join("ledger/objects.vkey"))?;
        Ok(Trust { key: Some(key.trim().parse()?), checkpoint: None })
    }
}

/// The files of a folder by their path from its top.
pub fn read_all(top: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let (mut files, mut waiting) = (BTreeMap::new(), vec![top.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(top)?.to_str().context("path")?.to_owned();
                files.insert(name, std::fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

/// What is said of each file.
pub fn verdicts(report: &Report) -> BTreeMap<&str, Verdict> {
    report.objects.iter().map(|object| (object.file.as_deref().unwrap_or("-"), object.verdict)).collect()
}

pub fn look(path: &Path, trust: &Trust) -> Result<Report> {
    Ok(verify_study(path, trust)?)
}
