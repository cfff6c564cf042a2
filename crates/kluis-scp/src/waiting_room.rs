//! Connections that have no association yet. There is room for some; when it is full, the one that has waited longest
//! has to go, of the source that has the most: a flood of silent connections pushes out itself.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::AbortHandle;

#[derive(Debug)]
pub(crate) struct WaitingRoom {
    room: usize,
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    count: usize,
    /// By source and order of coming; the handle is missing only until the task has been started.
    sources: HashMap<IpAddr, BTreeMap<u64, Option<AbortHandle>>>,
}

/// A connection's stay; ends when dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    room: Arc<WaitingRoom>,
    source: IpAddr,
    number: u64,
}

/// Which guest a task is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    source: IpAddr,
    number: u64,
}

impl WaitingRoom {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, guests: Mutex::default() })
    }

    /// Lets a connection in, and sends others away for it where need be.
    pub(crate) fn enter(self: &Arc<Self>, source: IpAddr) -> Guest {
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

    /// Tells which task is to be ended where the guest has to go.
    pub(crate) fn seat(&self, seat: Seat, task: AbortHandle) {
        if let Some(place) = self.lock().sources.get_mut(&seat.source).and_then(|own| own.get_mut(&seat.number)) {
            *place = Some(task);
        }
    }

    /// Sends so many away.
    pub(crate) fn send_away(&self, count: usize) {
        for _ in 0..count {
            let Some(task) = self.lock().pop_oldest() else { return };
            // outside the lock: the task gives its stay back
            task.abort();
        }
    }

    pub(crate) fn send_all_away(&self) {
        self.send_away(usize::MAX);
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    fn pop_oldest(&mut self) -> Option<AbortHandle> {
        let seated = |own: &BTreeMap<u64, Option<AbortHandle>>| own.values().flatten().count();
        let source = *self.sources.iter().max_by_key(|(_, own)| seated(own)).map(|(source, _)| source)?;
        let own = self.sources.get_mut(&source)?;
        let number = *own.iter().find(|(_, task)| task.is_some()).map(|(number, _)| number)?;
        let task = own.remove(&number).flatten();
        if own.is_empty() {
            self.sources.remove(&source);
        }
        self.count = self.count.saturating_sub(1);
        task
    }
}

impl Guest {
    pub(crate) fn seat(&self) -> Seat {
        Seat { source: self.source, number: self.number }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.room.leave(self.source, self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn t14_a_full_room_sends_the_oldest_of_the_greediest_source_away() {
        let room = WaitingRoom::new(4);
        let [flood, quiet] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let mut tasks = JoinSet::new();
        let mut ids = Vec::new();
        for source in [quiet, flood, flood, flood, flood, flood] {
            let guest = room.enter(source);
            let seat = guest.seat();
            let task = tasks.spawn(async move {
                std::future::pending::<()>().await;
                drop(guest);
            });
            ids.push(task.id());
            room.seat(seat, task);
        }
        let mut ended = Vec::new();
        for _ in 0..2 {
            let next = tokio::time::timeout(std::time::Duration::from_secs(10), tasks.join_next());
            ended.push(next.await.expect("nobody was sent away").unwrap().unwrap_err().id());
        }
        ended.sort_by_key(|id| ids.iter().position(|other| other == id));
        assert_eq!(ended, [ids[1], ids[2]], "the two oldest of the flood, not the quiet one that is older still");
        assert_eq!(room.lock().count, 4);
        room.send_all_away();
        while tasks.join_next().await.is_some() {}
        assert_eq!(room.lock().count, 0);
        assert!(room.lock().sources.is_empty());
    }
}
