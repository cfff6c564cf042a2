//! `cargo xtask bench`: installs the other systems, builds ours for release, and becomes `kluis-bench`.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    command::{self, cargo, works},
    demo, tools,
};

/// Takes encryption and ledger out of a build that is made for the comparison alone.
const BARE: &str = "kluis_bench_bare";
/// Crates that know the word.
const BARE_IN: [&str; 2] = ["crates/kluis-vault/src", "crates/kluis-ledger/src"];

/// Prepares, builds, and becomes the bench, so that signals reach it. Returns only on failure.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let target = demo::target(root);
    let build = ["build", "--release", "--package", "kluis", "--package", "kluis-bench", "--bins"];
    command::run(cargo(root).args(build))?;
    let bench = target.join("release/kluis-bench");
    if !arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        tools::install_for_bench()?;
    }
    let bare = target.join("bare");
    if wants_bare(arguments) && knows_bare(root)? {
        eprintln!("building once more without encryption and ledger");
        let flags = format!("{} --cfg {BARE}", env::var("RUSTFLAGS").unwrap_or_default());
        let build = ["build", "--release", "--package", "kluis", "--bin", "kluis", "--target-dir"];
        command::run(cargo(root).args(build).arg(&bare).env("RUSTFLAGS", flags.trim()))?;
    }
    let mut command = alone_in_its_network(&bench);
    command.arg("--folder").arg(target.join("bench")).arg("--root").arg(root);
    command.arg("--kluis").arg(target.join("release/kluis")).arg("--bare").arg(bare.join("release/kluis"));
    // nginx and Orthanc stand where only root's search path looks
    let mut path: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
    path.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let error = command.args(arguments).env("PATH", env::join_paths(path)?).exec();
    Err(error).context("kluis-bench cannot be started")
}

/// Some of the other systems listen on all interfaces and cannot be told not to: they get a network of their own that has
/// nothing but a loopback interface, where the machine lets us make one.
fn alone_in_its_network(bench: &Path) -> Command {
    const ALONE: [&str; 2] = ["--net", "--map-root-user"];
    let is_root = works("sh", &["-c", "[ \"$(id -u)\" = 0 ]"]);
    let options = if is_root { ALONE.get(..1).unwrap_or_default() } else { &ALONE };
    let up = "ip link set lo up";
    if !works("unshare", &[options, &["sh", "-c", up]].concat()) {
        eprintln!("no network of its own can be made: DCMTK and Orthanc will listen on all interfaces meanwhile");
        return Command::new(bench);
    }
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-c", &format!("{up} && exec \"$0\" \"$@\"")]).arg(bench);
    command
}

/// A glance, or a look at other cases, is not worth a second build.
fn wants_bare(arguments: &[String]) -> bool {
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let only = has("--only") || arguments.iter().any(|argument| argument.starts_with("--only="));
    has("bare") || has("--only=bare") || !(only || has("--quick") || has("--help") || has("-h"))
}

fn knows_bare(root: &Path) -> Result<bool> {
    for folder in BARE_IN {
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if fs::read_to_string(&path).is_ok_and(|text| text.contains(BARE)) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
