//! Devices, users, tokens, sessions and enrolment codes. Every write is durable when it is answered.

use std::path::Path;

use async_trait::async_trait;
use kluis_dicom::AeTitle;
use kluis_identity::{
    Device, Directory, DirectoryError, EnrolmentCode, SecretHash, Session, Token, User, limits::LIST_ROWS,
};
use rusqlite::{Connection, Params, Row, params};
use time::OffsetDateTime;

use super::{
    column::{bytes, get},
    connection::{Profile, at},
    database::{Database, change, collect, first},
    schema,
};
use crate::IndexError;

const PROFILE: Profile = Profile { schema: &schema::DIRECTORY, is_durable: true, cache_kib: 4 << 10, readers: 2 };

/// The directory in one file.
pub struct SqliteDirectory {
    database: Database,
}

impl SqliteDirectory {
    /// Opens the directory, or makes it where there is none. Blocks.
    ///
    /// # Errors
    /// [`IndexError::WrongKey`], [`IndexError::SchemaVersion`], [`IndexError::Damaged`], [`IndexError::Io`].
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, IndexError> {
        Ok(Self { database: Database::open(path, key, PROFILE)? })
    }

    async fn read<T, F>(&self, work: F) -> Result<T, DirectoryError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, IndexError> + Send + 'static,
    {
        self.database.read(work).await.map_err(unavailable)
    }

    /// Runs in one transaction. What the work refuses it refuses before it writes.
    async fn write<T, F>(&self, work: F) -> Result<T, DirectoryError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<Result<T, DirectoryError>, IndexError> + Send + 'static,
    {
        self.database.write(work).await.map_err(unavailable)?
    }

    async fn remove(&self, what: &'static str, sql: &'static str, name: &str) -> Result<(), DirectoryError> {
        let name = name.to_owned();
        self.write(move |connection| {
            let removed = change(connection, "remove", sql, [name])?;
            Ok(if removed == 0 { Err(DirectoryError::NotFound(what)) } else { Ok(()) })
        })
        .await
    }
}

#[async_trait]
impl Directory for SqliteDirectory {
    async fn check(&self) -> Result<Vec<String>, DirectoryError> {
        super::check::file(&self.database, None).await.map_err(unavailable)
    }

    async fn has_enrolled(&self) -> Result<bool, DirectoryError> {
        self.read(|connection| {
            let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM device) OR EXISTS (SELECT 1 FROM token) \
                       OR EXISTS (SELECT 1 FROM session) \
                       OR EXISTS (SELECT 1 FROM user WHERE name NOT IN (SELECT user FROM code))";
            exists(connection, sql, [])
        })
        .await
    }

    async fn add_device(&self, device: &Device) -> Result<(), DirectoryError> {
        let device = device.clone();
        self.write(move |connection| {
            if exists(connection, "SELECT 1 FROM device WHERE ae = ?1", [device.ae.as_str()])? {
                return Ok(Err(DirectoryError::AlreadyExists("device")));
            }
            if exists(connection, "SELECT 1 FROM device WHERE key_fingerprint = ?1", [&device.key_fingerprint])? {
                return Ok(Err(DirectoryError::AlreadyExists("key")));
            }
            change(
                connection,
                "add device",
                "INSERT INTO device (ae, key_fingerprint, rights, address, certificate_pem, created_at, expires_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    device.ae.as_str(),
                    device.key_fingerprint,
                    device.rights.to_string(),
                    device.address,
                    device.certificate_pem,
                    device.created_at.unix_timestamp(),
                    device.expires_at.unix_timestamp(),
                ],
            )?;
            Ok(Ok(()))
        })
        .await
    }

    async fn device(&self, ae: &AeTitle) -> Result<Option<Device>, DirectoryError> {
        let ae = ae.clone();
        self.read(move |connection| {
            first(connection, "find device", &format!("{DEVICE} WHERE ae = ?1"), [ae.as_str()], device)
        })
        .await
    }

    async fn device_by_key(&self, key_fingerprint: &str) -> Result<Option<Device>, DirectoryError> {
        let key = key_fingerprint.to_owned();
        self.read(move |connection| {
            first(connection, "find device", &format!("{DEVICE} WHERE key_fingerprint = ?1"), [key], device)
        })
        .await
    }

    async fn devices(&self) -> Result<Vec<Device>, DirectoryError> {
        self.read(|connection| {
            collect(connection, "list devices", &format!("{DEVICE} ORDER BY ae LIMIT ?1"), [rows()], device)
        })
        .await
    }

    async fn remove_device(&self, ae: &AeTitle) -> Result<(), DirectoryError> {
        self.remove("device", "DELETE FROM device WHERE ae = ?1", ae.as_str()).await
    }

    async fn add_user(&self, user: &User) -> Result<(), DirectoryError> {
        let user = user.clone();
        self.write(move |connection| {
            if exists(connection, "SELECT 1 FROM user WHERE name = ?1", [&user.name])? {
                return Ok(Err(DirectoryError::AlreadyExists("user")));
            }
            change(
                connection,
                "add user",
                "INSERT INTO user (name, role, referring, created_at) VALUES (?1, ?2, ?3, ?4)",
                params![user.name, user.role.as_str(), user.referring, user.created_at.unix_timestamp()],
            )?;
            Ok(Ok(()))
        })
        .await
    }

    async fn user(&self, name: &str) -> Result<Option<User>, DirectoryError> {
        let name = name.to_owned();
        self.read(move |connection| {
            let sql = "SELECT name, role, referring, created_at FROM user WHERE name = ?1";
            first(connection, "find user", sql, [name], |row| user(row, 0))
        })
        .await
    }

    async fn users(&self) -> Result<Vec<User>, DirectoryError> {
        self.read(|connection| {
            let sql = "SELECT name, role, referring, created_at FROM user ORDER BY name LIMIT ?1";
            collect(connection, "list users", sql, [rows()], |row| user(row, 0))
        })
        .await
    }

    async fn remove_user(&self, name: &str) -> Result<(), DirectoryError> {
        // sessions and the code go with the row (ON DELETE CASCADE)
        self.remove("user", "DELETE FROM user WHERE name = ?1", name).await
    }

    async fn set_code(&self, code: &EnrolmentCode) -> Result<(), DirectoryError> {
        let code = code.clone();
        self.write(move |connection| {
            if !exists(connection, "SELECT 1 FROM user WHERE name = ?1", [&code.user])? {
                return Ok(Err(DirectoryError::NotFound("user")));
            }
            change(
                connection,
                "set code",
                "INSERT OR REPLACE INTO code (hash, user, expires_at) VALUES (?1, ?2, ?3)",
                params![code.hash.0, code.user, code.expires_at.unix_timestamp()],
            )?;
            Ok(Ok(()))
        })
        .await
    }

    async fn take_code(&self, hash: SecretHash) -> Result<Option<(EnrolmentCode, User)>, DirectoryError> {
        self.write(move |connection| {
            let sql = "SELECT c.hash, c.user, c.expires_at, u.name, u.role, u.referring, u.created_at \
                       FROM code AS c JOIN user AS u ON u.name = c.user WHERE c.hash = ?1";
            let taken = first(connection, "take code", sql, [hash.0], |row| {
                let hash = SecretHash(bytes(row, 0)?);
                Ok((EnrolmentCode { hash, user: get(row, 1)?, expires_at: seconds(row, 2)? }, user(row, 3)?))
            })?;
            change(connection, "take code", "DELETE FROM code WHERE hash = ?1", [hash.0])?;
            Ok(Ok(taken))
        })
        .await
    }

    async fn add_session(&self, session: &Session) -> Result<(), DirectoryError> {
        let session = session.clone();
        self.write(move |connection| {
            if !exists(connection, "SELECT 1 FROM user WHERE name = ?1", [&session.user])? {
                return Ok(Err(DirectoryError::NotFound("user")));
            }
            if exists(connection, "SELECT 1 FROM session WHERE hash = ?1", [session.hash.0])? {
                return Ok(Err(DirectoryError::AlreadyExists("session")));
            }
            change(
                connection,
                "add session",
                "INSERT INTO session (hash, user, created_at, expires_at, last_seen_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    session.hash.0,
                    session.user,
                    session.created_at.unix_timestamp(),
                    session.expires_at.unix_timestamp(),
                    session.last_seen_at.unix_timestamp(),
                ],
            )?;
            Ok(Ok(()))
        })
        .await
    }

    async fn session(&self, hash: SecretHash) -> Result<Option<(Session, User)>, DirectoryError> {
        self.read(move |connection| {
            let sql = "SELECT s.hash, s.user, s.created_at, s.expires_at, s.last_seen_at, u.name, u.role, u.referring, \
                       u.created_at FROM session AS s JOIN user AS u ON u.name = s.user WHERE s.hash = ?1";
            first(connection, "find session", sql, [hash.0], |row| {
                let session = Session {
                    hash: SecretHash(bytes(row, 0)?),
                    user: get(row, 1)?,
                    created_at: seconds(row, 2)?,
                    expires_at: seconds(row, 3)?,
                    last_seen_at: seconds(row, 4)?,
                };
                Ok((session, user(row, 5)?))
            })
        })
        .await
    }

    async fn touch_session(&self, hash: SecretHash, last_seen_at: OffsetDateTime) -> Result<(), DirectoryError> {
        self.write(move |connection| {
            change(
                connection,
                "touch session",
                "UPDATE session SET last_seen_at = max(last_seen_at, ?2) WHERE hash = ?1",
                params![hash.0, last_seen_at.unix_timestamp()],
            )?;
            Ok(Ok(()))
        })
        .await
    }

    async fn remove_session(&self, hash: SecretHash) -> Result<(), DirectoryError> {
        self.write(move |connection| {
            change(connection, "remove session", "DELETE FROM session WHERE hash = ?1", [hash.0])?;
            Ok(Ok(()))
        })
        .await
    }

    async fn add_token(&self, token: &Token) -> Result<(), DirectoryError> {
        let token = token.clone();
        self.write(move |connection| {
            let sql = "SELECT 1 FROM token WHERE name = ?1 OR hash = ?2";
            if exists(connection, sql, params![token.name, token.hash.0])? {
                return Ok(Err(DirectoryError::AlreadyExists("token")));
            }
            change(
                connection,
                "add token",
                "INSERT INTO token (name, role, referring, hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    token.name,
                    token.role.as_str(),
                    token.referring,
                    token.hash.0,
                    token.created_at.unix_timestamp(),
                    token.expires_at.unix_timestamp(),
                ],
            )?;
            Ok(Ok(()))
        })
        .await
    }

    async fn token(&self, hash: SecretHash) -> Result<Option<Token>, DirectoryError> {
        self.read(move |connection| {
            first(connection, "find token", &format!("{TOKEN} WHERE hash = ?1"), [hash.0], token)
        })
        .await
    }

    async fn tokens(&self) -> Result<Vec<Token>, DirectoryError> {
        self.read(|connection| {
            collect(connection, "list tokens", &format!("{TOKEN} ORDER BY name LIMIT ?1"), [rows()], token)
        })
        .await
    }

    async fn remove_token(&self, name: &str) -> Result<(), DirectoryError> {
        self.remove("token", "DELETE FROM token WHERE name = ?1", name).await
    }

    async fn purge(&self, now: OffsetDateTime, idle_since: OffsetDateTime) -> Result<u64, DirectoryError> {
        let (now, idle_since) = (now.unix_timestamp(), idle_since.unix_timestamp());
        self.write(move |connection| {
            let mut gone = change(
                connection,
                "purge sessions",
                "DELETE FROM session WHERE expires_at <= ?1 OR last_seen_at <= ?2",
                params![now, idle_since],
            )?;
            gone += change(connection, "purge tokens", "DELETE FROM token WHERE expires_at <= ?1", [now])?;
            gone += change(connection, "purge codes", "DELETE FROM code WHERE expires_at <= ?1", [now])?;
            Ok(Ok(u64::try_from(gone).unwrap_or(u64::MAX)))
        })
        .await
    }
}

const DEVICE: &str = "SELECT ae, key_fingerprint, rights, address, certificate_pem, created_at, expires_at FROM device";
const TOKEN: &str = "SELECT name, role, referring, hash, created_at, expires_at FROM token";

fn exists(connection: &Connection, sql: &'static str, parameters: impl Params) -> Result<bool, IndexError> {
    Ok(first(connection, "look up", sql, parameters, |_| Ok(()))?.is_some())
}

fn rows() -> i64 {
    i64::try_from(LIST_ROWS).unwrap_or(i64::MAX)
}

fn device(row: &Row<'_>) -> Result<Device, IndexError> {
    Ok(Device {
        ae: parse(row, 0, "AE title")?,
        key_fingerprint: get(row, 1)?,
        rights: parse(row, 2, "rights")?,
        address: get(row, 3)?,
        certificate_pem: get(row, 4)?,
        created_at: seconds(row, 5)?,
        expires_at: seconds(row, 6)?,
    })
}

/// Four columns: name, role, referring, created_at.
fn user(row: &Row<'_>, column: usize) -> Result<User, IndexError> {
    Ok(User {
        name: get(row, column)?,
        role: parse(row, column + 1, "role")?,
        referring: get(row, column + 2)?,
        created_at: seconds(row, column + 3)?,
    })
}

fn token(row: &Row<'_>) -> Result<Token, IndexError> {
    Ok(Token {
        name: get(row, 0)?,
        role: parse(row, 1, "role")?,
        referring: get(row, 2)?,
        hash: SecretHash(bytes(row, 3)?),
        created_at: seconds(row, 4)?,
        expires_at: seconds(row, 5)?,
    })
}

fn parse<T: std::str::FromStr>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, IndexError> {
    let text = row.get_ref(column).map_err(at("read a column"))?;
    text.as_str().ok().and_then(|text| text.parse().ok()).ok_or(IndexError::Row(what))
}

fn seconds(row: &Row<'_>, column: usize) -> Result<OffsetDateTime, IndexError> {
    OffsetDateTime::from_unix_timestamp(get(row, column)?).map_err(|_| IndexError::Row("time"))
}

fn unavailable(error: IndexError) -> DirectoryError {
    DirectoryError::Unavailable(Box::new(error))
}
