//! Who comes with an object that another one is just bringing waits for that one.
//!
//! From the look at what is known of a SOP Instance UID to its row and leaf nobody else is between the two: so versions
//! stand in the packs in the order in which they were accepted. A crash that takes rows and leaves cannot change which
//! of them is the visible one, and the same bytes sent twice at once are kept once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use kluis_dicom::Uid;
use tokio::sync::OwnedMutexGuard;

/// UIDs remembered before those are dropped that nobody waits for.
const REMEMBERED: usize = 1_024;

type Turns = HashMap<Uid, Weak<tokio::sync::Mutex<()>>>;

/// The SOP Instance UIDs that are just coming.
#[derive(Default)]
pub(crate) struct Arrivals {
    turns: Mutex<Turns>,
}

/// Held while an object is looked up, kept and accepted.
pub(crate) struct Turn {
    _turn: OwnedMutexGuard<()>,
}

impl Arrivals {
    /// Waits until nobody else brings this object.
    pub(crate) async fn turn(&self, sop_instance: &Uid) -> Turn {
        let turn = self.of(sop_instance);
        Turn { _turn: turn.lock_owned().await }
    }

    fn of(&self, sop_instance: &Uid) -> Arc<tokio::sync::Mutex<()>> {
        // a panic elsewhere leaves the map as it was
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(sop_instance).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= REMEMBERED {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        turns.insert(sop_instance.clone(), Arc::downgrade(&turn));
        turn
    }
}
