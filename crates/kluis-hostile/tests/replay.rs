//! Every file of `fuzz/corpus` through its target, on stable: what was once found stays mended.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use kluis_hostile::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Replays one target; every input that fails is named, not the first alone.
fn replay(name: &str) {
    let target = kluis_hostile::target(name).expect("a target of this name");
    let files = files(&corpus().join(name));
    assert!(files.len() >= 3, "the corpus of {name} is gone");
    let mut failed = Vec::new();
    for path in files {
        let input = fs::read(&path).unwrap();
        assert!(input.len() <= target.longest, "{} is longer than its target takes", path.display());
        if catch_unwind(|| (target.check)(&input)).is_err() {
            failed.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    assert!(failed.is_empty(), "{name} fails on {failed:?}");
}

/// One test a target, so that they run side by side and are named.
macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), replayed);
            for folder in files(&corpus()) {
                let name = folder.file_name().unwrap().to_string_lossy().into_owned();
                assert!(replayed.contains(&name.as_str()), "fuzz/corpus/{name} is of no target");
            }
        }
    };
}

replays! {
    accept_header association byte_gate dicom_json dimse_command export_proof file_meta frames ledger_note multipart negotiation
    pack_reader pdu proof_verifier qido stow worklist
}

/// Each target has its program, and each program its target.
#[test]
fn every_target_has_its_program() {
    let manifest = fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(
            manifest.contains(&format!("name = \"{}\"\n", target.name)),
            "{} is not in fuzz/Cargo.toml",
            target.name
        );
        let program = fs::read_to_string(corpus().join(format!("../fuzz_targets/{}.rs", target.name))).unwrap();
        assert!(program.contains(&format!("main!(\"{}\")", target.name)), "{} runs another target", target.name);
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

/// The targets look: an assertion that does not hold is noticed.
#[test]
fn a_replay_fails_where_a_target_does() {
    let broken = kluis_hostile::Target { check: |data| assert!(data.len() < 3), ..TARGETS[0] };
    assert!(catch_unwind(|| (broken.check)(b"abc")).is_err());
}
