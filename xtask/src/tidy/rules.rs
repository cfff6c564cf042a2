//! Rules that look at one file at a time.

use super::{Finding, functions::functions, source::Source};

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
/// A table of cases is best read in one piece.
const TEST_FUNCTION_LINES: usize = 200;

/// A call that stands only where it belongs.
struct Banned {
    call: &'static str,
    reason: &'static str,
    is_allowed: fn(&str) -> bool,
}

const BANNED: &[Banned] = &[
    Banned {
        call: "SystemTime::now",
        reason: "time is an argument; the wall clock stands in clock.rs",
        is_allowed: is_clock,
    },
    Banned {
        call: "OffsetDateTime::now_utc",
        reason: "time is an argument; the wall clock stands in clock.rs",
        is_allowed: is_clock,
    },
    Banned { call: "thread::sleep", reason: "wait on something that tells", is_allowed: |_| false },
    Banned { call: "decide(", reason: "only the gate of the archive asks the policy", is_allowed: is_policy_or_gate },
    Banned {
        call: "rusqlite::",
        reason: "SQL stands only in kluis-index",
        is_allowed: |path| path.starts_with("crates/kluis-index/"),
    },
    Banned {
        call: "object_store::",
        reason: "stores of objects are named only in kluis-vault",
        is_allowed: |path| path.starts_with("crates/kluis-vault/"),
    },
];

/// Text that would tie the project to one machine or one mirror. In halves, so that this file does not hold it.
const TIES: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/tmp/br", "ief"),
    ("registry.npm", "js"),
    ("pypi", ".org"),
    ("files.python", "hosted"),
];

/// Everything that is wrong with one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = ties(source);
    if is_written(&source.path) {
        findings.extend(file_length(source));
    }
    if source.is_rust() {
        findings.extend(opening(source));
        findings.extend(function_lengths(source));
        if source.path.contains("/src/") && source.path.starts_with("crates/") {
            findings.extend(banned(source));
        }
    }
    if is_crate_manifest(&source.path) {
        findings.extend(lints(source));
    }
    findings
}

fn is_clock(path: &str) -> bool {
    path.ends_with("/clock.rs")
}

fn is_policy_or_gate(path: &str) -> bool {
    path.starts_with("crates/kluis-policy/")
        || path.starts_with("crates/kluis-archive/src/gate/")
        || path == "crates/kluis-archive/src/gate.rs"
}

fn is_written(path: &str) -> bool {
    [".rs", ".mjs", ".py", ".sh", ".css", ".html"].iter().any(|ending| path.ends_with(ending))
}

fn is_crate_manifest(path: &str) -> bool {
    path == "xtask/Cargo.toml" || (path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
}

fn finding(rule: &'static str, source: &Source, line: usize, item: &str, sentence: String) -> Finding {
    Finding { rule, path: source.path.clone(), line, item: item.to_owned(), sentence }
}

fn file_length(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    let sentence = format!("{lines} lines, more than {FILE_LINES}: cut it by noun");
    (lines > FILE_LINES).then(|| finding("file-length", source, lines, "", sentence))
}

fn function_lengths(source: &Source) -> Vec<Finding> {
    let tests_from = first_line_of_tests(source);
    let long = functions(&source.code).into_iter().filter_map(|function| {
        let most = if function.first_line >= tests_from { TEST_FUNCTION_LINES } else { FUNCTION_LINES };
        let lines = function.last_line - function.first_line + 1;
        let sentence = format!("fn {} has {lines} lines, more than {most}", function.name);
        (lines > most).then(|| finding("function-length", source, function.first_line, &function.name, sentence))
    });
    long.collect()
}

/// Tests stand last in a file, or have files of their own.
fn first_line_of_tests(source: &Source) -> usize {
    if is_of_tests(&source.path) {
        return 1;
    }
    let opens = |line: &str| line.trim_start().starts_with("#[cfg(test)]");
    source.code.lines().position(opens).map_or(usize::MAX, |line| line + 1)
}

fn is_of_tests(path: &str) -> bool {
    path.contains("/tests/") || path.contains("/suite/") || path.ends_with("/tests.rs")
}

fn opening(source: &Source) -> Option<Finding> {
    let opens = source.text.lines().map(str::trim).find(|line| !line.is_empty());
    let holds = opens.is_some_and(|line| line.starts_with("//!")) || source.path.ends_with("/tests.rs");
    let sentence = "a module opens with `//!`: what it is and what it may not do".to_owned();
    (!holds).then(|| finding("opening", source, 1, "", sentence))
}

fn banned(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for banned in BANNED.iter().filter(|banned| !(banned.is_allowed)(&source.path)) {
        for (number, line) in source.code.lines().enumerate() {
            if calls(line, banned.call) {
                let sentence = format!("`{}` is banned here: {}", banned.call, banned.reason);
                findings.push(finding("banned-call", source, number + 1, banned.call, sentence));
            }
        }
    }
    findings
}

/// Whether the call stands in the line as a whole word that is not being defined and is no method.
fn calls(line: &str, call: &str) -> bool {
    line.match_indices(call).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let is_word_part = before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == '.');
        !is_word_part && !before.ends_with("fn ")
    })
}

fn lints(source: &Source) -> Option<Finding> {
    let mut lines = source.text.lines().map(str::trim).skip_while(|line| *line != "[lints]");
    let holds = lines.nth(1) == Some("workspace = true");
    let sentence = "the crate does not take the lints of the workspace".to_owned();
    (!holds).then(|| finding("lints", source, 1, "", sentence))
}

fn ties(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for (first, second) in TIES {
            let word = format!("{first}{second}");
            if line.contains(&word) {
                findings.push(finding(
                    "tie",
                    source,
                    number + 1,
                    &word,
                    format!("`{word}` ties the project to one machine"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_broken(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::new(path.to_owned(), text.to_owned())).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn each_rule_finds_what_breaks_it_and_nothing_else() {
        let long_body = format!("//! x\nfn f() {{\n{}}}\n", "    g();\n".repeat(69));
        let test_body = format!("//! x\n#[cfg(test)]\nmod tests {{\nfn f() {{\n{}}}\n}}\n", "    g();\n".repeat(69));
        let short_body = format!("//! x\nfn f() {{\n{}}}\n", "    g();\n".repeat(68));
        let cases: [(&str, &str, &[&str]); 18] = [
            ("crates/a/src/lib.rs", "//! x\n", &[]),
            ("crates/a/src/lib.rs", "mod b;\n", &["opening"]),
            ("crates/a/src/lib.rs", &long_body, &["function-length"]),
            ("crates/a/src/lib.rs", &short_body, &[]),
            ("crates/a/src/lib.rs", &test_body, &[]),
            ("crates/a/src/b/tests.rs", &long_body, &[]),
            ("crates/a/src/b/tests.rs", "use super::*;\n", &[]),
            ("crates/a/src/lib.rs", "//! x\nlet t = std::time::SystemTime::now();\n", &["banned-call"]),
            ("crates/a/src/clock.rs", "//! x\nlet t = std::time::SystemTime::now();\n", &[]),
            ("crates/a/src/lib.rs", "//! x\n// not SystemTime::now\nlet t = \"SystemTime::now\";\n", &[]),
            ("crates/kluis-web/src/lib.rs", "//! x\nkluis_policy::decide(&p);\n", &["banned-call"]),
            ("crates/kluis-archive/src/gate.rs", "//! x\ndecide(&p);\n", &[]),
            ("crates/kluis-web/src/lib.rs", "//! x\nself.decide(&p); undecide(&p); fn decide(p: u8) {}\n", &[]),
            ("crates/kluis-archive/src/lib.rs", "//! x\nuse rusqlite::Connection;\n", &["banned-call"]),
            ("crates/kluis-index/src/lib.rs", "//! x\nuse rusqlite::Connection;\n", &[]),
            ("crates/a/Cargo.toml", "[package]\n[lints]\nworkspace = true\n", &[]),
            ("crates/a/Cargo.toml", "[package]\n[dependencies]\nworkspace = true\n", &["lints"]),
            ("docs/a.md", "cargo xtask demo\n", &[]),
        ];
        for (path, text, expected) in cases {
            assert_eq!(rules_broken(path, text), expected, "{path}: {text}");
        }
    }

    #[test]
    fn files_are_held_to_their_length() {
        let text = |lines: usize| "//! x\n".repeat(lines);
        assert_eq!(rules_broken("crates/a/src/lib.rs", &text(FILE_LINES)), [""; 0]);
        assert_eq!(rules_broken("crates/a/src/lib.rs", &text(FILE_LINES + 1)), ["file-length"]);
        assert_eq!(rules_broken("docs/long.md", &text(FILE_LINES + 1)), [""; 0]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_in_any_file() {
        for (first, second) in TIES {
            assert_eq!(rules_broken("README.md", &format!("see {first}{second}")), ["tie"]);
        }
    }
}
