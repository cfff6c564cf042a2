//! Crashes and faults, simulated: the whole archive service with its real index, vault, ledger and table of keys, on a
//! computer whose disk fails and whose power goes at any call. See `docs/design/011-simulated-crashes.md`.
//!
//! `KLUIS_SEED` and `KLUIS_RUNS` repeat a run or make more of them; a run that fails prints its seed and its steps.

#[cfg(test)]
mod check;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod model;
#[cfg(test)]
mod run;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod sweep;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use run::Trace;

/// Seeds that are run where nothing else is said.
const RUNS: u64 = 250;

/// A number from the environment.
#[cfg(test)]
fn number(name: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{name} is no number"))
}

/// Runs one seed on a runtime of its own. Its steps, and what went wrong where something did.
#[cfg(test)]
fn simulate(seed: u64) -> (Vec<String>, Option<String>) {
    let trace = Trace::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let seeded = run::seeded(seed, Arc::clone(&trace));
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(seeded)));
    let failure = result.err().map(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    });
    let steps = trace.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    (steps, failure)
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_half_is_shown() {
    let first = number("KLUIS_SEED", 1);
    let runs = number("KLUIS_RUNS", if std::env::var("KLUIS_SEED").is_ok() { 1 } else { RUNS });
    println!("seeds {first} to {}", first + runs - 1);
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + runs {
                        return;
                    }
                    let (steps, failure) = simulate(seed);
                    if let Some(failure) = failure {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("KLUIS_SEED={seed} failed: {failure}\n{}\n", steps.join("\n"));
                    } else if number("KLUIS_TRACE", 0) > 0 {
                        println!("KLUIS_SEED={seed}\n{}\n", steps.join("\n"));
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "of {runs} runs");
}

/// Steps without the number of the disk's last call: the vault writes on a thread of its own, so that a store that ends
/// beside another one may be noted a few calls earlier or later.
#[cfg(test)]
fn without_numbers(steps: &[String]) -> Vec<String> {
    steps
        .iter()
        .map(|step| step.trim_start().trim_start_matches(|letter: char| letter.is_ascii_digit()).to_owned())
        .collect()
}

#[test]
fn same_seed_is_the_same_run() {
    for seed in [3, 17, 4_711] {
        let [first, second] =
            [simulate(seed), simulate(seed)].map(|(steps, failure)| (without_numbers(&steps), failure));
        assert_eq!(first, second, "seed {seed}");
    }
}
