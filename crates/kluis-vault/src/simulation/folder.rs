//! The simulated disk as a program sees it: directories and files.

use std::{
    io,
    sync::{Arc, MutexGuard},
};

use super::{Call, DIRECTORY, Fault, File, SimulatedDisk, State, ancestors};
use crate::{PackFile, Storage};

/// A directory as a program has it until the next crash. Names may hold further directories, parted by `/`, which are
/// made with the files in them.
#[derive(Clone)]
pub struct Folder {
    pub(super) disk: SimulatedDisk,
    pub(super) life: u64,
    /// Empty, or ends in `/`.
    pub(super) prefix: String,
}

impl Folder {
    /// A directory of this one.
    #[must_use]
    pub fn folder(&self, name: &str) -> Self {
        let prefix = if name.is_empty() { self.prefix.clone() } else { format!("{}{name}/", self.prefix) };
        Self { prefix, ..self.clone() }
    }

    /// Makes the directory itself, with those that lead to it, durably.
    ///
    /// # Errors
    /// Those of the plan.
    pub fn make(&self) -> io::Result<()> {
        let mut state = self.begin(Call::Create, &self.prefix)?;
        make_directories(&mut state, &self.prefix);
        let State { names, durable_names, .. } = &mut *state;
        let made = names.iter().filter(|(name, _)| self.prefix.starts_with(name.as_str()));
        durable_names.extend(made.map(|(name, file)| (name.clone(), *file)));
        Ok(())
    }

    /// Counts a call of a store that keeps its files elsewhere; what goes wrong with it, where something does. `Short`
    /// and `Torn` are for the caller to interpret.
    ///
    /// # Errors
    /// Those of the plan; `BrokenPipe` after a crash.
    pub fn pass(&self, what: &str) -> io::Result<()> {
        self.begin(Call::Elsewhere, what).map(|_| ())
    }

    fn begin(&self, call: Call, name: &str) -> io::Result<MutexGuard<'_, State>> {
        let (state, _) = self.disk.begin(call, name)?;
        if state.life != self.life {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(state)
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn handle(&self, file: usize, name: String) -> Arc<dyn PackFile> {
        Arc::new(Handle { disk: self.disk.clone(), file, name, life: self.life })
    }
}

fn make_directories(state: &mut State, name: &str) {
    let own = name.ends_with('/').then_some(name);
    for directory in ancestors(name).chain(own) {
        state.names.entry(directory.into()).or_insert(DIRECTORY);
    }
}

/// The name inside the directory; `None` where it is not directly in it.
fn inside<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let inside = name.strip_prefix(prefix)?;
    let is_direct = !inside.strip_suffix('/').unwrap_or(inside).contains('/');
    (is_direct && !inside.is_empty()).then_some(inside)
}

impl Storage for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.begin(Call::List, &self.prefix)?;
        if !self.prefix.is_empty() && !state.names.contains_key(&self.prefix) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = state.names.keys().filter_map(|name| inside(name, &self.prefix));
        Ok(names.filter(|name| !name.ends_with('/')).map(str::to_owned).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn PackFile>> {
        let path = self.path(name);
        let mut state = self.begin(Call::Create, &path)?;
        if state.names.contains_key(&path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        make_directories(&mut state, &path);
        let file = state.files.len();
        state.files.push(File::default());
        state.names.insert(path.clone(), file);
        Ok(self.handle(file, path))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn PackFile>> {
        let path = self.path(name);
        let file = *self.begin(Call::Open, &path)?.names.get(&path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(file, path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        let mut state = self.begin(Call::Rename, &to)?;
        let file = state.names.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to, file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let mut state = self.begin(Call::Remove, &path)?;
        state.names.remove(&path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.begin(Call::SyncDirectory, &self.prefix)?;
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|name, _| inside(name, &self.prefix).is_none() || names.contains_key(name));
        let direct = names.iter().filter(|(name, _)| inside(name, &self.prefix).is_some());
        durable_names.extend(direct.map(|(name, file)| (name.clone(), *file)));
        Ok(())
    }
}

struct Handle {
    disk: SimulatedDisk,
    file: usize,
    name: String,
    life: u64,
}

impl Handle {
    fn with<T>(
        &self,
        call: Call,
        work: impl FnOnce(&mut File, &mut Option<u64>, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let (mut state, fault) = self.disk.begin(call, &self.name)?;
        let state = &mut *state;
        if state.life != self.life {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let file = state.files.get_mut(self.file).ok_or(io::ErrorKind::NotFound)?;
        work(file, &mut state.room, fault)
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl PackFile for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(Call::Read, |file, _, fault| {
            let bytes = file.seen.get(place(offset)?..).unwrap_or_default();
            let length = if fault.is_some() { buffer.len().div_ceil(2) } else { buffer.len() };
            let buffer = buffer.get_mut(..length).unwrap_or_default();
            let read = bytes.iter().zip(buffer).map(|(from, to)| *to = *from).count();
            Ok(read)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.with(Call::Write, |file, room, fault| {
            let offset = place(offset)?;
            let mut length = if fault.is_some() { bytes.len().div_ceil(2) } else { bytes.len() };
            if let Some(room) = room {
                let free = file.seen.len().saturating_sub(offset).saturating_add(place(*room)?);
                length = length.min(free);
                if length == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                let growth = offset.saturating_add(length).saturating_sub(file.seen.len());
                *room = room.saturating_sub(growth as u64);
            }
            file.write(bytes.get(..length).unwrap_or_default(), offset);
            match fault {
                Some(Fault::Torn(kind)) => Err(kind.into()),
                _ => Ok(length),
            }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(Call::Sync, |file, _, fault| match fault {
            Some(Fault::Error(kind) | Fault::Torn(kind)) => {
                // where the power goes meanwhile, what was on its way may still have come to the disk
                if kind != io::ErrorKind::BrokenPipe {
                    file.unsynced.clear();
                }
                Err(kind.into())
            }
            _ => {
                file.sync();
                Ok(())
            }
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(Call::Read, |file, _, _| Ok(file.seen.len() as u64))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.with(Call::SetLength, |file, room, _| {
            let (old, length) = (file.seen.len(), place(length)?);
            if let Some(room) = room {
                *room = room.saturating_add(old.saturating_sub(length) as u64);
            }
            file.touch(old.min(length), old.max(length));
            file.seen.resize(length, 0);
            Ok(())
        })
    }
}
