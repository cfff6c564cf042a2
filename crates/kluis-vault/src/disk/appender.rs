//! The writer thread: the only one that writes to packs.
//!
//! Group commit: what arrives while a sync is under way is written and synced together. After a failed sync the pack is
//! never written to or synced again: the kernel may have dropped the pages and would report the next sync as a success.

use std::{io, sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use crate::{
    Location, RecordHeader, SealedObject, VaultError,
    limits::{BATCH_BYTES, LARGE_RECORD_BYTES, STAGED_BYTES},
    record::PAGE,
    writer::SealedBytes,
};

use super::{
    pack,
    shared::{Counters, Shared},
    spill::Spill,
    staging::Staging,
    storage::{PackFile, write_full},
};

type Reply = oneshot::Sender<Result<Vec<Location>, VaultError>>;

/// One call of commit.
pub(super) struct Request {
    pub(super) objects: Vec<SealedObject>,
    pub(super) reply: Reply,
}

impl Request {
    /// Bytes for the current pack.
    fn bytes(&self) -> u64 {
        let gathered = self.objects.iter().filter(|object| matches!(object.bytes, SealedBytes::Memory(_)));
        gathered.map(SealedObject::record_len).fold(0, u64::saturating_add)
    }
}

/// The packs' only writer.
pub(super) struct Appender {
    shared: Arc<Shared>,
    next_pack: u64,
    current: Option<Current>,
    staging: Staging,
}

/// The pack that is being written.
struct Current {
    pack: u64,
    file: Arc<dyn PackFile>,
    begun: Instant,
    /// Behind the last durable record; 0 where not even the first page is.
    durable: u64,
    /// Whether its name in the directory is durable.
    is_named: bool,
}

/// A request whose gathered objects are durable.
struct Durable {
    reply: Reply,
    /// In the order of the request's objects; the spilled ones are still to come.
    places: Vec<Place>,
}

enum Place {
    Kept(Location),
    Spilled(Box<RecordHeader>, Spill),
}

impl Appender {
    pub(super) fn new(shared: Arc<Shared>, next_pack: u64) -> Self {
        Self { shared, next_pack, current: None, staging: Staging::new(STAGED_BYTES) }
    }

    /// Serves until the vault is dropped.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut bytes = first.bytes();
            let mut batch = vec![first];
            while bytes < BATCH_BYTES {
                let Ok(next) = requests.try_recv() else { break };
                bytes = bytes.saturating_add(next.bytes());
                batch.push(next);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, batch: Vec<Request>) {
        let (mut group, mut waiting, mut durable) = (Vec::new(), 0_u64, Vec::new());
        for request in batch {
            let bytes = request.bytes();
            if bytes > 0 && self.must_close(waiting, bytes) {
                self.commit_group(std::mem::take(&mut group), &mut durable);
                waiting = 0;
                self.leave_pack();
            }
            waiting = waiting.saturating_add(bytes);
            group.push(request);
        }
        self.commit_group(group, &mut durable);
        // Packs are in commit order: nothing more goes into the current one once a large object has a pack behind it.
        for Durable { reply, places } in durable {
            let locations = places.into_iter().map(|place| match place {
                Place::Kept(location) => Ok(location),
                Place::Spilled(header, spill) => self.commit_spilled(&header, spill),
            });
            match locations.collect::<Result<Vec<_>, _>>() {
                Ok(locations) => self.accept(reply, locations),
                Err(error) => self.refuse(reply, error),
            }
        }
    }

    /// Whether the current pack, with `waiting` bytes that are not in it yet, takes no further ones.
    fn must_close(&self, waiting: u64, bytes: u64) -> bool {
        let settings = &self.shared.settings;
        let end = self.current.as_ref().map_or(0, |current| current.durable).max(pack::FIRST_RECORD);
        let is_old = self.current.as_ref().is_some_and(|current| current.begun.elapsed() >= settings.pack_age);
        let has_records = end.saturating_add(waiting) > pack::FIRST_RECORD;
        has_records && (is_old || end.saturating_add(waiting).saturating_add(bytes) > settings.pack_bytes)
    }

    /// Writes and syncs requests together. Where that cannot be written, each is tried alone, so that nobody is refused
    /// for a neighbour's sake; a failed sync refuses all.
    fn commit_group(&mut self, mut group: Vec<Request>, durable: &mut Vec<Durable>) {
        let is_written = group.iter().any(|request| request.bytes() > 0);
        let written = if is_written { self.write(&mut group) } else { Ok(Vec::new()) };
        let locations = match written {
            Ok(locations) => locations,
            Err(error) => {
                self.take_back(&error);
                match <[Request; 1]>::try_from(group) {
                    Ok([request]) => self.refuse(request.reply, error),
                    Err(group) => group.into_iter().for_each(|request| self.commit_group(vec![request], durable)),
                }
                return;
            }
        };
        if is_written && let Err(source) = self.sync(&locations) {
            for request in group {
                self.refuse(request.reply, VaultError::io("sync", same_error(&source)));
            }
            return;
        }
        let mut locations = locations.into_iter();
        for Request { objects, reply } in group {
            let places = objects.into_iter().filter_map(|SealedObject { header, bytes }| match bytes {
                SealedBytes::Spilled(spill) => Some(Place::Spilled(Box::new(header), spill)),
                SealedBytes::Memory(record) => {
                    self.shared.buffers.give(record);
                    locations.next().map(Place::Kept)
                }
            });
            durable.push(Durable { reply, places: places.collect() });
        }
    }

    /// Writes the gathered objects of all requests, from a page of their own on. Small ones are put together, one behind
    /// the other; a large one begins on a page of its own, and is written from the memory in which it was sealed.
    fn write(&mut self, group: &mut [Request]) -> Result<Vec<Location>, VaultError> {
        if self.current.is_none() {
            self.current = Some(self.begin_pack()?);
        }
        let Some(current) = &self.current else { return Err(VaultError::Closed) };
        let failed = |source| VaultError::io("write", source);
        let mut end = current.durable.checked_next_multiple_of(PAGE).ok_or(VaultError::Closed)?;
        self.staging.begin(end);
        if end == 0 {
            self.staging.put(&*current.file, &pack::first_page(current.pack)).map_err(failed)?;
            end = pack::FIRST_RECORD;
        }
        let mut locations = Vec::new();
        for SealedObject { header, bytes } in group.iter_mut().flat_map(|request| &mut request.objects) {
            let SealedBytes::Memory(record) = bytes else { continue };
            let is_large = header.record_length() >= LARGE_RECORD_BYTES;
            if is_large {
                self.staging.end(&*current.file).map_err(failed)?;
                end = end.checked_next_multiple_of(PAGE).ok_or(VaultError::Closed)?;
            }
            let location = header.location(current.pack, end);
            *record.first_mut().ok_or(VaultError::Closed)? = header.encode(current.pack, end);
            if is_large {
                record.fill_page();
                write_full(&*current.file, record.rest(0), end).map_err(failed)?;
                end = location.end().offset.checked_next_multiple_of(PAGE).ok_or(VaultError::Closed)?;
                self.staging.begin(end);
            } else {
                self.staging.put(&*current.file, record.rest(0)).map_err(failed)?;
                end = location.end().offset;
            }
            locations.push(location);
        }
        self.staging.end(&*current.file).map_err(failed)?;
        Ok(locations)
    }

    fn begin_pack(&mut self) -> Result<Current, VaultError> {
        let pack = self.take_number();
        let file = self.shared.storage.create(&pack::name(pack)).map_err(|source| VaultError::io("create", source))?;
        Ok(Current { pack, file, begun: Instant::now(), durable: 0, is_named: false })
    }

    /// Numbers are never used twice, also when the pack came to nothing.
    fn take_number(&mut self) -> u64 {
        let number = self.next_pack;
        self.next_pack = number.saturating_add(1);
        number
    }

    /// After a failed write: forgets what was written behind the last durable record. Where the disk was only full, the
    /// pack goes on from there; after any other failure it is not written to again.
    fn take_back(&mut self, error: &VaultError) {
        let Some(current) = &self.current else { return };
        let is_cut = current.file.set_length(current.durable).is_ok();
        if is_cut && matches!(error, VaultError::StorageFull) {
            return;
        }
        self.give_up_pack();
    }

    /// Best effort: what nobody was told of should not turn up after the next start, which does not look at packs that
    /// the watermark has left behind.
    fn give_up_pack(&mut self) {
        if let Some(current) = self.current.as_ref().filter(|current| current.durable > 0) {
            let _ = current.file.set_length(current.durable).and_then(|()| current.file.sync());
        }
        self.leave_pack();
    }

    /// Nothing more goes into the current pack; where nothing came into it, it goes altogether.
    fn leave_pack(&mut self) {
        if let Some(current) = self.current.take().filter(|current| current.durable == 0) {
            // A file left over does no harm; recovery removes it.
            let _ = self.shared.storage.remove(&pack::name(current.pack));
        }
    }

    /// Makes what was written durable, and visible to readers.
    fn sync(&mut self, locations: &[Location]) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Err(io::ErrorKind::NotFound.into()) };
        Counters::add(&self.shared.counters.syncs, 1);
        match current.sync(&self.shared) {
            Ok(()) => {
                current.durable = locations.last().map_or(current.durable, |location| location.end().offset);
                self.shared.packs().insert(current.pack, Some(current.durable));
                Ok(())
            }
            Err(source) => {
                tracing::error!(pack = current.pack, error = %source, "sync failed; the pack is given up");
                self.give_up_pack();
                Err(source)
            }
        }
    }

    fn commit_spilled(&mut self, header: &RecordHeader, spill: Spill) -> Result<Location, VaultError> {
        self.leave_pack();
        let pack = self.take_number();
        Counters::add(&self.shared.counters.syncs, 1);
        let location = header.location(pack, pack::FIRST_RECORD);
        spill.commit(pack, header)?;
        self.shared.packs().insert(pack, Some(location.end().offset));
        Ok(location)
    }

    fn accept(&self, reply: Reply, locations: Vec<Location>) {
        let counters = &self.shared.counters;
        Counters::add(&counters.objects, locations.len() as u64);
        Counters::add(&counters.bytes, locations.iter().map(|location| location.length).sum());
        // Whoever asked may have given up; the records stay, unacknowledged.
        let _ = reply.send(Ok(locations));
    }

    fn refuse(&self, reply: Reply, error: VaultError) {
        Counters::add(&self.shared.counters.failures, 1);
        let _ = reply.send(Err(error));
    }
}

impl Current {
    fn sync(&mut self, shared: &Shared) -> io::Result<()> {
        self.file.sync()?;
        if !self.is_named {
            shared.storage.sync_directory()?;
            self.is_named = true;
        }
        Ok(())
    }
}

/// One failed sync is told to everyone who waited for it.
fn same_error(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
