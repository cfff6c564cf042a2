//! Managing devices, people and tokens, each through the gate.

use std::time::Duration;

use kluis_dicom::AeTitle;
use kluis_identity::{Device, DirectoryError, Token, User};
use kluis_policy::{DeviceRights, Role};
use time::OffsetDateTime;

use crate::{
    Archive, ArchiveError, Disclosed, Outcome, Permit,
    act::{Act, ManageDevices, ManageTokens, ManageUsers},
};

/// A device to be enrolled.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Its AE title.
    pub ae: AeTitle,
    /// What it may do.
    pub rights: DeviceRights,
    /// HOST:PORT at which it listens itself.
    pub address: Option<String>,
    /// Its own certificate request (PEM); without one a key is made.
    pub csr_pem: Option<String>,
}

/// An enrolled device. The key is told once and kept nowhere.
pub struct EnrolledDevice {
    /// The device.
    pub device: Device,
    /// The private key (PEM, PKCS#8), where it was made here.
    pub key_pem: Option<String>,
    /// The authority that the device must trust (PEM).
    pub ca_pem: String,
}

/// A user, or someone who gets a token.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// 1 to 64 characters of `[A-Za-z0-9._@-]`.
    pub name: String,
    /// The role.
    pub role: Role,
    /// For [`Role::Referrer`]: the Referring Physician's Name of the own studies.
    pub referring: Option<String>,
}

/// An enrolment code. The code is told once; only its hash is kept.
pub struct NewCode {
    /// The code.
    pub code: String,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// A token. The text is told once; only its hash is kept.
pub struct NewToken {
    /// The token.
    pub text: String,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// Why an act of management was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// The name is taken: AE title, key, user or token.
    #[error("{0} already exists")]
    AlreadyExists(&'static str),
    /// There is no such device, user or token.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// What was given is wrong; the sentence says what.
    #[error("{0}")]
    Invalid(String),
    /// The stores failed.
    #[error(transparent)]
    Archive(ArchiveError),
}

impl From<DirectoryError> for ManageError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::AlreadyExists(what) => Self::AlreadyExists(what),
            DirectoryError::NotFound(what) => Self::NotFound(what),
            other => Self::Archive(other.into()),
        }
    }
}

impl Archive {
    /// Enrols a device.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn add_device(
        &self,
        permit: Permit<ManageDevices>,
        new: NewDevice,
    ) -> Result<Disclosed<EnrolledDevice>, ManageError> {
        let _ = new;
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// All devices, by AE title.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn devices(&self, permit: Permit<ManageDevices>) -> Result<Disclosed<Vec<Device>>, ManageError> {
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// One device.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn device(&self, permit: Permit<ManageDevices>, ae: &AeTitle) -> Result<Disclosed<Device>, ManageError> {
        let _ = ae;
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// Removes a device; its certificate is worth nothing from then on.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn remove_device(
        &self,
        permit: Permit<ManageDevices>,
        ae: &AeTitle,
    ) -> Result<Disclosed<()>, ManageError> {
        let _ = ae;
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// Adds a person.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn add_user(
        &self,
        permit: Permit<ManageUsers>,
        new: NewAccount,
    ) -> Result<Disclosed<NewCode>, ManageError> {
        let _ = new;
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// A new enrolment code for a person; the one before is void.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn new_code(&self, permit: Permit<ManageUsers>, name: &str) -> Result<Disclosed<NewCode>, ManageError> {
        let _ = name;
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// All people, by name.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn users(&self, permit: Permit<ManageUsers>) -> Result<Disclosed<Vec<User>>, ManageError> {
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// Removes a person and ends that person's sessions.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn remove_user(&self, permit: Permit<ManageUsers>, name: &str) -> Result<Disclosed<()>, ManageError> {
        let _ = name;
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// Makes a bearer token.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn create_token(
        &self,
        permit: Permit<ManageTokens>,
        new: NewAccount,
        ttl: Duration,
    ) -> Result<Disclosed<NewToken>, ManageError> {
        let _ = (new, ttl);
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn tokens(&self, permit: Permit<ManageTokens>) -> Result<Disclosed<Vec<Token>>, ManageError> {
        done(permit, Err(ManageError::NotFound("wiring")))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn revoke_token(&self, permit: Permit<ManageTokens>, name: &str) -> Result<Disclosed<()>, ManageError> {
        let _ = name;
        done(permit, Err(ManageError::NotFound("wiring")))
    }
}

/// Gives what was done to the edge, or closes the entry with what went wrong.
fn done<A: Act, T>(permit: Permit<A>, result: Result<T, ManageError>) -> Result<Disclosed<T>, ManageError> {
    match result {
        Ok(value) => Ok(permit.disclose(value)),
        Err(error) => {
            let outcome = if matches!(error, ManageError::NotFound(_)) { Outcome::Absent } else { Outcome::Failed };
            permit.finish(outcome);
            Err(error)
        }
    }
}
