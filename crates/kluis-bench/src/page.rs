//! The page of results: tables between two marks of a Markdown file, whose other lines are written by hand.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};

use crate::{cases::CASES, machine::Machine, profile::Profile, reading::Summary, verdict::Verdict};

/// Where the measured part of the page begins and ends.
const MEASURED: (&str, &str) = ("<!-- measured: begin -->", "<!-- measured: end -->");
/// The same for the profiles.
const PROFILED: (&str, &str) = ("<!-- profile: begin -->", "<!-- profile: end -->");

/// Puts tables between the marks.
pub fn put_measured(page: &Path, text: &str) -> Result<()> {
    put(page, MEASURED, text)
}

/// Puts profiles between the marks.
pub fn put_profiles(page: &Path, text: &str) -> Result<()> {
    put(page, PROFILED, text)
}

fn put(page: &Path, (begin, end): (&str, &str), text: &str) -> Result<()> {
    let before = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    fs::write(page, replaced(&before, begin, end, text).context("the page has no marks")?)?;
    Ok(())
}

fn replaced(page: &str, begin: &str, end: &str, text: &str) -> Option<String> {
    let (head, rest) = page.split_once(begin)?;
    let (_, tail) = rest.split_once(end)?;
    Some(format!("{head}{begin}\n\n{}\n\n{end}{tail}", text.trim()))
}

/// All tables.
pub fn tables(
    machine: &Machine,
    rounds: usize,
    summaries: &[Summary],
    verdicts: &[Verdict],
    failures: &[(String, String)],
) -> String {
    let mut out = format!("Measured {} in {rounds} rounds.\n\n| | |\n|---|---|\n", machine.date);
    for (what, which) in &machine.facts {
        let _ = writeln!(out, "| {what} | {which} |");
    }
    out.push_str("\n### Bounds\n\n| what | ours, /s | wanted, /s | holds | how the bound comes about |\n|---|---:|---:|---|---|\n");
    for verdict in verdicts {
        let holds = if verdict.holds { "yes" } else { "**no**" };
        let _ = writeln!(
            out,
            "| {} | {:.1} | {:.1} | {holds} | {} |",
            verdict.what, verdict.ours, verdict.bound, verdict.because
        );
    }
    for case in CASES {
        let of_case: Vec<&Summary> = summaries.iter().filter(|summary| summary.case == case.name).collect();
        if !of_case.is_empty() {
            table(&mut out, case.title, &of_case);
        }
    }
    if !failures.is_empty() {
        out.push_str("\n### What failed\n\n");
        for (what, how) in failures {
            let _ = writeln!(out, "- {what}: {}", how.replace('\n', " "));
        }
    }
    out
}

fn table(out: &mut String, title: &str, summaries: &[&Summary]) {
    let _ = write!(
        out,
        "\n### {title}\n\n| system | at once | runs | per second (slowest to quickest) | MB/s | p50 ms | p90 ms | p99 ms | \
         server CPU ms | client CPU ms | peak MB | others, cores |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for one in summaries {
        let has_server = one.peak_pss_mb > 0.0;
        let of_server =
            |value: f64, digits: usize| if has_server { format!("{value:.digits$}") } else { String::new() };
        let _ = writeln!(
            out,
            "| {} | {} | {} | **{:.1}** ({:.1} to {:.1}) | {:.1} | {:.2} | {:.2} | {:.2} | {} | {:.2} | {} | {:.2} |",
            one.system,
            one.parallel,
            one.rounds,
            one.rate,
            one.rate_min,
            one.rate_max,
            one.mb_s,
            one.latency.p50_ms,
            one.latency.p90_ms,
            one.latency.p99_ms,
            of_server(one.server_cpu_ms, 2),
            one.client_cpu_ms,
            of_server(one.peak_pss_mb, 0),
            one.other_cores,
        );
    }
}

/// Where the CPU time of our server goes.
pub fn profiles(machine: &Machine, profiles: &[Profile]) -> String {
    let mut out = format!("Recorded {}.\n", machine.date);
    for profile in profiles {
        let _ = write!(
            out,
            "\n### {}\n\n{} samples; {:.1} operations a second meanwhile, {:.2} ms of CPU each.\n\n\
             | stage | share of CPU | ms each |\n|---|---:|---:|\n",
            profile.title, profile.samples, profile.rate, profile.cpu_ms
        );
        for (stage, share) in &profile.stages {
            let _ = writeln!(out, "| {stage} | {:.1} % | {:.2} |", share * 100.0, share * profile.cpu_ms);
        }
        out.push_str("\nThe most expensive functions: ");
        let named = profile.functions.iter().map(|(name, share)| format!("`{name}` {:.1} %", share * 100.0));
        out.push_str(&named.collect::<Vec<_>>().join(", "));
        out.push_str(".\n");
        if !profile.waits.is_empty() {
            out.push_str("\n| wall time of a store | p50 ms | p90 ms | p99 ms |\n|---|---:|---:|---:|\n");
        }
        for (stage, times) in &profile.waits {
            let _ = writeln!(out, "| {stage} | {:.2} | {:.2} | {:.2} |", times.p50_ms, times.p90_ms, times.p99_ms);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = "a\n<b>\nold\n<e>\nz\n";
        assert_eq!(replaced(page, "<b>", "<e>", "new\n").as_deref(), Some("a\n<b>\n\nnew\n\n<e>\nz\n"));
        assert_eq!(replaced(page, "<b>", "<x>", "new"), None);
    }
}
