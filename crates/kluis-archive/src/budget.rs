//! The one place that says how much memory objects may take on their way in and out, all doors together.
//!
//! Whoever moves an object has a *place*: a fixed amount that is enough to go on with, slowly. Places are waited for with
//! nothing else in hand. What makes it quick (gathering a whole object before it is written, reading ahead) comes out of
//! *pools*, and who gets nothing there goes on with its place alone: to disk instead of memory, chunk by chunk instead of
//! ahead. So nobody waits for memory that is held by one who waits, and a peer that stalls keeps others from going fast,
//! not from going. Devices have places of their own: none of what comes and goes by HTTPS takes one from them.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use kluis_policy::Door;
use kluis_vault::SLOW_SPILL_BYTES;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::ArchiveError;

/// What pools are counted in, in bytes.
const UNIT_BYTES: usize = 64 << 10;

/// The place of an object on its way in: what a spilled object needs at the slowest, and a small header.
const STORE_PLACE_BYTES: usize = SLOW_SPILL_BYTES + UNIT_BYTES;

/// The place of an answer: two chunks being read, one being sent, and what waits for the peer.
const ANSWER_PLACE_BYTES: usize = 256 << 10;

/// A range is read in whole chunks of the vault: so much more, where it touches two of them only a little.
const CHUNKS_AT_EDGES: usize = 128 << 10;

/// What an object on its way in takes from its pool at a time.
const STEP_BYTES: usize = 1 << 20;

/// Headers up to this length are handled without asking: some hundreds at a time take little.
const SMALL_HEADER_BYTES: usize = 16 << 10;

/// A header is there several times while it becomes a record: as read, as attributes, encoded, sealed.
const HEADER_COPIES: usize = 4;

/// A sender waits so long for a place, then it is told to come back.
const STORE_PATIENCE: Duration = Duration::from_secs(60);

/// An answer waits so long for a place, then the client is told to come back.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// An object waits so long for more memory, then it goes to disk.
const POOL_PATIENCE: Duration = Duration::from_millis(500);

/// Who gathers for longer than this while others wait goes to disk: a slow sender is not worth the memory.
const LONGEST_GATHERING: Duration = Duration::from_secs(5);

/// A peer that moves fewer bytes a second than this, over so long, loses its place when somebody waits for one. Where
/// nobody waits, the least rates of the doors hold.
const SLOW_BYTES_PER_S: u64 = 16 << 10;
const SLOW_AFTER: Duration = Duration::from_secs(30);

/// Memory for objects on their way.
pub(crate) struct Budget {
    devices: Arc<Places>,
    others: Arc<Places>,
    gathering: Arc<Pool>,
    headers: Arc<Pool>,
    answers: Arc<Places>,
    reading: Arc<Pool>,
}

impl Budget {
    /// Divides so many bytes among what needs them; under 16 MiB there would be no place for anyone, so that is the least.
    pub(crate) fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).max(16 << 20);
        let sixteenths = |count: usize| (bytes / 16).saturating_mul(count);
        let places = |count, each: usize| Places::new(sixteenths(count) / each);
        Self {
            devices: places(5, STORE_PLACE_BYTES),
            others: places(2, STORE_PLACE_BYTES),
            gathering: Pool::new(sixteenths(3)),
            headers: Pool::new(sixteenths(1)),
            answers: places(3, ANSWER_PLACE_BYTES),
            reading: Pool::new(sixteenths(2)),
        }
    }

    /// A place for an object on its way in.
    pub(crate) async fn store(&self, door: Door) -> Result<StoreShare, ArchiveError> {
        let places = if door == Door::Dimse { &self.devices } else { &self.others };
        let place = places.wait(STORE_PATIENCE).await?;
        Ok(StoreShare { pool: Arc::clone(&self.gathering), more: None, since: Instant::now(), place })
    }

    /// A place for an answer.
    pub(crate) async fn answer(&self) -> Result<Arc<AnswerShare>, ArchiveError> {
        let place = self.answers.wait(ANSWER_PATIENCE).await?;
        Ok(Arc::new(AnswerShare { pool: Arc::clone(&self.reading), place }))
    }

    /// Memory in which a header of this length becomes a record, or the other way round. Held by those who wait for
    /// nothing else.
    pub(crate) async fn header(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, ArchiveError> {
        if bytes <= SMALL_HEADER_BYTES {
            return Ok(None);
        }
        let units = self.headers.units(bytes.saturating_mul(HEADER_COPIES));
        Ok(Some(self.headers.wait(units, STORE_PATIENCE).await.ok_or(ArchiveError::Busy)?))
    }
}

/// Places of one kind.
struct Places {
    free: Arc<Semaphore>,
    /// How many wait.
    waiting: AtomicUsize,
}

impl Places {
    fn new(count: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { free, waiting: AtomicUsize::new(0) })
    }

    async fn wait(self: &Arc<Self>, patience: Duration) -> Result<Place, ArchiveError> {
        let free = Arc::clone(&self.free);
        let taken = match Arc::clone(&free).try_acquire_owned() {
            Ok(taken) => Ok(taken),
            Err(_) => {
                let _waits = Waits::new(&self.waiting);
                timeout(patience, free.acquire_owned()).await.map_err(|_| ArchiveError::Busy)?
            }
        };
        let taken = taken.map_err(|_| ArchiveError::Stopped)?;
        Ok(Place { places: Arc::clone(self), since: Instant::now(), moved: AtomicU64::new(0), _taken: taken })
    }
}

struct Place {
    places: Arc<Places>,
    since: Instant,
    /// Bytes so far.
    moved: AtomicU64,
    _taken: OwnedSemaphorePermit,
}

impl Place {
    /// Counts bytes.
    ///
    /// # Errors
    /// [`ArchiveError::Busy`] where somebody waits for the place of one who is this slow.
    fn note(&self, bytes: usize) -> Result<(), ArchiveError> {
        let bytes = bytes as u64;
        let moved = self.moved.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let is_wanted = self.places.waiting.load(Ordering::Relaxed) > 0;
        let had = self.since.elapsed();
        let is_slow = moved < had.as_secs().saturating_mul(SLOW_BYTES_PER_S);
        if is_wanted && is_slow && had > SLOW_AFTER { Err(ArchiveError::Busy) } else { Ok(()) }
    }
}

struct Pool {
    free: Arc<Semaphore>,
    size: u32,
    /// How many wait.
    waiting: AtomicUsize,
}

impl Pool {
    fn new(bytes: usize) -> Arc<Self> {
        let size = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX);
        Arc::new(Self { free: Arc::new(Semaphore::new(size as usize)), size, waiting: AtomicUsize::new(0) })
    }

    /// Never more than there are: what is larger has the pool for itself.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.size)
    }

    fn take(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_many_owned(units).ok()
    }

    async fn wait(&self, units: u32, patience: Duration) -> Option<OwnedSemaphorePermit> {
        if let Some(taken) = self.take(units) {
            return Some(taken);
        }
        let _waits = Waits::new(&self.waiting);
        timeout(patience, Arc::clone(&self.free).acquire_many_owned(units)).await.ok()?.ok()
    }
}

struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an object on its way in may hold in memory. Given back when dropped.
pub(crate) struct StoreShare {
    pool: Arc<Pool>,
    more: Option<OwnedSemaphorePermit>,
    since: Instant,
    place: Place,
}

impl StoreShare {
    /// Counts bytes that came in.
    ///
    /// # Errors
    /// [`ArchiveError::Busy`] where the sender is so slow that others are waiting for its place.
    pub(crate) fn note(&self, bytes: usize) -> Result<(), ArchiveError> {
        self.place.note(bytes)
    }

    /// Whether it is enough for so many bytes.
    pub(crate) fn covers(&self, bytes: usize) -> bool {
        let units = self.more.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        bytes <= STORE_PLACE_BYTES.saturating_add(units.saturating_mul(UNIT_BYTES)) || units >= self.pool.size as usize
    }

    /// Whether others wait for what this one has had for long.
    pub(crate) fn is_overdue(&self) -> bool {
        self.more.is_some() && self.pool.waiting.load(Ordering::Relaxed) > 0 && self.since.elapsed() > LONGEST_GATHERING
    }

    /// Makes it enough for so many bytes; `false` where there is no memory for that.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        let has = self.more.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.saturating_sub(STORE_PLACE_BYTES).next_multiple_of(STEP_BYTES);
        let units = self.pool.units(wanted).saturating_sub(u32::try_from(has).unwrap_or(u32::MAX));
        if units == 0 {
            return true;
        }
        let Some(taken) = self.pool.wait(units, POOL_PATIENCE).await else { return false };
        match &mut self.more {
            Some(more) => more.merge(taken),
            None => {
                self.since = Instant::now();
                self.more = Some(taken);
            }
        }
        true
    }

    /// Gives back what is not needed for so many bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let keep = self.pool.units(bytes.saturating_sub(STORE_PLACE_BYTES)) as usize;
        match &mut self.more {
            Some(more) if keep == 0 => {
                drop(more.split(more.num_permits()));
                self.more = None;
            }
            Some(more) => drop(more.split(more.num_permits().saturating_sub(keep))),
            None => {}
        }
    }
}

/// What one answer may hold in memory. Given back when the answer has left.
pub(crate) struct AnswerShare {
    pool: Arc<Pool>,
    place: Place,
}

impl AnswerShare {
    /// Counts bytes that go out.
    ///
    /// # Errors
    /// [`ArchiveError::Busy`] where the peer reads so slowly that others are waiting for its place.
    pub(crate) fn note(&self, bytes: usize) -> Result<(), ArchiveError> {
        self.place.note(bytes)
    }

    /// Memory for reading so many bytes ahead; `None` where the place must do.
    pub(crate) fn ahead(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        // the vault reads whole chunks, into memory that may be twice as long
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.pool.take(self.pool.units(bytes.saturating_mul(2).saturating_add(CHUNKS_AT_EDGES)))
    }

    /// Memory for what an opened object holds as long as it is open.
    pub(crate) async fn opened(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, ArchiveError> {
        if bytes <= ANSWER_PLACE_BYTES / 4 {
            return Ok(None);
        }
        let units = self.pool.units(bytes);
        Ok(Some(self.pool.wait(units, ANSWER_PATIENCE).await.ok_or(ArchiveError::Busy)?))
    }
}

/// Bytes that count until the last one who holds them has let go.
pub(crate) fn counted(bytes: Bytes, share: Option<OwnedSemaphorePermit>) -> Bytes {
    match share {
        Some(share) => Bytes::from_owner(Counted { bytes, _share: share }),
        None => bytes,
    }
}

struct Counted {
    bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.bytes.deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(budget: &Budget) -> [usize; 6] {
        [
            budget.devices.free.available_permits(),
            budget.others.free.available_permits(),
            budget.gathering.free.available_permits(),
            budget.headers.free.available_permits(),
            budget.answers.free.available_permits(),
            budget.reading.free.available_permits(),
        ]
    }

    #[test]
    fn no_more_is_given_than_there_is() {
        for bytes in [0, 16 << 20, 100 << 20, 384 << 20, 8 << 30] {
            let [devices, others, gathering, headers, answers, reading] = free(&Budget::new(bytes));
            let places = (devices + others) * STORE_PLACE_BYTES + answers * ANSWER_PLACE_BYTES;
            let given = places + (gathering + headers + reading) * UNIT_BYTES;
            assert!(given as u64 <= bytes.max(16 << 20), "{bytes}: {given}");
            assert!([devices, others, gathering, headers, answers, reading].iter().all(|count| *count > 0), "{bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_comes_back() {
        let budget = Budget::new(32 << 20);
        let before = free(&budget);
        let mut store = budget.store(Door::Dimse).await.unwrap();
        assert!(store.grow(3 << 20).await && store.covers(3 << 20));
        store.shrink(1 << 20);
        assert!(store.covers(1 << 20) && !store.covers(3 << 20));
        let answer = budget.answer().await.unwrap();
        let piece = counted(Bytes::from_static(b"piece"), answer.ahead(1 << 20));
        let part = piece.slice(1..3);
        let header = budget.header(1 << 20).await.unwrap();
        drop((piece, answer, store, header));
        assert_ne!(free(&budget), before, "a slice still holds the piece");
        drop(part);
        assert_eq!(free(&budget), before);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_no_place_is_told_and_devices_have_their_own() {
        let budget = Budget::new(16 << 20);
        let mut taken = Vec::new();
        while budget.others.free.available_permits() > 0 {
            taken.push(budget.store(Door::Web).await.unwrap());
        }
        assert!(matches!(budget.store(Door::Web).await, Err(ArchiveError::Busy)));
        assert!(budget.store(Door::Dimse).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_drips_loses_its_place_to_one_who_waits_and_keeps_it_otherwise() {
        let budget = Arc::new(Budget::new(16 << 20));
        let mut taken = Vec::new();
        while budget.others.free.available_permits() > 0 {
            taken.push(budget.store(Door::Web).await.unwrap());
        }
        let (quick, slow) = (taken.pop().unwrap(), taken.pop().unwrap());
        quick.note(1 << 20).unwrap();
        tokio::time::sleep(SLOW_AFTER + Duration::from_secs(1)).await;
        slow.note(1_000).unwrap();
        let waiting = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.store(Door::Web).await.map(|_| ()) }
        });
        tokio::task::yield_now().await;
        quick.note(1).unwrap();
        assert!(matches!(slow.note(1_000), Err(ArchiveError::Busy)));
        drop(slow);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_wait_for_one_another_both_go_on() {
        let budget = Budget::new(16 << 20);
        let all = budget.gathering.size as usize * UNIT_BYTES + STORE_PLACE_BYTES;
        let (mut first, mut second) =
            (budget.store(Door::Dimse).await.unwrap(), budget.store(Door::Dimse).await.unwrap());
        assert!(first.grow(STEP_BYTES + STORE_PLACE_BYTES).await);
        assert!(second.grow(STEP_BYTES + STORE_PLACE_BYTES).await);
        let (first, second) = tokio::join!(first.grow(all), second.grow(all));
        assert_eq!((first, second), (false, false), "both are told to do without");
    }
}
