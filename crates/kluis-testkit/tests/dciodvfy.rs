//! Every generated image holds before dciodvfy and dcentvfy, foreign programs that know the information object definitions.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use kluis_testkit::{SmallInstance, phantom::Phantom};

#[test]
fn generated_images_keep_to_their_definitions() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for file in Phantom::new(5).all() {
        let path = folder.path().join(&file.name);
        fs::write(&path, &file.bytes).unwrap();
        paths.push(path);
    }
    let small = folder.path().join("small.dcm");
    fs::write(&small, SmallInstance::new(5, 1, 1, 1).file()).unwrap();
    assert_eq!(paths.len(), Phantom::file_count());
    for path in paths.iter().step_by(7).chain([&small]).chain(paths.iter().rev().take(3)) {
        let said = run("dciodvfy", std::slice::from_ref(path));
        let wrong: Vec<&str> = said.lines().filter(|line| line.contains("Error") || line.contains("Warning")).collect();
        assert!(wrong.is_empty() && !said.is_empty(), "{}: {wrong:?}", path.display());
    }
    let ct: Vec<PathBuf> = paths.iter().filter(|path| path.to_string_lossy().contains("ct-")).cloned().collect();
    let said = run("dcentvfy", &ct);
    assert!(!said.contains("Error"), "{said}");
}

fn run(program: &str, paths: &[PathBuf]) -> String {
    let tools = env::var_os("KLUIS_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools"), PathBuf::from);
    let program = tools.join("venv/bin").join(program);
    let output = Command::new(&program).args(paths).output();
    assert!(output.is_ok(), "{} is missing: run `cargo xtask tools`", program.display());
    let said = |output: std::process::Output| [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&output.map(said).unwrap_or_default()).into_owned()
}
