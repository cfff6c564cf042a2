//! Connections of which nobody knows yet who is at the other end. There is room for some; when it is full, the one that
//! has waited longest has to go, of the source that has the most: a flood of silent connections pushes out itself.
//!
//! How a connection is ended is the doors' matter: they give the means along.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::source::source_of;

/// Ends a connection; called once at most.
pub type SendAway = Box<dyn FnOnce() + Send>;

/// Room for so many connections.
pub struct WaitingRoom {
    room: usize,
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    next: u64,
    count: usize,
    /// By source and order of coming; the means are missing only until the task has been started.
    sources: HashMap<IpAddr, BTreeMap<u64, Option<SendAway>>>,
}

/// A connection's stay; ends when dropped.
pub struct Guest {
    room: Arc<WaitingRoom>,
    source: IpAddr,
    number: u64,
}

/// Which guest a task is.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    source: IpAddr,
    number: u64,
}

impl WaitingRoom {
    /// Room for this many.
    #[must_use]
    pub fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, guests: Mutex::default() })
    }

    /// Lets a connection in, and sends another away for it where need be.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Guest {
        let source = source_of(address);
        let (number, is_over) = {
            let mut guests = self.lock();
            let number = guests.next;
            guests.next = number.wrapping_add(1);
            guests.count = guests.count.saturating_add(1);
            guests.sources.entry(source).or_default().insert(number, None);
            (number, guests.count > self.room)
        };
        if is_over {
            self.send_away(1);
        }
        Guest { room: Arc::clone(self), source, number }
    }

    /// Tells how the guest is ended where it has to go.
    pub fn seat(&self, seat: Seat, send_away: SendAway) {
        if let Some(place) = self.lock().sources.get_mut(&seat.source).and_then(|own| own.get_mut(&seat.number)) {
            *place = Some(send_away);
        }
    }

    /// Sends so many away. Returns how many went.
    pub fn send_away(&self, count: usize) -> usize {
        let mut gone = 0;
        while gone < count {
            let Some(send_away) = self.lock().pop_oldest() else { break };
            // outside the lock: the task gives its stay back
            send_away();
            gone += 1;
        }
        gone
    }

    /// Sends all away.
    pub fn send_all_away(&self) {
        self.send_away(usize::MAX);
    }

    /// How many are in the room.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().count
    }

    fn leave(&self, source: IpAddr, number: u64) {
        let mut guests = self.lock();
        let Some(own) = guests.sources.get_mut(&source) else { return };
        let was_there = own.remove(&number).is_some();
        if own.is_empty() {
            guests.sources.remove(&source);
        }
        if was_there {
            guests.count = guests.count.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WaitingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingRoom").field("room", &self.room).field("guests", &self.count()).finish()
    }
}

impl Guests {
    fn pop_oldest(&mut self) -> Option<SendAway> {
        // the length counts those not yet seated too: between the entry and the seat of one there is no other
        let source = *self
            .sources
            .iter()
            .filter(|(_, own)| own.values().any(Option::is_some))
            .max_by_key(|(_, own)| own.len())
            .map(|(source, _)| source)?;
        let own = self.sources.get_mut(&source)?;
        let number = *own.iter().find(|(_, means)| means.is_some()).map(|(number, _)| number)?;
        let means = own.remove(&number).flatten();
        if own.is_empty() {
            self.sources.remove(&source);
        }
        self.count = self.count.saturating_sub(1);
        means
    }
}

impl Guest {
    /// Which guest this is, for [`WaitingRoom::seat`].
    #[must_use]
    pub fn seat(&self) -> Seat {
        Seat { source: self.source, number: self.number }
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").field("source", &self.source).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.room.leave(self.source, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t14_a_full_room_sends_the_oldest_of_the_greediest_source_away() {
        let room = WaitingRoom::new(4);
        let [flood, quiet] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let gone = Arc::new(Mutex::new(Vec::new()));
        let guests = Arc::new(Mutex::new(HashMap::new()));
        for (n, source) in [quiet, flood, flood, flood, flood, flood].into_iter().enumerate() {
            let guest = room.enter(source);
            let seat = guest.seat();
            guests.lock().unwrap().insert(n, guest);
            let (guests, gone) = (Arc::clone(&guests), Arc::clone(&gone));
            let end = move || {
                let guest = guests.lock().unwrap().remove(&n);
                drop(guest);
                gone.lock().unwrap().push(n);
            };
            room.seat(seat, Box::new(end));
        }
        assert_eq!(*gone.lock().unwrap(), [1, 2], "the two oldest of the flood, not the quiet one that is older still");
        assert_eq!(room.count(), 4);
        room.send_all_away();
        assert_eq!(room.count(), 0);
        assert!(room.lock().sources.is_empty());
        assert_eq!(gone.lock().unwrap().len(), 6);
    }

    #[test]
    fn t14_who_leaves_by_himself_is_not_sent_away() {
        let room = WaitingRoom::new(1);
        let source = IpAddr::from([127, 0, 0, 1]);
        let first = room.enter(source);
        room.seat(first.seat(), Box::new(|| unreachable!()));
        drop(first);
        let _second = room.enter(source);
        assert_eq!(room.count(), 1);
        assert_eq!(room.send_away(1), 0, "the second has no means yet");
    }
}
