//! Managing devices, people and tokens, each through the gate.

use std::time::Duration;

use kluis_dicom::AeTitle;
use kluis_identity::{Device, DeviceKey, DirectoryError, RegistrarError, Token, User};
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

impl From<RegistrarError> for ManageError {
    fn from(error: RegistrarError) -> Self {
        match error {
            RegistrarError::Directory(DirectoryError::AlreadyExists(what)) => Self::AlreadyExists(what),
            RegistrarError::Directory(DirectoryError::NotFound(what)) => Self::NotFound(what),
            RegistrarError::Directory(other) => Self::Archive(other.into()),
            wrong => Self::Invalid(wrong.to_string()),
        }
    }
}

impl From<kluis_identity::NewCode> for NewCode {
    fn from(new: kluis_identity::NewCode) -> Self {
        Self { code: new.code.as_str().to_owned(), expires_at: new.expires_at }
    }
}

impl Archive {
    /// Whether anybody was ever enrolled: until then a node serves nobody but who sits at its machine (threat T1).
    ///
    /// # Errors
    /// [`ArchiveError::Directory`].
    pub async fn has_enrolled(&self) -> Result<bool, ArchiveError> {
        Ok(self.inner.registrar.has_enrolled().await?)
    }

    /// Enrols a device.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn add_device(
        &self,
        permit: Permit<ManageDevices>,
        new: NewDevice,
    ) -> Result<Disclosed<EnrolledDevice>, ManageError> {
        let key = new.csr_pem.map_or(DeviceKey::Issue, DeviceKey::Request);
        let new = kluis_identity::NewDevice { ae: new.ae, rights: new.rights, address: new.address, key };
        let enrolled = self.inner.registrar.add_device(new, self.inner.clock.now()).await;
        let enrolled = enrolled.map(|enrolled| EnrolledDevice {
            device: enrolled.device,
            key_pem: enrolled.key_pem.map(|pem| pem.to_string()),
            ca_pem: enrolled.ca_pem,
        });
        done(permit, enrolled.map_err(ManageError::from))
    }

    /// All devices, by AE title.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn devices(&self, permit: Permit<ManageDevices>) -> Result<Disclosed<Vec<Device>>, ManageError> {
        let devices = self.inner.registrar.devices().await;
        done(permit, devices.map_err(ManageError::from))
    }

    /// One device.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn device(&self, permit: Permit<ManageDevices>, ae: &AeTitle) -> Result<Disclosed<Device>, ManageError> {
        let device = self.inner.registrar.device(ae).await;
        done(permit, device.map_err(ManageError::from))
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
        let removed = self.inner.registrar.remove_device(ae).await;
        self.inner.authenticator.forget();
        done(permit, removed.map_err(ManageError::from))
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
        let now = self.inner.clock.now();
        let added = self.inner.registrar.add_user(&new.name, new.role, new.referring.as_deref(), now).await;
        let code = added.map(NewCode::from);
        done(permit, code.map_err(ManageError::from))
    }

    /// A new enrolment code for a person; the one before is void.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn new_code(&self, permit: Permit<ManageUsers>, name: &str) -> Result<Disclosed<NewCode>, ManageError> {
        let code = self.inner.registrar.new_code(name, self.inner.clock.now()).await.map(NewCode::from);
        done(permit, code.map_err(ManageError::from))
    }

    /// All people, by name.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn users(&self, permit: Permit<ManageUsers>) -> Result<Disclosed<Vec<User>>, ManageError> {
        let users = self.inner.registrar.users().await;
        done(permit, users.map_err(ManageError::from))
    }

    /// Removes a person and ends that person's sessions.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn remove_user(&self, permit: Permit<ManageUsers>, name: &str) -> Result<Disclosed<()>, ManageError> {
        let removed = self.inner.registrar.remove_user(name).await;
        self.inner.authenticator.forget();
        done(permit, removed.map_err(ManageError::from))
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
        let now = self.inner.clock.now();
        let made = self.inner.registrar.create_token(&new.name, new.role, new.referring.as_deref(), ttl, now).await;
        let token = made.map(|made| NewToken { text: made.token.as_str().to_owned(), expires_at: made.expires_at });
        done(permit, token.map_err(ManageError::from))
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn tokens(&self, permit: Permit<ManageTokens>) -> Result<Disclosed<Vec<Token>>, ManageError> {
        let tokens = self.inner.registrar.tokens().await;
        done(permit, tokens.map_err(ManageError::from))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn revoke_token(&self, permit: Permit<ManageTokens>, name: &str) -> Result<Disclosed<()>, ManageError> {
        let removed = self.inner.registrar.revoke_token(name).await;
        self.inner.authenticator.forget();
        done(permit, removed.map_err(ManageError::from))
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
