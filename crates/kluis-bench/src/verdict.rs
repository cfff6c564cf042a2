//! The bounds that the project has set itself, held against what was measured.

use serde::Serialize;

use crate::{
    reading::Summary,
    site::{DCMQRSCP, KLUIS, KLUIS_BARE, NGINX, ORTHANC},
};

/// Objects a second that an untouched `storescu` must reach.
const STORESCU_RATE: f64 = 250.0;
/// Times Orthanc's rate of stores.
const STORES_TO_ORTHANC: f64 = 3.0;
/// Share of the durable appends of the disk.
const STORES_TO_DISK: f64 = 0.8;
/// Times Orthanc's rate of metadata.
const METADATA_TO_ORTHANC: f64 = 20.0;
/// Share of nginx's rate of single frames.
const FRAME_TO_NGINX: f64 = 0.6;
/// Share of nginx's rate of whole studies.
const STUDY_TO_NGINX: f64 = 0.8;
/// Times Orthanc's rate of retrieval over DIMSE.
const RETRIEVAL_TO_ORTHANC: f64 = 2.0;
/// Times dcmqrscp's.
const RETRIEVAL_TO_DCMTK: f64 = 1.0;
/// Share of the rate without encryption and ledger.
const FULL_TO_BARE: f64 = 0.85;

/// One bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// What is bounded.
    pub what: String,
    /// Ours, operations a second.
    pub ours: f64,
    /// The least that is wanted, operations a second.
    pub bound: f64,
    /// How the bound comes about.
    pub because: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Every bound for which both sides were measured.
pub fn verdicts(summaries: &[Summary]) -> Vec<Verdict> {
    let rate = |case: &str, system: &str, parallel: usize| {
        let is_it =
            |summary: &&Summary| summary.case == case && summary.system == system && summary.parallel == parallel;
        summaries.iter().find(is_it).map(|summary| summary.rate)
    };
    let mut found = Vec::new();
    let disk = rate("disk", "fio", 1);
    for (case, name) in [("cstore", "C-STORE"), ("stow", "STOW-RS")] {
        for parallel in [1, 4, 8] {
            let ours = rate(case, KLUIS, parallel);
            let what = format!("{name}, {parallel} at once");
            found.extend(stores(what, ours, rate(case, ORTHANC, parallel), disk));
        }
    }
    found.extend(rate("storescu", KLUIS, 1).map(|ours| {
        verdict("untouched storescu, one association".to_owned(), ours, STORESCU_RATE, "a fixed rate".to_owned())
    }));
    let shares: [(&str, &str, &str, &[usize], f64); 8] = [
        ("metadata", "metadata of 500 slices", ORTHANC, &[1], METADATA_TO_ORTHANC),
        ("frame", "one frame by WADO-RS", NGINX, &[1, 8], FRAME_TO_NGINX),
        ("study", "a whole study by WADO-RS", NGINX, &[1], STUDY_TO_NGINX),
        ("get", "C-GET of 500 slices, beside Orthanc", ORTHANC, &[1], RETRIEVAL_TO_ORTHANC),
        ("get", "C-GET of 500 slices, beside dcmqrscp", DCMQRSCP, &[1], RETRIEVAL_TO_DCMTK),
        ("move", "C-MOVE of 500 slices, beside Orthanc", ORTHANC, &[1], RETRIEVAL_TO_ORTHANC),
        ("move", "C-MOVE of 500 slices, beside dcmqrscp", DCMQRSCP, &[1], RETRIEVAL_TO_DCMTK),
        ("bare", "C-STORE, encryption and ledger", KLUIS_BARE, &[1, 4, 8], FULL_TO_BARE),
    ];
    for (case, name, other, parallels, share) in shares {
        for &parallel in parallels {
            let (Some(ours), Some(theirs)) = (rate(case, KLUIS, parallel), rate(case, other, parallel)) else {
                continue;
            };
            let because = format!("{share} x {other} ({theirs:.1}/s); ours is {:.2} x", ours / theirs.max(1e-9));
            found.push(verdict(format!("{name}, {parallel} at once"), ours, share * theirs, because));
        }
    }
    found
}

/// The lower of both bounds counts.
fn stores(what: String, ours: Option<f64>, orthanc: Option<f64>, disk: Option<f64>) -> Option<Verdict> {
    let (ours, orthanc, disk) = (ours?, orthanc?, disk?);
    let (by_orthanc, by_disk) = (STORES_TO_ORTHANC * orthanc, STORES_TO_DISK * disk);
    let because = format!(
        "the lower of {STORES_TO_ORTHANC} x Orthanc ({by_orthanc:.1}/s) and {STORES_TO_DISK} x fio ({by_disk:.1}/s); \
         ours is {:.2} x Orthanc and {:.2} x fio",
        ours / orthanc.max(1e-9),
        ours / disk.max(1e-9)
    );
    Some(verdict(what, ours, by_orthanc.min(by_disk), because))
}

fn verdict(what: String, ours: f64, bound: f64, because: String) -> Verdict {
    Verdict { what, ours, bound, because, holds: ours >= bound }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Percentiles, Reading, summarise};

    fn measured(runs: &[(&str, &str, usize, u64)]) -> Vec<Summary> {
        let readings: Vec<Reading> = runs
            .iter()
            .map(|&(case, system, parallel, operations)| Reading {
                case: case.to_owned(),
                system: system.to_owned(),
                parallel,
                round: 0,
                operations,
                bytes: 1,
                seconds: 1.0,
                latency: Percentiles::default(),
                server_cpu_s: 0.0,
                client_cpu_s: 0.0,
                other_cores: 0.0,
                peak_pss_mb: 0.0,
            })
            .collect();
        summarise(&readings)
    }

    #[test]
    fn the_lower_bound_counts() {
        // 0.8 x 200 is lower than 3 x 100; then 3 x 40 is lower than 0.8 x 200
        for (ours, orthanc, bound, holds) in
            [(160, 100, 160.0, true), (159, 100, 160.0, false), (120, 40, 120.0, true), (119, 40, 120.0, false)]
        {
            let found = verdicts(&measured(&[
                ("disk", "fio", 1, 200),
                ("cstore", KLUIS, 4, ours),
                ("cstore", ORTHANC, 4, orthanc),
            ]));
            let [verdict] = &found[..] else { panic!("{found:?}") };
            assert_eq!((verdict.bound, verdict.holds), (bound, holds), "{verdict:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert_eq!(verdicts(&measured(&[("cstore", KLUIS, 1, 10), ("frame", NGINX, 1, 10)])), []);
        let found =
            verdicts(&measured(&[("frame", KLUIS, 8, 5), ("frame", NGINX, 8, 10), ("storescu", KLUIS, 1, 250)]));
        assert_eq!(found.iter().map(|verdict| verdict.holds).collect::<Vec<_>>(), [true, false]);
    }
}
