//! One measured run, and how runs of one kind are put together: medians, spread, percentiles.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Median.
    pub p50_ms: f64,
    /// 90th.
    pub p90_ms: f64,
    /// 99th.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// One run of one system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reading {
    /// The case, as `--only` names it.
    pub case: String,
    /// The system, as the tables name it.
    pub system: String,
    /// Associations, connections or jobs at once.
    pub parallel: usize,
    /// Round, from 0.
    pub round: usize,
    /// Operations that were answered well.
    pub operations: u64,
    /// Payload, in bytes.
    pub bytes: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Of single operations.
    pub latency: Percentiles,
    /// CPU seconds of the server.
    pub server_cpu_s: f64,
    /// CPU seconds of the clients.
    pub client_cpu_s: f64,
    /// Cores kept busy by others.
    pub other_cores: f64,
    /// Peak proportional set size of the server, MB.
    pub peak_pss_mb: f64,
}

/// What a load run did.
#[derive(Debug, Default)]
pub struct Work {
    /// Time of each operation.
    pub latencies: Vec<Duration>,
    /// Payload bytes.
    pub bytes: u64,
    /// Wall time.
    pub elapsed: Duration,
}

impl Reading {
    /// Puts a run together.
    pub fn new(case: &str, system: &str, parallel: usize, round: usize, work: &Work, usage: Usage) -> Self {
        Self {
            case: case.to_owned(),
            system: system.to_owned(),
            parallel,
            round,
            operations: u64::try_from(work.latencies.len()).unwrap_or_default(),
            bytes: work.bytes,
            seconds: work.elapsed.as_secs_f64(),
            latency: percentiles(&work.latencies),
            server_cpu_s: usage.server_cpu_s,
            client_cpu_s: usage.client_cpu_s,
            other_cores: usage.other_cores,
            peak_pss_mb: usage.peak_pss_mb,
        }
    }

    /// Operations a second.
    pub fn rate(&self) -> f64 {
        real(self.operations) / self.seconds.max(1e-9)
    }
}

/// Runs of one case, system and number of connections, put together.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The case.
    pub case: String,
    /// The system.
    pub system: String,
    /// Connections.
    pub parallel: usize,
    /// How many runs.
    pub rounds: usize,
    /// Median of the operations a second.
    pub rate: f64,
    /// The slowest run.
    pub rate_min: f64,
    /// The quickest run.
    pub rate_max: f64,
    /// Median of payload MB a second.
    pub mb_s: f64,
    /// Medians of the percentiles.
    pub latency: Percentiles,
    /// Median of the server's CPU milliseconds an operation.
    pub server_cpu_ms: f64,
    /// Median of the clients' CPU milliseconds an operation.
    pub client_cpu_ms: f64,
    /// The highest peak of memory, MB.
    pub peak_pss_mb: f64,
    /// Median of the cores that others kept busy.
    pub other_cores: f64,
}

/// Groups readings by case, connections and system, in the order in which they first came.
pub fn summarise(readings: &[Reading]) -> Vec<Summary> {
    let mut kinds: Vec<(&str, usize, &str)> = Vec::new();
    for reading in readings {
        let kind = (reading.case.as_str(), reading.parallel, reading.system.as_str());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
        .into_iter()
        .map(|(case, parallel, system)| {
            let is_of_kind =
                |reading: &&Reading| reading.case == case && reading.parallel == parallel && reading.system == system;
            summary(&readings.iter().filter(is_of_kind).collect::<Vec<_>>())
        })
        .collect()
}

fn summary(runs: &[&Reading]) -> Summary {
    let middle = |value: fn(&Reading) -> f64| median(runs.iter().map(|run| value(run)).collect());
    let rates = || runs.iter().map(|run| run.rate());
    let first = runs.first();
    Summary {
        case: first.map(|run| run.case.clone()).unwrap_or_default(),
        system: first.map(|run| run.system.clone()).unwrap_or_default(),
        parallel: first.map(|run| run.parallel).unwrap_or_default(),
        rounds: runs.len(),
        rate: middle(Reading::rate),
        rate_min: rates().fold(f64::INFINITY, f64::min),
        rate_max: rates().fold(0.0, f64::max),
        mb_s: middle(|run| real(run.bytes) / 1e6 / run.seconds.max(1e-9)),
        latency: Percentiles {
            p50_ms: middle(|run| run.latency.p50_ms),
            p90_ms: middle(|run| run.latency.p90_ms),
            p99_ms: middle(|run| run.latency.p99_ms),
            max_ms: middle(|run| run.latency.max_ms),
        },
        server_cpu_ms: middle(|run| 1e3 * run.server_cpu_s / real(run.operations.max(1))),
        client_cpu_ms: middle(|run| 1e3 * run.client_cpu_s / real(run.operations.max(1))),
        peak_pss_mb: runs.iter().map(|run| run.peak_pss_mb).fold(0.0, f64::max),
        other_cores: middle(|run| run.other_cores),
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    if values.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) }
}

/// Percentiles by the nearest rank.
pub fn percentiles(latencies: &[Duration]) -> Percentiles {
    let mut sorted: Vec<f64> = latencies.iter().map(|latency| latency.as_secs_f64() * 1e3).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        // the smallest value that so many percent of all do not exceed
        let rank = sorted.len().saturating_mul(percent).div_ceil(100).max(1);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    };
    Percentiles { p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms: at(100) }
}

/// A count as a real number.
#[allow(clippy::cast_precision_loss)]
pub fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_percentiles_are_those_of_the_book() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
        let latencies: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let expected = Percentiles { p50_ms: 100.0, p90_ms: 180.0, p99_ms: 198.0, max_ms: 200.0 };
        assert_eq!(percentiles(&latencies), expected);
        assert_eq!(percentiles(&[]), Percentiles::default());
    }

    #[test]
    fn runs_of_one_kind_are_put_together() {
        let run = |system: &str, round, millis: u64| {
            let work = Work {
                latencies: vec![Duration::from_millis(1); 100],
                bytes: 1_000_000,
                elapsed: Duration::from_millis(millis),
            };
            Reading::new("cstore", system, 1, round, &work, Usage { server_cpu_s: 0.2, ..Usage::default() })
        };
        let summaries = summarise(&[run("a", 0, 500), run("b", 0, 100), run("a", 1, 1000), run("a", 2, 250)]);
        let [a, b] = &summaries[..] else { panic!("{summaries:?}") };
        assert_eq!((a.rate, a.rate_min, a.rate_max, a.rounds), (200.0, 100.0, 400.0, 3));
        assert_eq!((a.server_cpu_ms, a.mb_s), (2.0, 2.0));
        assert_eq!((b.system.as_str(), b.rounds), ("b", 1));
    }
}
