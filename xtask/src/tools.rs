//! What building and testing need besides Rust. Debian's packages go to the system, everything else to `.tools`.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{
    command::{self, cargo, find, read, run, works},
    stamp::Stamp,
};

/// A program, and the Debian package that brings it.
type Need = (&'static str, &'static str);

const FOR_BUILDING: &[Need] =
    &[("cc", "gcc"), ("make", "make"), ("perl", "perl"), ("tar", "tar"), ("node", "nodejs"), ("npm", "npm")];
const FOR_TESTS: &[Need] =
    &[("storescu", "dcmtk"), ("chromium", "chromium"), ("python3", "python3"), ("openssl", "openssl")];
/// What the inspector looks at in its tests, and what stands beside us in `cargo xtask bench`: each in a network of its own.
const PEERS: &[Need] = &[
    ("storescp", "dcmtk"),
    ("Orthanc", "orthanc"),
    ("nginx", "nginx-light"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("tshark", "tshark"),
];
/// What `cargo xtask bench` needs besides.
const FOR_BENCH: &[Need] = &[("fio", "fio")];
const ORTHANC_DICOMWEB: (&str, &str) = ("/usr/share/orthanc/plugins/libOrthancDicomWeb.so", "orthanc-dicomweb");
/// While it says 101, Debian's packages start no daemons.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Cargo tools: name and version.
const NEXTEST: (&str, &str) = ("cargo-nextest", "0.9.143");
const DENY: (&str, &str) = ("cargo-deny", "0.20.2");
/// Debian 12 has this one. The verifier of the ledger's files says that it wants 3.12; it runs on this one too.
const PYTHON_MINOR: u32 = 11;

/// The folder that tests find in `KLUIS_TOOLS`.
pub fn folder(root: &Path) -> PathBuf {
    root.join(".tools")
}

/// What `cargo build` and packaging the viewer need.
pub fn install_for_building() -> Result<()> {
    debian(FOR_BUILDING)
}

/// All that the tests need. Does nothing where everything is there.
pub fn install_for_tests(root: &Path) -> Result<()> {
    debian(FOR_BUILDING)?;
    debian(FOR_TESTS)?;
    peers()?;
    python(root)?;
    npm(root)?;
    cargo_tool(root, NEXTEST)?;
    Ok(())
}

/// What the comparison needs.
pub fn install_for_bench() -> Result<()> {
    debian(FOR_BUILDING)?;
    debian(FOR_BENCH)?;
    peers()
}

/// The peers. Their packages would start daemons on all interfaces; they are kept from it.
fn peers() -> Result<()> {
    let is_complete = || Path::new(ORTHANC_DICOMWEB.0).exists() && PEERS.iter().all(|need| find(need.0).is_some());
    if is_complete() {
        return Ok(());
    }
    let policy = Path::new(POLICY);
    let is_ours = !policy.exists() && fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok();
    if is_ours {
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
    }
    let plugin = (!Path::new(ORTHANC_DICOMWEB.0).exists()).then_some(ORTHANC_DICOMWEB.1);
    let outcome = debian(PEERS).and_then(|()| plugin.map_or(Ok(()), |package| install(&[package])));
    if is_ours {
        fs::remove_file(policy)?;
    }
    outcome
}

/// The checker of licences and sources.
pub fn install_deny(root: &Path) -> Result<PathBuf> {
    cargo_tool(root, DENY)
}

/// The npm tools, of which packaging the viewer needs one.
pub fn npm(root: &Path) -> Result<()> {
    let (package, lock) = (root.join("viewer/package.json"), root.join("viewer/package-lock.json"));
    let stamp = Stamp::new(folder(root).join("npm.stamp"), "1", &[&package, &lock])?;
    let place = folder(root).join("npm");
    if stamp.is_fresh() && place.join("node_modules").is_dir() {
        return Ok(());
    }
    fs::create_dir_all(&place)?;
    fs::copy(&package, place.join("package.json"))?;
    fs::copy(&lock, place.join("package-lock.json"))?;
    read(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&place),
    )?;
    stamp.set()
}

/// Installs the packages of the programs that are missing.
fn debian(needs: &[Need]) -> Result<()> {
    let missing = || needs.iter().filter(|(program, _)| find(program).is_none());
    let packages: Vec<&str> = missing().map(|&(_, package)| package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages)?;
    match missing().next() {
        Some((program, package)) => bail!("the package {package} did not bring `{program}`"),
        None => Ok(()),
    }
}

/// Installs packages: as root by itself, else by saying the command.
fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    let is_root = works("sh", &["-c", "[ \"$(id -u)\" = 0 ]"]);
    if !is_root || find("apt-get").is_none() {
        bail!("these Debian packages are missing: run `sudo apt-get install --no-install-recommends {names}`");
    }
    eprintln!("installing {names}");
    // the lists may be missing or older than the mirror: the second try fetches them first
    if apt(packages).is_err() {
        run(Command::new("apt-get").args(["update", "-qq"]))?;
        apt(packages)?;
    }
    Ok(())
}

fn apt(packages: &[&str]) -> Result<()> {
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    read(install.env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

fn python(root: &Path) -> Result<()> {
    let requirements = root.join("crates/kluis/tests/foreign/requirements.txt");
    let place = folder(root).join("venv");
    let stamp = Stamp::new(folder(root).join("venv.stamp"), "1", &[&requirements])?;
    let own = place.join("bin/python");
    if stamp.is_fresh() && works(&own, &["-c", "import pydicom"]) {
        return Ok(());
    }
    let Some(interpreter) = interpreter() else {
        bail!("Python 3.{PYTHON_MINOR} or later is missing: install it, or name it in KLUIS_PYTHON");
    };
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(folder(root))?;
    let mut create = Command::new(&interpreter);
    if create.args(["-m", "venv"]).arg(&place).output().is_ok_and(|output| !output.status.success()) {
        install(&["python3-venv"])?;
        run(Command::new(&interpreter).args(["-m", "venv"]).arg(&place))?;
    }
    let mut pip = Command::new(&own);
    run(pip
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--ignore-requires-python"])
        .arg("--requirement")
        .arg(&requirements))?;
    stamp.set()
}

/// A Python that is new enough: the named one, one in the search path, or one that pyenv keeps.
fn interpreter() -> Option<PathBuf> {
    let named = env::var_os("KLUIS_PYTHON").map(PathBuf::from);
    let found = ["python3.14", "python3.13", "python3.12", "python3"].into_iter().filter_map(find);
    let kept = env::var_os("HOME").map(PathBuf::from).into_iter().flat_map(|home| {
        let versions = fs::read_dir(home.join(".pyenv/versions")).ok();
        versions.into_iter().flatten().flatten().map(|version| version.path().join("bin/python3"))
    });
    let test = format!("import sys, venv; sys.exit(sys.version_info < (3, {PYTHON_MINOR}))");
    named.into_iter().chain(found).chain(kept).find(|python| works(python, &["-c", &test]))
}

/// A tool of cargo at exactly this version, built into `.tools/bin` where the machine has no such one.
fn cargo_tool(root: &Path, (name, version): (&str, &str)) -> Result<PathBuf> {
    let own = folder(root).join("bin").join(name);
    if is_version(&own, version) {
        return Ok(own);
    }
    if let Some(theirs) = command::find(name).filter(|theirs| is_version(theirs, version)) {
        return Ok(theirs);
    }
    eprintln!("building {name} {version}");
    // unoptimised: it runs for seconds, but takes minutes to optimise
    run(cargo(root)
        .args(["install", "--quiet", "--locked", "--debug", "--force", &format!("{name}@{version}"), "--root"])
        .arg(folder(root))
        .arg("--target-dir")
        .arg(folder(root).join("build")))?;
    fs::remove_dir_all(folder(root).join("build"))?;
    Ok(own)
}

fn is_version(program: &Path, version: &str) -> bool {
    let subcommand = program.file_name().unwrap_or_default().to_string_lossy().replace("cargo-", "");
    read(Command::new(program).args([&subcommand, "--version"]))
        .or_else(|_| read(Command::new(program).arg("--version")))
        .is_ok_and(|said| said.split_whitespace().any(|word| word == version))
}
