//! Where devices, users, tokens, sessions and codes are kept. Implemented by the index; nobody else may write them.

use async_trait::async_trait;
use kluis_dicom::AeTitle;
use time::OffsetDateTime;

use crate::record::{Device, EnrolmentCode, SecretHash, Session, Token, User};

/// Why the directory did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A unique field is taken: AE title, key fingerprint, name or hash.
    #[error("{0} already exists")]
    AlreadyExists(&'static str),
    /// What should be changed or removed, or the user to whom something should belong, is not there.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The storage failed; the source names how and holds no secret.
    #[error("the directory is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The directory. Each method is one transaction; what a method returned is durable. `what` in an error is one of
/// `device`, `key`, `user`, `token`, `session`, `code`. Lists are in the order of their names and hold at most
/// [`LIST_ROWS`](crate::limits::LIST_ROWS) rows. Expired rows are returned like others: the caller judges time.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Reads everything that is kept and holds it against its checksums: one line per finding, none with a value.
    async fn check(&self) -> Result<Vec<String>, DirectoryError> {
        Ok(Vec::new())
    }

    /// Whether somebody can prove an identity or could: there is a device, a token, a session, or a user whose code was
    /// redeemed or has ended.
    async fn has_enrolled(&self) -> Result<bool, DirectoryError>;

    /// Adds a device.
    ///
    /// # Errors
    /// `AlreadyExists("device")` where the AE title is taken, `AlreadyExists("key")` where the fingerprint is.
    async fn add_device(&self, device: &Device) -> Result<(), DirectoryError>;

    /// The device with this AE title.
    async fn device(&self, ae: &AeTitle) -> Result<Option<Device>, DirectoryError>;

    /// The device with this key: 64 lowercase hexadecimal digits.
    async fn device_by_key(&self, key_fingerprint: &str) -> Result<Option<Device>, DirectoryError>;

    /// All devices.
    async fn devices(&self) -> Result<Vec<Device>, DirectoryError>;

    /// Removes a device; its key proves nothing from then on.
    ///
    /// # Errors
    /// `NotFound("device")`.
    async fn remove_device(&self, ae: &AeTitle) -> Result<(), DirectoryError>;

    /// Adds a user.
    ///
    /// # Errors
    /// `AlreadyExists("user")`.
    async fn add_user(&self, user: &User) -> Result<(), DirectoryError>;

    /// The user with this name.
    async fn user(&self, name: &str) -> Result<Option<User>, DirectoryError>;

    /// All users.
    async fn users(&self) -> Result<Vec<User>, DirectoryError>;

    /// Removes a user and, in the same transaction, the user's sessions and code.
    ///
    /// # Errors
    /// `NotFound("user")`.
    async fn remove_user(&self, name: &str) -> Result<(), DirectoryError>;

    /// Sets the enrolment code of a user; the one before it, if any, is gone.
    ///
    /// # Errors
    /// `NotFound("user")`.
    async fn set_code(&self, code: &EnrolmentCode) -> Result<(), DirectoryError>;

    /// Removes a code and returns it with its user; of two callers with the same code one gets it, the other `None`.
    async fn take_code(&self, hash: SecretHash) -> Result<Option<(EnrolmentCode, User)>, DirectoryError>;

    /// Adds a session.
    ///
    /// # Errors
    /// `NotFound("user")`, `AlreadyExists("session")`.
    async fn add_session(&self, session: &Session) -> Result<(), DirectoryError>;

    /// A session and its user.
    async fn session(&self, hash: SecretHash) -> Result<Option<(Session, User)>, DirectoryError>;

    /// Moves `last_seen_at` of a session forward. A session that is gone stays gone, which is no error.
    async fn touch_session(&self, hash: SecretHash, last_seen_at: OffsetDateTime) -> Result<(), DirectoryError>;

    /// Ends a session. One that is gone is no error.
    async fn remove_session(&self, hash: SecretHash) -> Result<(), DirectoryError>;

    /// Adds a token.
    ///
    /// # Errors
    /// `AlreadyExists("token")`.
    async fn add_token(&self, token: &Token) -> Result<(), DirectoryError>;

    /// The token with this hash.
    async fn token(&self, hash: SecretHash) -> Result<Option<Token>, DirectoryError>;

    /// All tokens.
    async fn tokens(&self) -> Result<Vec<Token>, DirectoryError>;

    /// Removes a token.
    ///
    /// # Errors
    /// `NotFound("token")`.
    async fn remove_token(&self, name: &str) -> Result<(), DirectoryError>;

    /// Drops sessions, tokens and codes that ended before or at `now`, and sessions last seen before or at
    /// `idle_since`; devices stay, so that an expired one is still seen in the list. Returns how many rows went.
    async fn purge(&self, now: OffsetDateTime, idle_since: OffsetDateTime) -> Result<u64, DirectoryError>;
}
