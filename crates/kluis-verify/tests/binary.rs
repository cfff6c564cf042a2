//! The binary as it is built: what it links, and what it answers to wrong use.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_kluis-verify");

/// Crates that open connections, or wait for them.
const NETWORK_CRATES: &[&str] = &[
    "async-std",
    "axum",
    "curl",
    "h2",
    "hickory-resolver",
    "hyper",
    "hyper-util",
    "mio",
    "native-tls",
    "quinn",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
    "tungstenite",
    "ureq",
];

/// Functions of the C library without which nobody gets on a network.
const NETWORK_SYMBOLS: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "connect",
    "freeaddrinfo",
    "getaddrinfo",
    "gethostbyname",
    "getnameinfo",
    "getpeername",
    "getsockname",
    "getsockopt",
    "if_nametoindex",
    "listen",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "res_init",
    "send",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "socketpair",
];

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

#[test]
fn no_crate_behind_it_knows_a_network() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--package", "kluis-verify", "--edges", "normal", "--prefix", "none", "--offline", "--locked"]);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let crates: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains(&"kluis-ledger"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for name in NETWORK_CRATES {
        assert!(!crates.contains(name), "{name} is linked: {text}");
    }
    let ours: Vec<&str> = crates.iter().copied().filter(|name| name.starts_with("kluis")).collect();
    for name in ours {
        assert!(["kluis-verify", "kluis-dicom", "kluis-ledger"].contains(&name), "{name}");
    }
}

#[test]
fn the_program_calls_no_function_of_a_network() {
    let output = Command::new("nm").args(["--dynamic", "--undefined-only", BINARY]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let symbols: Vec<&str> =
        text.split_whitespace().filter(|word| word.len() > 1).map(|word| word.split('@').next().unwrap()).collect();
    assert!(symbols.contains(&"read") || symbols.contains(&"read64"), "nm said something else: {text}");
    let found: Vec<&&str> = symbols.iter().filter(|symbol| NETWORK_SYMBOLS.contains(symbol)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn wrong_use_is_told_by_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no ZIP file").unwrap();
    let file = file.to_str().unwrap();
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    for (arguments, code, sentence) in [
        (&["study"][..], 2, "required"),
        (&["study", missing], 2, "cannot read"),
        (&["study", file], 2, "neither a folder nor a ZIP file"),
        (&["study", path, "--key", missing], 2, "neither a verifier key nor a file"),
        (&["study", path, "--key", file], 2, "verifier key"),
        (&["study", path], 1, "there is no proof"),
    ] {
        let output = run(arguments);
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(sentence), "{arguments:?}: {text}");
    }
    let page = folder.path().join("page.html");
    let page = page.to_str().unwrap();
    let output = run(&["study", path, "--json", "--html", page]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["conclusion"], &report["objects"][0]["verdict"]), (&"not-intact".into(), &"UNPROVEN".into()));
    let text = std::fs::read_to_string(page).unwrap();
    assert!(text.contains("NOT INTACT") && text.contains("UNPROVEN"), "{text}");
    assert_eq!(run(&["study", path, "--html", page]).status.code(), Some(2), "a page is not overwritten");
}
