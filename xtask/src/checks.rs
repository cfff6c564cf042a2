//! `cargo xtask test` and `cargo xtask ci`.

use std::{
    env,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    command::{cargo, run},
    tidy, tools, viewer,
};

/// Every test of the workspace, with everything they need. Arguments go to nextest.
pub fn test(root: &Path, arguments: &[String]) -> Result<()> {
    tools::install_for_tests(root)?;
    viewer::package(root)?;
    // the long run last, so that its summary is what stands at the end
    run(with_tools(root, cargo(root).args(["test", "--workspace", "--doc", "--quiet"])))?;
    run(with_tools(root, cargo(root).args(["nextest", "run", "--workspace"]).args(arguments)))
}

/// All that must hold before a change is taken, the quickest first. Stops at the first that fails; says how long each took.
pub fn ci(root: &Path) -> Result<()> {
    let steps: [(&str, Step); 6] = [
        ("formatting", |root| run(cargo(root).args(["fmt", "--all", "--check"]))),
        ("tidy", tidy::run),
        ("tools", tools::install_for_tests),
        ("dependencies", dependencies),
        ("lints", lints),
        ("tests", |root| test(root, &["--no-fail-fast".to_owned()])),
    ];
    let mut times = Vec::new();
    let mut outcome = Ok(());
    for (name, step) in steps {
        println!("== {name}");
        let start = Instant::now();
        outcome = step(root).with_context(|| format!("{name} failed"));
        times.push((name, start.elapsed()));
        if outcome.is_err() {
            break;
        }
    }
    println!("== times");
    for (name, time) in &times {
        println!("{name:<14}{:>7.1} s", time.as_secs_f64());
    }
    println!("{:<14}{:>7.1} s", "all", times.iter().map(|(_, time)| *time).sum::<Duration>().as_secs_f64());
    outcome
}

type Step = fn(&Path) -> Result<()>;

fn lints(root: &Path) -> Result<()> {
    run(cargo(root).args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

/// Licences, banned crates and sources; advisories only where their database can be reached, which is asked for by
/// `KLUIS_ADVISORIES=1`.
fn dependencies(root: &Path) -> Result<()> {
    let deny = tools::install_deny(root)?;
    let mut check = Command::new(deny);
    check.current_dir(root).args([
        "--workspace",
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]);
    if env::var_os("KLUIS_ADVISORIES").is_some() {
        check.arg("advisories");
    } else {
        eprintln!("advisories are not checked: set KLUIS_ADVISORIES=1 where their database can be fetched");
    }
    run(&mut check)
}

/// Lets the tests find what was installed.
fn with_tools<'a>(root: &Path, command: &'a mut Command) -> &'a mut Command {
    let folder = tools::folder(root);
    let mut path = vec![folder.join("bin")];
    path.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    if let Ok(path) = env::join_paths(path) {
        command.env("PATH", path);
    }
    command.env("KLUIS_TOOLS", folder).env("KLUIS_VIEWER", viewer::folder(root))
}
