//! A directory in memory, for the tests of this crate.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use kluis_dicom::AeTitle;
use time::OffsetDateTime;

use crate::{Device, Directory, DirectoryError, EnrolmentCode, SecretHash, Session, Token, User};

#[derive(Default)]
pub(crate) struct MemoryDirectory {
    rows: Mutex<Rows>,
    pub(crate) reads: AtomicUsize,
    pub(crate) is_down: AtomicBool,
}

#[derive(Default)]
struct Rows {
    devices: BTreeMap<AeTitle, Device>,
    users: BTreeMap<String, User>,
    tokens: BTreeMap<String, Token>,
    sessions: BTreeMap<SecretHash, Session>,
    codes: BTreeMap<String, EnrolmentCode>,
}

impl MemoryDirectory {
    fn rows(&self) -> Result<std::sync::MutexGuard<'_, Rows>, DirectoryError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(DirectoryError::Unavailable("down".into()));
        }
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.rows.lock().unwrap())
    }

    /// Every byte that would be on disk, to look for secrets in.
    pub(crate) fn dump(&self) -> String {
        let rows = self.rows.lock().unwrap();
        let hashes: Vec<_> = rows
            .tokens
            .values()
            .map(|token| token.hash)
            .chain(rows.sessions.keys().copied())
            .chain(rows.codes.values().map(|code| code.hash))
            .map(|hash| format!("{:?}", hash.0))
            .collect();
        format!("{:?}{:?}{:?}{hashes:?}", rows.devices, rows.users, rows.tokens)
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn has_enrolled(&self) -> Result<bool, DirectoryError> {
        let rows = self.rows()?;
        let is_waiting = |name: &String| rows.codes.values().any(|code| code.user == *name);
        let has_user = rows.users.keys().any(|name| !is_waiting(name));
        Ok(has_user || !rows.devices.is_empty() || !rows.tokens.is_empty() || !rows.sessions.is_empty())
    }

    async fn add_device(&self, device: &Device) -> Result<(), DirectoryError> {
        let mut rows = self.rows()?;
        if rows.devices.contains_key(&device.ae) {
            return Err(DirectoryError::AlreadyExists("device"));
        }
        if rows.devices.values().any(|other| other.key_fingerprint == device.key_fingerprint) {
            return Err(DirectoryError::AlreadyExists("key"));
        }
        rows.devices.insert(device.ae.clone(), device.clone());
        Ok(())
    }

    async fn device(&self, ae: &AeTitle) -> Result<Option<Device>, DirectoryError> {
        Ok(self.rows()?.devices.get(ae).cloned())
    }

    async fn device_by_key(&self, key: &str) -> Result<Option<Device>, DirectoryError> {
        Ok(self.rows()?.devices.values().find(|device| device.key_fingerprint == key).cloned())
    }

    async fn devices(&self) -> Result<Vec<Device>, DirectoryError> {
        Ok(self.rows()?.devices.values().cloned().collect())
    }

    async fn remove_device(&self, ae: &AeTitle) -> Result<(), DirectoryError> {
        self.rows()?.devices.remove(ae).map(|_| ()).ok_or(DirectoryError::NotFound("device"))
    }

    async fn add_user(&self, user: &User) -> Result<(), DirectoryError> {
        let mut rows = self.rows()?;
        if rows.users.contains_key(&user.name) {
            return Err(DirectoryError::AlreadyExists("user"));
        }
        rows.users.insert(user.name.clone(), user.clone());
        Ok(())
    }

    async fn user(&self, name: &str) -> Result<Option<User>, DirectoryError> {
        Ok(self.rows()?.users.get(name).cloned())
    }

    async fn users(&self) -> Result<Vec<User>, DirectoryError> {
        Ok(self.rows()?.users.values().cloned().collect())
    }

    async fn remove_user(&self, name: &str) -> Result<(), DirectoryError> {
        let mut rows = self.rows()?;
        rows.users.remove(name).ok_or(DirectoryError::NotFound("user"))?;
        rows.sessions.retain(|_, session| session.user != name);
        rows.codes.remove(name);
        Ok(())
    }

    async fn set_code(&self, code: &EnrolmentCode) -> Result<(), DirectoryError> {
        let mut rows = self.rows()?;
        if !rows.users.contains_key(&code.user) {
            return Err(DirectoryError::NotFound("user"));
        }
        rows.codes.insert(code.user.clone(), code.clone());
        Ok(())
    }

    async fn take_code(&self, hash: SecretHash) -> Result<Option<(EnrolmentCode, User)>, DirectoryError> {
        let mut rows = self.rows()?;
        let Some(code) = rows.codes.values().find(|code| code.hash == hash).cloned() else { return Ok(None) };
        rows.codes.remove(&code.user);
        let user = rows.users[&code.user].clone();
        Ok(Some((code, user)))
    }

    async fn add_session(&self, session: &Session) -> Result<(), DirectoryError> {
        let mut rows = self.rows()?;
        if !rows.users.contains_key(&session.user) {
            return Err(DirectoryError::NotFound("user"));
        }
        rows.sessions.insert(session.hash, session.clone());
        Ok(())
    }

    async fn session(&self, hash: SecretHash) -> Result<Option<(Session, User)>, DirectoryError> {
        let rows = self.rows()?;
        Ok(rows.sessions.get(&hash).map(|session| (session.clone(), rows.users[&session.user].clone())))
    }

    async fn touch_session(&self, hash: SecretHash, last_seen_at: OffsetDateTime) -> Result<(), DirectoryError> {
        if let Some(session) = self.rows()?.sessions.get_mut(&hash) {
            session.last_seen_at = last_seen_at;
        }
        Ok(())
    }

    async fn remove_session(&self, hash: SecretHash) -> Result<(), DirectoryError> {
        self.rows()?.sessions.remove(&hash);
        Ok(())
    }

    async fn add_token(&self, token: &Token) -> Result<(), DirectoryError> {
        let mut rows = self.rows()?;
        if rows.tokens.contains_key(&token.name) {
            return Err(DirectoryError::AlreadyExists("token"));
        }
        rows.tokens.insert(token.name.clone(), token.clone());
        Ok(())
    }

    async fn token(&self, hash: SecretHash) -> Result<Option<Token>, DirectoryError> {
        Ok(self.rows()?.tokens.values().find(|token| token.hash == hash).cloned())
    }

    async fn tokens(&self) -> Result<Vec<Token>, DirectoryError> {
        Ok(self.rows()?.tokens.values().cloned().collect())
    }

    async fn remove_token(&self, name: &str) -> Result<(), DirectoryError> {
        self.rows()?.tokens.remove(name).map(|_| ()).ok_or(DirectoryError::NotFound("token"))
    }

    async fn purge(&self, now: OffsetDateTime, idle_since: OffsetDateTime) -> Result<u64, DirectoryError> {
        let mut rows = self.rows()?;
        let before = rows.sessions.len() + rows.tokens.len() + rows.codes.len();
        rows.sessions.retain(|_, session| session.expires_at > now && session.last_seen_at > idle_since);
        rows.tokens.retain(|_, token| token.expires_at > now);
        rows.codes.retain(|_, code| code.expires_at > now);
        Ok((before - rows.sessions.len() - rows.tokens.len() - rows.codes.len()) as u64)
    }
}
