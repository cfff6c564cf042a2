//! How fast connections may follow each other: evenly, never in a burst.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

/// Gives each connection its moment.
#[derive(Debug)]
pub(crate) struct Pace {
    apart: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(connects_per_s: u32) -> Self {
        Self { apart: Duration::from_secs(1) / connects_per_s.max(1), next: Mutex::new(None) }
    }

    /// The moment of the next connection; nobody else has it.
    pub(crate) fn moment(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let moment = next.map_or(now, |next| next.max(now));
        *next = Some(moment + self.apart);
        moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moments_are_apart_and_what_was_not_used_is_not_saved_up() {
        let pace = Pace::new(10);
        let moments: Vec<Instant> = (0..5).map(|_| pace.moment()).collect();
        for pair in moments.windows(2) {
            assert_eq!(pair[1] - pair[0], Duration::from_millis(100));
        }
        let pace = Pace::new(1_000);
        let first = pace.moment();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (second, third) = (pace.moment(), pace.moment());
        assert!(second - first >= Duration::from_millis(50));
        assert_eq!(third - second, Duration::from_millis(1));
    }
}
