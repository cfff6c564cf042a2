//! How long a connection may stay, and in whose place.
//!
//! It begins as a guest of the waiting room, which can be sent away for the next one. The first request that proves an
//! identity gives it a place of that identity, where there is one; without one it stays a guest, and is served as long
//! as nobody else needs the seat. Requests have places by identity too.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use kluis_identity::{Guest, Place, Places};
use tokio::time::{Duration, Instant};

use crate::limits;

/// Who an identity is, as the trail calls it.
type Label = String;

/// The places of the HTTPS door.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) connections: Arc<Places<Label>>,
    pub(crate) requests: Arc<Places<Label>>,
}

/// One connection.
pub(crate) struct Stay {
    held: Held,
    opened: Instant,
    state: Mutex<State>,
    /// Bytes that came before anybody proved an identity; see [`limits::UNPROVED_BYTES`].
    unproved_bytes: AtomicU64,
}

struct State {
    guest: Option<Guest>,
    place: Option<Place<Label>>,
    is_proved: bool,
    open: usize,
    last_end: Instant,
}

/// One request of a connection; ends when its answer has left or was given up.
pub(crate) struct Turn {
    stay: Arc<Stay>,
    place: Mutex<Option<Place<Label>>>,
}

/// This identity has too many requests open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Stay {
    pub(crate) fn new(guest: Guest, held: Held) -> Arc<Self> {
        let now = Instant::now();
        let state = State { guest: Some(guest), place: None, is_proved: false, open: 0, last_end: now };
        Arc::new(Self { held, opened: now, state: Mutex::new(state), unproved_bytes: AtomicU64::new(0) })
    }

    /// A request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Arc<Turn> {
        let mut state = self.lock();
        state.open = state.open.saturating_add(1);
        Arc::new(Turn { stay: Arc::clone(self), place: Mutex::new(None) })
    }

    /// Ends when nobody has proved an identity in time, or no request has been open for too long.
    pub(crate) async fn overdue(&self) {
        loop {
            let until = self.deadline();
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// When to look again, or that it is over where that is past.
    fn deadline(&self) -> Instant {
        let state = self.lock();
        if !state.is_proved {
            return self.opened + limits::UNPROVED_LIFE;
        }
        match state.open {
            0 => state.last_end + limits::CONNECTION_IDLE,
            _ => Instant::now() + limits::CONNECTION_IDLE,
        }
    }

    /// Counts bytes that came in; `false` where too many came without any proof.
    pub(crate) fn came(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let sum = self.unproved_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        sum <= limits::UNPROVED_BYTES || self.lock().is_proved
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The request has proved to be of this identity.
    ///
    /// # Errors
    /// [`TooMany`] requests of this identity are open.
    pub(crate) fn prove(&self, label: &str) -> Result<(), TooMany> {
        let place = self.stay.held.requests.take(label.to_owned()).ok_or(TooMany)?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        let mut state = self.stay.lock();
        state.is_proved = true;
        if state.place.is_none() {
            state.place = self.stay.held.connections.take(label.to_owned());
        }
        if state.place.is_some()
            && let Some(guest) = state.guest.take()
        {
            drop(state);
            drop(guest);
        }
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.stay.lock();
        state.open = state.open.saturating_sub(1);
        state.last_end = Instant::now();
    }
}

/// So long an answer under way may still take when its connection is overdue.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(5);

#[cfg(test)]
pub(crate) mod testing {
    use std::net::IpAddr;

    use kluis_identity::{Room, WaitingRoom};

    use super::*;

    pub(crate) fn held() -> Held {
        let room = Room { total: 4, per_holder: 2, kept: 0, few: 0 };
        Held { connections: Places::new(room), requests: Places::new(room) }
    }

    pub(crate) fn stay() -> Arc<Stay> {
        Stay::new(WaitingRoom::new(1).enter(IpAddr::from([127, 0, 0, 1])), held())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use kluis_identity::WaitingRoom;

    use super::{testing::held, *};

    #[tokio::test(start_paused = true)]
    async fn t14_a_connection_without_proof_ends_and_one_with_proof_when_it_is_idle() {
        let room = WaitingRoom::new(8);
        let held = held();
        let begun = Instant::now();
        let silent = Stay::new(room.enter(IpAddr::from([127, 0, 0, 1])), held.clone());
        silent.overdue().await;
        assert_eq!(begun.elapsed(), limits::UNPROVED_LIFE);

        let begun = Instant::now();
        let proved = Stay::new(room.enter(IpAddr::from([127, 0, 0, 1])), held.clone());
        let turn = proved.begin();
        turn.prove("a").unwrap();
        assert_eq!((room.count(), held.connections.taken(), held.requests.taken()), (1, 1, 1), "only the silent one");
        let end = tokio::spawn({
            let proved = Arc::clone(&proved);
            async move { proved.overdue().await }
        });
        tokio::time::sleep(limits::CONNECTION_IDLE * 10).await;
        assert!(!end.is_finished(), "its answer is still under way");
        drop(turn);
        let ended = Instant::now();
        end.await.unwrap();
        assert!(ended.elapsed() <= limits::CONNECTION_IDLE * 2 && begun.elapsed() > limits::CONNECTION_IDLE * 10);
        drop((proved, silent));
        assert_eq!((room.count(), held.connections.taken(), held.requests.taken()), (0, 0, 0));
    }

    #[tokio::test]
    async fn t14_an_identity_has_so_many_places_and_what_is_more_stays_a_guest() {
        let room = WaitingRoom::new(8);
        let held = held();
        let stays: Vec<_> = (0..3).map(|_| Stay::new(room.enter(IpAddr::from([127, 0, 0, 1])), held.clone())).collect();
        for stay in &stays {
            stay.begin().prove("a").unwrap();
        }
        assert_eq!((room.count(), held.connections.taken()), (1, 2));
        let turns: Vec<_> = stays.iter().map(Stay::begin).collect();
        let proved: Vec<_> = turns.iter().map(|turn| turn.prove("a")).collect();
        assert_eq!(proved, [Ok(()), Ok(()), Err(TooMany)]);
        assert_eq!(turns[2].prove("b"), Ok(()), "another identity is not touched by it");
    }

    #[tokio::test]
    async fn t14_bytes_without_proof_are_counted() {
        let room = WaitingRoom::new(8);
        let stay = Stay::new(room.enter(IpAddr::from([127, 0, 0, 1])), held());
        let most = usize::try_from(limits::UNPROVED_BYTES).unwrap();
        assert!(stay.came(most));
        assert!(!stay.came(1));
        stay.begin().prove("a").unwrap();
        assert!(stay.came(most));
    }
}
