//! Places that may break a rule for a while. The list may only shrink: an exemption without need is a finding.
//!
//! One per line: rule, path, and for rules about a part of a file that part (`function-length crates/a/src/b.rs name`).

use std::collections::BTreeSet;

use super::{EXEMPTIONS, Finding};

/// The list.
pub struct Exemptions {
    lines: Vec<(usize, Key)>,
}

/// Rule, path, item.
type Key = (String, String, String);

impl Exemptions {
    /// Reads the list; what follows a `#` is a comment.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().enumerate().filter_map(|(number, line)| {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned);
            let rule = words.next()?;
            Some((number + 1, (rule, words.next().unwrap_or_default(), words.next().unwrap_or_default())))
        });
        Self { lines: lines.collect() }
    }

    /// Leaves the findings that are not exempt and adds one for each exemption that nothing needs.
    pub fn apply(self, findings: Vec<Finding>) -> Vec<Finding> {
        let exempt: BTreeSet<&Key> = self.lines.iter().map(|(_, key)| key).collect();
        let mut needed = BTreeSet::new();
        let mut left: Vec<Finding> = Vec::new();
        for finding in findings {
            let key = (finding.rule.to_owned(), finding.path.clone(), finding.item.clone());
            if exempt.contains(&key) {
                needed.insert(key);
            } else {
                left.push(finding);
            }
        }
        for (line, (rule, path, item)) in self.lines.iter().filter(|(_, key)| !needed.contains(key)) {
            left.push(Finding {
                rule: "exemption",
                path: EXEMPTIONS.to_owned(),
                line: *line,
                item: String::new(),
                sentence: format!("`{rule} {path} {item}` is no longer needed: remove it"),
            });
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: &'static str, item: &str) -> Finding {
        Finding { rule, path: "a.rs".to_owned(), line: 1, item: item.to_owned(), sentence: String::new() }
    }

    #[test]
    fn an_exemption_covers_exactly_its_place() {
        let list = Exemptions::parse("# why\nfunction-length a.rs long # until it is cut\n");
        let left = list.apply(vec![finding("function-length", "long"), finding("function-length", "other")]);
        assert_eq!(left, [finding("function-length", "other")]);
    }

    #[test]
    fn an_exemption_without_need_is_a_finding() {
        let left = Exemptions::parse("\nfile-length a.rs\n").apply(Vec::new());
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].rule, left[0].line), ("exemption", 2));
    }
}
