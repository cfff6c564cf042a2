//! Who comes with an object that another one is just bringing waits for that one.
//!
//! From the look at what is known of a SOP Instance UID to its row and leaf nobody else is between the two: so versions
//! stand in the packs in the order in which they were accepted. A crash that takes rows and leaves cannot change which
//! of them is the visible one, and the same bytes sent twice at once are kept once.
//!
//! Who knows the UID before the bytes may look early, while they arrive, and later asks whether that look still holds.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use kluis_dicom::Uid;
use tokio::sync::OwnedMutexGuard;

/// UIDs remembered before those are dropped that nobody waits for.
const REMEMBERED: usize = 1_024;

/// One SOP Instance UID.
#[derive(Default)]
struct Instance {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How many turns have ended since somebody holds this.
    ended: AtomicU64,
}

/// The SOP Instance UIDs that are just coming.
#[derive(Default)]
pub(crate) struct Arrivals {
    instances: Mutex<HashMap<Uid, Weak<Instance>>>,
    /// How often objects came to the index without a turn.
    renewed: Arc<AtomicU64>,
}

/// What may be learned of a SOP Instance UID from now on, until somebody's turn ends.
pub(crate) struct Glance {
    instance: Arc<Instance>,
    ended: u64,
    renewed: u64,
}

/// Held while an object is looked up, kept and accepted.
pub(crate) struct Turn {
    instance: Arc<Instance>,
    renewed: Arc<AtomicU64>,
    _turn: OwnedMutexGuard<()>,
}

impl Arrivals {
    /// Begins an early look.
    pub(crate) fn glance(&self, sop_instance: &Uid) -> Glance {
        let instance = self.of(sop_instance);
        let ended = instance.ended.load(Ordering::Acquire);
        Glance { instance, ended, renewed: self.renewed.load(Ordering::Acquire) }
    }

    /// Objects have come to the index without a turn, from the packs: what was seen before holds no longer.
    pub(crate) fn renew(&self) {
        self.renewed.fetch_add(1, Ordering::Release);
    }

    /// Waits until nobody else brings this object.
    pub(crate) async fn turn(&self, sop_instance: &Uid) -> Turn {
        let instance = self.of(sop_instance);
        let turn = Arc::clone(&instance.turn).lock_owned().await;
        Turn { instance, renewed: Arc::clone(&self.renewed), _turn: turn }
    }

    fn of(&self, sop_instance: &Uid) -> Arc<Instance> {
        // a panic elsewhere leaves the map as it was
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = instances.get(sop_instance).and_then(Weak::upgrade) {
            return instance;
        }
        if instances.len() >= REMEMBERED {
            instances.retain(|_, instance| instance.strong_count() > 0);
        }
        let instance = Arc::new(Instance::default());
        instances.insert(sop_instance.clone(), Arc::downgrade(&instance));
        instance
    }
}

impl Turn {
    /// Whether what was learned early is true still: nobody else had a turn meanwhile, and none came without.
    pub(crate) fn upholds(&self, glance: &Glance) -> bool {
        Arc::ptr_eq(&self.instance, &glance.instance)
            && self.instance.ended.load(Ordering::Acquire) == glance.ended
            && self.renewed.load(Ordering::Acquire) == glance.renewed
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // before the next one begins, as the lock is held until the fields are dropped
        self.instance.ended.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn early_look_holds_until_somebody_came_in_between() {
        let arrivals = Arrivals::default();
        let (uid, other): (Uid, Uid) = ("1.2.3".parse().unwrap(), "1.2.4".parse().unwrap());
        let early = arrivals.glance(&uid);
        drop(arrivals.turn(&other).await);
        let turn = arrivals.turn(&uid).await;
        assert!(turn.upholds(&early));
        assert!(!turn.upholds(&arrivals.glance(&other)), "of another instance");
        let beside = arrivals.glance(&uid);
        assert!(turn.upholds(&beside));
        drop(turn);
        let turn = arrivals.turn(&uid).await;
        assert!(!turn.upholds(&early) && !turn.upholds(&beside), "a turn has ended since");
        drop(turn);
        // who looks anew is upheld, also when everybody had let go meanwhile
        let again = arrivals.glance(&uid);
        assert!(arrivals.turn(&uid).await.upholds(&again));
        let before = arrivals.glance(&uid);
        arrivals.renew();
        assert!(!arrivals.turn(&uid).await.upholds(&before), "objects came without a turn");
    }
}
