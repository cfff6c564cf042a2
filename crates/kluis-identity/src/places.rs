//! Places for those who have proved who they are: so many in all, so many for one holder, and the last ones only for
//! holders of few, so that no number of greedy ones shuts out the rest.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many places there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub total: usize,
    /// For one holder.
    pub per_holder: usize,
    /// So many of all are kept for holders of few.
    pub kept: usize,
    /// Who holds less than this holds few.
    pub few: usize,
}

/// The places.
#[derive(Debug)]
pub struct Places<K: Eq + Hash> {
    room: Room,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    total: usize,
    holders: HashMap<K, usize>,
}

/// One place, given back when dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    places: Arc<Places<K>>,
    holder: K,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// Places as this says.
    #[must_use]
    pub fn new(room: Room) -> Arc<Self> {
        Arc::new(Self { room, taken: Mutex::new(Taken { total: 0, holders: HashMap::new() }) })
    }

    /// A place, where there is one for this holder.
    pub fn take(self: &Arc<Self>, holder: K) -> Option<Place<K>> {
        let mut taken = self.lock();
        let own = taken.holders.get(&holder).copied().unwrap_or_default();
        let total = if own < self.room.few { self.room.total } else { self.room.total.saturating_sub(self.room.kept) };
        if taken.total >= total || own >= self.room.per_holder {
            return None;
        }
        taken.total = taken.total.saturating_add(1);
        taken.holders.insert(holder.clone(), own.saturating_add(1));
        Some(Place { places: Arc::clone(self), holder })
    }
}

impl<K: Eq + Hash> Places<K> {
    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(own) = taken.holders.get_mut(&self.holder) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.holders.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a21_places_are_limited_in_all_and_by_holder_and_given_back() {
        let places = Places::new(Room { total: 3, per_holder: 2, kept: 0, few: 0 });
        let first = places.take("a").unwrap();
        let _second = places.take("a").unwrap();
        assert!(places.take("a").is_none(), "two of one holder");
        let third = places.take("b").unwrap();
        assert!(places.take("c").is_none(), "three in all");
        drop(third);
        let _fourth = places.take("c").unwrap();
        assert!(places.take("b").is_none());
        drop(first);
        assert!(places.take("a").is_some());
        assert_eq!(places.taken(), 2, "the last one was dropped at once");
    }

    #[test]
    fn t14_the_last_places_are_for_those_who_hold_few() {
        let places = Places::new(Room { total: 6, per_holder: 4, kept: 2, few: 1 });
        let greedy: Vec<_> = (0..4).map_while(|_| places.take("a")).collect();
        assert_eq!(greedy.len(), 4);
        let first = places.take("b").unwrap();
        assert!(places.take("b").is_none(), "a second one is not few");
        let _other = places.take("c").unwrap();
        assert!(places.take("d").is_none(), "full");
        drop(greedy);
        assert!(places.take("b").is_some());
        drop(first);
    }
}
