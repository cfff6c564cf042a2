//! Lines of a log that anyone on the network can cause: few at a time, the others counted.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::limits::{SPARSE_LINES, SPARSE_WINDOW};

/// Counts lines of one kind.
#[derive(Debug, Default)]
pub struct Sparse(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    begun: Option<Instant>,
    written: u32,
    passed_over: u64,
}

impl Sparse {
    /// Whether a line may be written now; with how many were passed over since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= SPARSE_WINDOW) {
            window.begun = Some(now);
            window.written = 0;
        }
        if window.written >= SPARSE_LINES {
            window.passed_over = window.passed_over.saturating_add(1);
            return None;
        }
        window.written = window.written.saturating_add(1);
        Some(std::mem::take(&mut window.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t14_a_flood_writes_few_lines_and_is_counted() {
        let sparse = Sparse::default();
        let now = Instant::now();
        let written = (0..1_000).filter(|_| sparse.admit(now).is_some()).count();
        assert_eq!(written, SPARSE_LINES as usize);
        assert_eq!(sparse.admit(now + SPARSE_WINDOW), Some(1_000 - u64::from(SPARSE_LINES)));
        assert_eq!(sparse.admit(now + SPARSE_WINDOW), Some(0));
    }
}
