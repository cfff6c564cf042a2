//! Places for associations: so many in all, so many for one source.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// The places of a listener.
#[derive(Debug)]
pub(crate) struct Places {
    total: usize,
    per_source: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    source: IpAddr,
}

impl Places {
    pub(crate) fn new(total: usize, per_source: usize) -> Arc<Self> {
        Arc::new(Self { total, per_source, taken: Mutex::default() })
    }

    /// A place, where there is one.
    pub(crate) fn take(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = taken.values().sum();
        let of_source = taken.get(&source).copied().unwrap_or_default();
        if total >= self.total || of_source >= self.per_source {
            return None;
        }
        taken.insert(source, of_source.saturating_add(1));
        Some(Place { places: Arc::clone(self), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get(&self.source).copied() {
            Some(count @ 2..) => taken.insert(self.source, count.saturating_sub(1)),
            _ => taken.remove(&self.source),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a21_places_are_limited_in_all_and_by_source_and_given_back() {
        let places = Places::new(3, 2);
        let [a, b, c] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let first = places.take(a).unwrap();
        let _second = places.take(a).unwrap();
        assert!(places.take(a).is_none(), "two of one source");
        let third = places.take(b).unwrap();
        assert!(places.take(c).is_none(), "three in all");
        drop(third);
        let _fourth = places.take(c).unwrap();
        assert!(places.take(b).is_none());
        drop(first);
        assert!(places.take(a).is_some());
        assert_eq!(places.taken.lock().unwrap().values().sum::<usize>(), 2, "the last one was dropped at once");
    }
}
