//! A short memory for what the directory said, so that not every request costs a look-up.
//!
//! Entries live at most [`CACHE_LIFE`], which bounds how long a removal can go unnoticed (threat T28).

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;

use crate::limits::{CACHE_ENTRIES, CACHE_LIFE};

pub(crate) struct Cache<K, V> {
    entries: Mutex<HashMap<K, (OffsetDateTime, V)>>,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::new(HashMap::new()) }
    }

    pub(crate) fn get(&self, key: &K, now: OffsetDateTime) -> Option<V> {
        let entries = self.lock();
        let (since, value) = entries.get(key)?;
        is_fresh(*since, now).then(|| value.clone())
    }

    pub(crate) fn put(&self, key: K, value: V, now: OffsetDateTime) {
        let mut entries = self.lock();
        if entries.len() >= CACHE_ENTRIES {
            entries.retain(|_, (since, _)| is_fresh(*since, now));
        }
        if entries.len() >= CACHE_ENTRIES {
            entries.clear();
        }
        entries.insert(key, (now, value));
    }

    pub(crate) fn remove(&self, key: &K) {
        self.lock().remove(key);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (OffsetDateTime, V)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that went back makes every entry old, never young again.
fn is_fresh(since: OffsetDateTime, now: OffsetDateTime) -> bool {
    now >= since && now - since < CACHE_LIFE
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn forgets_in_time_and_when_the_clock_goes_back() {
        let cache = Cache::new();
        cache.put(1, "one", NOW);
        assert_eq!(cache.get(&1, NOW + CACHE_LIFE - Duration::from_millis(1)), Some("one"));
        assert_eq!(cache.get(&1, NOW + CACHE_LIFE), None);
        assert_eq!(cache.get(&1, NOW - Duration::from_secs(1)), None);
    }

    #[test]
    fn never_grows_over_its_limit() {
        let cache = Cache::new();
        for key in 0..CACHE_ENTRIES * 2 + 10 {
            cache.put(key, (), NOW);
        }
        assert!(cache.lock().len() <= CACHE_ENTRIES);
    }
}
