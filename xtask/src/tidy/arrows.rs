//! Which crate may use which: the tables of ARCHITECTURE.md against what `cargo metadata` says.
//!
//! The first table stands under the heading `## Allowed arrows`: a crate in backquotes, then those of our crates that it may
//! use. The second stands under `## Libraries with one home`: a library, then the crates that may name it
//! outside their tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Finding, PLAN};
use crate::command::{cargo, read};

/// A crate and what it depends on, as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    name: String,
    /// Used by the crate itself or its build script.
    uses: BTreeSet<String>,
    /// Used by its tests only.
    tests_use: BTreeSet<String>,
}

/// May be used by the tests of any crate.
const FOR_TESTS: &str = "kluis-testkit";

/// The crates of the workspace.
pub fn workspace(root: &Path) -> Result<Vec<Manifest>> {
    let text = read(cargo(root).args(["metadata", "--no-deps", "--format-version", "1", "--quiet"]))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata is no JSON")?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo metadata names no packages")?;
    packages.iter().map(manifest).collect()
}

/// Every arrow that the plan does not allow, and every crate that it does not know.
pub fn check(plan: &str, crates: &[Manifest]) -> Vec<Finding> {
    let allowed = table(plan, "## Allowed arrows");
    let homes = table(plan, "## Libraries with one home");
    let ours: BTreeSet<&str> = crates.iter().map(|manifest| manifest.name.as_str()).collect();
    let mut findings = Vec::new();
    for (row, uses) in &allowed {
        for name in uses.iter().chain([row]).filter(|name| !ours.contains(name.as_str())) {
            findings.push(finding(name, format!("the table of arrows names `{name}`, which is no crate here")));
        }
    }
    for manifest in crates {
        let Some(may_use) = allowed.get(&manifest.name) else {
            findings.push(finding(&manifest.name, format!("`{}` has no row in the table of arrows", manifest.name)));
            continue;
        };
        let of_tests = manifest.tests_use.iter().filter(|name| *name != FOR_TESTS);
        for used in manifest.uses.iter().chain(of_tests) {
            if ours.contains(used.as_str()) && !may_use.contains(used) {
                findings.push(finding(&manifest.name, format!("`{}` may not use `{used}`", manifest.name)));
            }
        }
        for used in &manifest.uses {
            if homes.get(used).is_some_and(|homes| !homes.contains(&manifest.name)) {
                let sentence = format!("`{}` may not name `{used}`, whose home is elsewhere", manifest.name);
                findings.push(finding(&manifest.name, sentence));
            }
        }
    }
    findings
}

fn finding(item: &str, sentence: String) -> Finding {
    Finding { rule: "arrow", path: PLAN.to_owned(), line: 1, item: item.to_owned(), sentence }
}

fn manifest(package: &Value) -> Result<Manifest> {
    let name = package.get("name").and_then(Value::as_str).context("a package without a name")?;
    let mut manifest = Manifest { name: name.to_owned(), uses: BTreeSet::new(), tests_use: BTreeSet::new() };
    for dependency in package.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
        let used = dependency.get("name").and_then(Value::as_str).context("a dependency without a name")?;
        let is_for_tests = dependency.get("kind").and_then(Value::as_str) == Some("dev");
        let set = if is_for_tests { &mut manifest.tests_use } else { &mut manifest.uses };
        set.insert(used.to_owned());
    }
    Ok(manifest)
}

/// The rows of the first table under a heading: the name in the first cell, and the names in the second.
fn table(plan: &str, heading: &str) -> BTreeMap<String, BTreeSet<String>> {
    let section = plan.lines().skip_while(|line| *line != heading).skip(1);
    let rows = section
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.trim().strip_prefix('|'))
        .filter_map(|row| row.split_once('|'));
    let named = rows.filter_map(|(first, second)| Some((names(first).next()?, names(second).collect())));
    named.collect()
}

/// What stands in backquotes.
fn names(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
# Plan
## Allowed arrows
Words.

| crate | may use |
|---|---|
| `words` | |
| `store` | `words` |
| `edge` | `words`, `archive` |
| `archive` | `words`, `store` |

## Libraries with one home

| library | only in |
|---|---|
| `sqlite` | `store` |

## Else
| `nothing` | `words` |
";

    fn using(name: &str, uses: &[&str], tests_use: &[&str]) -> Manifest {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Manifest { name: name.to_owned(), uses: set(uses), tests_use: set(tests_use) }
    }

    fn sentences(changed: Manifest) -> Vec<String> {
        let mut crates = vec![
            using("words", &["serde"], &[FOR_TESTS]),
            using("store", &["words", "sqlite"], &[]),
            using("archive", &["words", "store"], &[]),
            using("edge", &["archive"], &[]),
        ];
        crates.retain(|manifest| manifest.name != changed.name);
        crates.push(changed);
        check(SAMPLE, &crates).into_iter().map(|finding| finding.sentence).collect()
    }

    #[test]
    fn only_arrows_of_the_table_pass() {
        let cases: [(Manifest, &[&str]); 6] = [
            (using("edge", &["archive", "words", "axum"], &[FOR_TESTS]), &[]),
            (using("edge", &["archive", "store"], &[]), &["`edge` may not use `store`"]),
            (using("edge", &["archive"], &["store"]), &["`edge` may not use `store`"]),
            (using("words", &["store"], &[]), &["`words` may not use `store`"]),
            (using("edge", &["sqlite"], &[]), &["`edge` may not name `sqlite`, whose home is elsewhere"]),
            (using("stranger", &[], &[]), &["`stranger` has no row in the table of arrows"]),
        ];
        for (manifest, expected) in cases {
            assert_eq!(sentences(manifest.clone()), expected, "{manifest:?}");
        }
    }

    #[test]
    fn a_row_for_no_crate_is_found() {
        let found = check(SAMPLE, &[using("words", &[], &[])]);
        assert!(found.iter().any(|finding| finding.sentence.contains("`edge`, which is no crate")), "{found:?}");
    }
}
