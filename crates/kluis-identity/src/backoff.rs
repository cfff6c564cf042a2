//! Failed proofs by source: the more, the longer the next refusal is held back (design rule 6).
//!
//! Only refusals are: a source from which guesses come may also be that of someone in good standing, who must not wait
//! for them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{limits, source::source_of};

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// What is remembered of sources.
#[derive(Debug, Default)]
pub struct Backoff {
    sources: Mutex<HashMap<IpAddr, Failures>>,
}

impl Backoff {
    /// Counts a failure and says how long its answer is to be held back.
    pub fn note(&self, address: IpAddr, now: Instant) -> Duration {
        let source = source_of(address);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |failures: &Failures| now.saturating_duration_since(failures.last) >= limits::FAILURES_FORGOTTEN;
        if sources.len() >= limits::FAILING_SOURCES && !sources.contains_key(&source) {
            sources.retain(|_, failures| !is_over(failures));
            if sources.len() >= limits::FAILING_SOURCES
                && let Some(oldest) = sources.iter().min_by_key(|(_, failures)| failures.last).map(|(ip, _)| *ip)
            {
                sources.remove(&oldest);
            }
        }
        let failures = sources.entry(source).or_insert(Failures { count: 0, last: now });
        if is_over(failures) {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        held_back(failures.count)
    }
}

fn held_back(count: u32) -> Duration {
    let Some(beyond) = count.checked_sub(limits::FAILURES_FREE).filter(|beyond| *beyond > 0) else {
        return Duration::ZERO;
    };
    let factor = 1_u32.checked_shl(beyond.saturating_sub(1)).unwrap_or(u32::MAX);
    limits::BACKOFF_FIRST.saturating_mul(factor).min(limits::BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t02_refusals_are_held_back_longer_and_longer_and_forgotten_after_a_minute() {
        let backoff = Backoff::default();
        let [guessing, other] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let begun = Instant::now();
        let delays: Vec<u128> = (0..13).map(|_| backoff.note(guessing, begun).as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.note(other, begun), Duration::ZERO);
        let later = begun + Duration::from_secs(59);
        assert_eq!(backoff.note(guessing, later), limits::BACKOFF_MAX);
        let later = later + Duration::from_secs(60);
        assert_eq!(backoff.note(guessing, later), Duration::ZERO);
        for _ in 0..100 {
            backoff.note(guessing, later);
        }
        assert_eq!(backoff.note(guessing, later), limits::BACKOFF_MAX);
    }

    #[test]
    fn t02_the_memory_of_sources_is_bounded() {
        let backoff = Backoff::default();
        let now = Instant::now();
        for n in 0..u32::try_from(limits::FAILING_SOURCES).unwrap() + 100 {
            backoff.note(IpAddr::from(n.to_be_bytes()), now);
        }
        assert_eq!(backoff.sources.lock().unwrap().len(), limits::FAILING_SOURCES);
    }
}
