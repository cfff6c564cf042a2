//! The writer thread: the only one that writes to packs.
//!
//! Group commit: what arrives while a sync is under way is written and synced together. After a failed sync the pack is
//! never written to or synced again: the kernel may have dropped the pages and would report the next sync as a success.

use std::{io, sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use crate::{
    Location, RecordHeader, SealedObject, VaultError, limits::BATCH_BYTES, record::HEADER_LEN, writer::SealedBytes,
};

use super::{
    pack,
    shared::{Counters, Shared},
    spill::Spill,
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
}

/// The pack that is being written.
struct Current {
    pack: u64,
    file: Arc<dyn PackFile>,
    begun: Instant,
    /// Behind the last record written.
    end: u64,
    /// Behind the last record known to be durable.
    durable: u64,
    /// Whether its name in the directory is durable.
    is_named: bool,
}

/// A request whose gathered objects are written.
struct Written {
    reply: Reply,
    /// In the order of the request's objects; the spilled ones are still to come.
    places: Vec<Place>,
}

enum Place {
    Kept(Location),
    Spilled(RecordHeader, Spill),
}

impl Appender {
    pub(super) fn new(shared: Arc<Shared>, next_pack: u64) -> Self {
        Self { shared, next_pack, current: None }
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
        let (mut written, mut durable) = (Vec::new(), Vec::new());
        for request in batch {
            let bytes = request.bytes();
            if self.current.as_ref().is_some_and(|current| current.is_full(bytes, &self.shared)) {
                self.flush(&mut written, &mut durable);
                self.current = None;
            }
            let Request { objects, reply } = request;
            match self.append(objects, bytes) {
                Ok(places) if bytes == 0 => durable.push(Written { reply, places }),
                Ok(places) => written.push(Written { reply, places }),
                Err(error) => {
                    if !matches!(error, VaultError::StorageFull) {
                        // Where a write failed, the next one is not tried.
                        self.flush(&mut written, &mut durable);
                        self.current = None;
                    }
                    self.refuse(reply, error);
                }
            }
        }
        self.flush(&mut written, &mut durable);
        // Packs are in commit order: nothing more goes into the current one once a large object has a pack behind it.
        for Written { reply, places } in durable {
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

    /// Writes the gathered objects of one request; all or, as far as anyone can see, none.
    fn append(&mut self, objects: Vec<SealedObject>, bytes: u64) -> Result<Vec<Place>, VaultError> {
        if bytes > 0 && self.current.is_none() {
            self.current = Some(self.begin_pack()?);
        }
        let Some(current) = &mut self.current else { return Ok(objects.into_iter().filter_map(spilled).collect()) };
        let start = current.end;
        let mut places = Vec::with_capacity(objects.len());
        for SealedObject { header, bytes } in objects {
            let place = match bytes {
                SealedBytes::Spilled(spill) => Place::Spilled(header, spill),
                SealedBytes::Memory(record) => match current.append(&header, record) {
                    Ok(location) => Place::Kept(location),
                    Err(source) => return Err(current.take_back(start, source)),
                },
            };
            places.push(place);
        }
        Ok(places)
    }

    fn begin_pack(&mut self) -> Result<Current, VaultError> {
        let pack = self.take_number();
        let name = pack::name(pack);
        let file = self.shared.storage.create(&name).map_err(|source| VaultError::io("create", source))?;
        if let Err(source) = write_full(&*file, &pack::first_page(pack), 0) {
            // An empty file left over does no harm; recovery removes it.
            let _ = self.shared.storage.remove(&name);
            return Err(VaultError::io("write", source));
        }
        let (end, durable) = (pack::FIRST_RECORD, pack::FIRST_RECORD);
        Ok(Current { pack, file, begun: Instant::now(), end, durable, is_named: false })
    }

    /// Numbers are never used twice, also when the pack came to nothing.
    fn take_number(&mut self) -> u64 {
        let number = self.next_pack;
        self.next_pack = number.saturating_add(1);
        number
    }

    /// Makes what was written durable, or refuses all of it.
    fn flush(&mut self, written: &mut Vec<Written>, durable: &mut Vec<Written>) {
        let Some(current) = &mut self.current else { return };
        if written.is_empty() {
            return;
        }
        Counters::add(&self.shared.counters.syncs, 1);
        match current.sync(&self.shared) {
            Ok(()) => {
                self.shared.packs().insert(current.pack, Some(current.durable));
                durable.append(written);
            }
            Err(source) => {
                tracing::error!(pack = current.pack, error = %source, "sync failed; the pack is given up");
                // Best effort: what nobody was told of should not turn up after the next start.
                let _ = current.file.set_length(current.durable);
                self.current = None;
                for Written { reply, .. } in written.drain(..) {
                    self.refuse(reply, VaultError::io("sync", same_error(&source)));
                }
            }
        }
    }

    fn commit_spilled(&mut self, header: &RecordHeader, spill: Spill) -> Result<Location, VaultError> {
        self.current = None;
        let pack = self.take_number();
        Counters::add(&self.shared.counters.syncs, 1);
        let end = spill.commit(pack, header)?;
        self.shared.packs().insert(pack, Some(end));
        Ok(header.location(pack, pack::FIRST_RECORD))
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
    fn is_full(&self, bytes: u64, shared: &Shared) -> bool {
        let is_long = self.end.saturating_add(bytes) > shared.settings.pack_bytes;
        let is_old = self.begun.elapsed() >= shared.settings.pack_age;
        bytes > 0 && self.end > pack::FIRST_RECORD && (is_long || is_old)
    }

    fn append(&mut self, header: &RecordHeader, mut record: Vec<u8>) -> io::Result<Location> {
        let place = record.first_chunk_mut::<HEADER_LEN>().ok_or(io::ErrorKind::InvalidInput)?;
        *place = header.encode(self.pack, self.end);
        write_full(&*self.file, &record, self.end)?;
        let location = header.location(self.pack, self.end);
        self.end = location.end().offset;
        Ok(location)
    }

    /// After a failed write: forgets what was written behind `start`.
    fn take_back(&mut self, start: u64, source: io::Error) -> VaultError {
        self.end = start;
        match self.file.set_length(start) {
            Ok(()) => VaultError::io("write", source),
            // Not `StorageFull`, whatever the write said: this pack is not to be written to again.
            Err(source) => VaultError::Io { operation: "cut", source },
        }
    }

    fn sync(&mut self, shared: &Shared) -> io::Result<()> {
        self.file.sync()?;
        if !self.is_named {
            shared.storage.sync_directory()?;
            self.is_named = true;
        }
        self.durable = self.end;
        Ok(())
    }
}

fn spilled(object: SealedObject) -> Option<Place> {
    match object.bytes {
        SealedBytes::Spilled(spill) => Some(Place::Spilled(object.header, spill)),
        SealedBytes::Memory(_) => None,
    }
}

/// One failed sync is told to everyone who waited for it.
fn same_error(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
