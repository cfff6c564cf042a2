//! Enrolment: adds and removes devices, users and tokens. Callers hold a permit to manage them.

use std::{fmt, sync::Arc, time::Duration};

use kluis_dicom::AeTitle;
use kluis_policy::{DeviceRights, Role};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{
    ca::{CaError, CertificateAuthority, is_host_name},
    directory::{Directory, DirectoryError},
    limits::{ADDRESS_BYTES, CODE_LIFE, NAME_CHARACTERS, REFERRING_CHARACTERS, SESSION_IDLE, TOKEN_LIFE_MAX},
    record::{Device, EnrolmentCode, Token, User},
    secret::{NoRandom, Secret, TOKEN_PREFIX},
};

/// Why something was not enrolled, changed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrarError {
    /// A name of a user or a token.
    #[error("a name has 1 to 64 of the characters A-Z a-z 0-9 . _ @ - and begins with a letter or digit")]
    Name,
    /// A Referring Physician's Name with another role than referrer.
    #[error("only the role referrer takes a referring physician's name")]
    ReferringWithoutRole,
    /// A Referring Physician's Name that can be none.
    #[error("a referring physician's name has 1 to 194 characters, no control characters and no backslash")]
    Referring,
    /// The address of a device.
    #[error("an address is HOST:PORT, such as ct1.example:104 or [fd00::1]:11112")]
    Address,
    /// The life of a token.
    #[error("a token lives at least one second and at most 366 days")]
    TokenLife,
    /// A key or a certificate.
    #[error(transparent)]
    Certificate(#[from] CaError),
    /// No random numbers.
    #[error("no random numbers")]
    NoRandom,
    /// What should be added is there already, or what should be removed is not; or the directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl From<NoRandom> for RegistrarError {
    fn from(_: NoRandom) -> Self {
        Self::NoRandom
    }
}

/// Where the key of a new device comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKey {
    /// It is made here and handed over with the certificate.
    Issue,
    /// The device made its own; this is its signing request, PEM.
    Request(String),
}

/// A device to be enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// The label to bind to the key.
    pub ae: AeTitle,
    /// What it may do.
    pub rights: DeviceRights,
    /// HOST:PORT at which it listens, where it does.
    pub address: Option<String>,
    /// Where its key comes from.
    pub key: DeviceKey,
}

/// A device that was just enrolled, with what its owner needs.
pub struct EnrolledDevice {
    /// The record.
    pub device: Device,
    /// Its key (PKCS #8, PEM), where it was made here; it is not kept.
    pub key_pem: Option<Zeroizing<String>>,
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// The certificate of the authority, PEM.
    pub ca_pem: String,
}

impl fmt::Debug for EnrolledDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolledDevice").field("device", &self.device).finish_non_exhaustive()
    }
}

/// An enrolment code, shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCode {
    /// The code.
    pub code: Secret,
    /// Until when it can be redeemed.
    pub expires_at: OffsetDateTime,
}

/// A bearer token, shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The token, beginning with `kluis_`.
    pub token: Secret,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// Adds, lists and removes.
pub struct Registrar {
    directory: Arc<dyn Directory>,
    authority: Arc<CertificateAuthority>,
}

impl Registrar {
    /// A registrar over a directory, with the authority that certifies devices.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, authority: Arc<CertificateAuthority>) -> Self {
        Self { directory, authority }
    }

    /// Enrols a device.
    ///
    /// # Errors
    /// [`RegistrarError::Address`], [`RegistrarError::Certificate`], and in [`RegistrarError::Directory`] that the AE
    /// title or the key is enrolled already.
    pub async fn add_device(&self, new: NewDevice, now: OffsetDateTime) -> Result<EnrolledDevice, RegistrarError> {
        if new.address.as_deref().is_some_and(|address| !is_address(address)) {
            return Err(RegistrarError::Address);
        }
        let now = whole_seconds(now);
        let issued = match &new.key {
            DeviceKey::Issue => self.authority.issue_device(&new.ae, now)?,
            DeviceKey::Request(csr_pem) => self.authority.sign_request(csr_pem, &new.ae, now)?,
        };
        let device = Device {
            ae: new.ae,
            key_fingerprint: issued.key_fingerprint,
            rights: new.rights,
            address: new.address,
            certificate_pem: issued.certificate_pem.clone(),
            created_at: now,
            expires_at: issued.expires_at,
        };
        self.directory.add_device(&device).await?;
        Ok(EnrolledDevice {
            device,
            key_pem: issued.key_pem,
            certificate_pem: issued.certificate_pem,
            ca_pem: self.authority.certificate_pem().to_owned(),
        })
    }

    /// All devices, by AE title.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`].
    pub async fn devices(&self) -> Result<Vec<Device>, RegistrarError> {
        Ok(self.directory.devices().await?)
    }

    /// One device.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Unavailable`].
    pub async fn device(&self, ae: &AeTitle) -> Result<Device, RegistrarError> {
        Ok(self.directory.device(ae).await?.ok_or(DirectoryError::NotFound("device"))?)
    }

    /// Removes a device: its key is unknown from now on.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Unavailable`].
    pub async fn remove_device(&self, ae: &AeTitle) -> Result<(), RegistrarError> {
        Ok(self.directory.remove_device(ae).await?)
    }

    /// Adds a person and returns the code of the enrolment link.
    ///
    /// # Errors
    /// [`RegistrarError::Name`], [`RegistrarError::Referring`], [`RegistrarError::ReferringWithoutRole`], and in
    /// [`RegistrarError::Directory`] that the name is taken.
    pub async fn add_user(
        &self,
        name: &str,
        role: Role,
        referring: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<NewCode, RegistrarError> {
        check_name(name)?;
        let referring = check_referring(role, referring)?;
        let created_at = whole_seconds(now);
        self.directory.add_user(&User { name: name.to_owned(), role, referring, created_at }).await?;
        self.new_code(name, now).await
    }

    /// A new enrolment code for a person; the one before it is void.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Unavailable`].
    pub async fn new_code(&self, user: &str, now: OffsetDateTime) -> Result<NewCode, RegistrarError> {
        let (code, hash) = Secret::generate("")?;
        let expires_at = whole_seconds(now) + CODE_LIFE;
        self.directory.set_code(&EnrolmentCode { hash, user: user.to_owned(), expires_at }).await?;
        Ok(NewCode { code, expires_at })
    }

    /// All people, by name.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`].
    pub async fn users(&self) -> Result<Vec<User>, RegistrarError> {
        Ok(self.directory.users().await?)
    }

    /// Removes a person, with sessions and code.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Unavailable`].
    pub async fn remove_user(&self, name: &str) -> Result<(), RegistrarError> {
        Ok(self.directory.remove_user(name).await?)
    }

    /// Makes a bearer token that lives for `life`; 8 h is the usual ([`TOKEN_LIFE`](crate::limits::TOKEN_LIFE)).
    ///
    /// # Errors
    /// [`RegistrarError::Name`], [`RegistrarError::Referring`], [`RegistrarError::ReferringWithoutRole`],
    /// [`RegistrarError::TokenLife`], and in [`RegistrarError::Directory`] that the name is taken.
    pub async fn create_token(
        &self,
        name: &str,
        role: Role,
        referring: Option<&str>,
        life: Duration,
        now: OffsetDateTime,
    ) -> Result<NewToken, RegistrarError> {
        check_name(name)?;
        let referring = check_referring(role, referring)?;
        if life < Duration::from_secs(1) || life > TOKEN_LIFE_MAX {
            return Err(RegistrarError::TokenLife);
        }
        let (token, hash) = Secret::generate(TOKEN_PREFIX)?;
        let created_at = whole_seconds(now);
        let expires_at = created_at + Duration::from_secs(life.as_secs());
        self.directory
            .add_token(&Token { name: name.to_owned(), role, referring, hash, created_at, expires_at })
            .await?;
        Ok(NewToken { token, expires_at })
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`].
    pub async fn tokens(&self) -> Result<Vec<Token>, RegistrarError> {
        Ok(self.directory.tokens().await?)
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Unavailable`].
    pub async fn revoke_token(&self, name: &str) -> Result<(), RegistrarError> {
        Ok(self.directory.remove_token(name).await?)
    }

    /// Whether anybody was ever enrolled: see [`Directory::has_enrolled`].
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`].
    pub async fn has_enrolled(&self) -> Result<bool, DirectoryError> {
        self.directory.has_enrolled().await
    }

    /// What is wrong with the files of the directory: see [`Directory::check`].
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`].
    pub async fn check(&self) -> Result<Vec<String>, DirectoryError> {
        self.directory.check().await
    }

    /// Drops sessions, tokens and codes that have ended, and sessions that lay idle. Returns how many.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`].
    pub async fn purge(&self, now: OffsetDateTime) -> Result<u64, DirectoryError> {
        self.directory.purge(now, now - SESSION_IDLE).await
    }
}

/// The storage keeps whole seconds; what is returned must be what is stored.
fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

fn check_name(name: &str) -> Result<(), RegistrarError> {
    let is_valid = name.len() <= NAME_CHARACTERS
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte));
    if is_valid { Ok(()) } else { Err(RegistrarError::Name) }
}

fn check_referring(role: Role, referring: Option<&str>) -> Result<Option<String>, RegistrarError> {
    let Some(referring) = referring else { return Ok(None) };
    if role != Role::Referrer {
        return Err(RegistrarError::ReferringWithoutRole);
    }
    let name = referring.trim();
    let is_valid = (1..=REFERRING_CHARACTERS).contains(&name.chars().count())
        && !name.chars().any(|c| c.is_control() || c == '\\');
    if is_valid { Ok(Some(name.to_owned())) } else { Err(RegistrarError::Referring) }
}

fn is_address(address: &str) -> bool {
    if address.len() > ADDRESS_BYTES {
        return false;
    }
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    is_port && is_host
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::TOKEN_LIFE, testing::MemoryDirectory};

    const NOW: OffsetDateTime = time::macros::datetime!(2026-03-01 08:00:00.5 UTC);

    fn registrar() -> Registrar {
        let authority = Arc::new(CertificateAuthority::create(NOW).unwrap());
        Registrar::new(Arc::new(MemoryDirectory::default()), authority)
    }

    fn ct1(address: Option<&str>) -> NewDevice {
        NewDevice {
            ae: "CT1".parse().unwrap(),
            rights: "store,find".parse().unwrap(),
            address: address.map(str::to_owned),
            key: DeviceKey::Issue,
        }
    }

    #[tokio::test]
    async fn names_are_of_a_safe_set() {
        let registrar = registrar();
        let long = "a".repeat(65);
        for name in ["", "a b", "a/b", "-a", ".a", "a\u{e9}", "a\n", "a:b", long.as_str()] {
            let user = registrar.add_user(name, Role::Admin, None, NOW).await;
            assert!(matches!(user, Err(RegistrarError::Name)), "{name:?}");
            let token = registrar.create_token(name, Role::Admin, None, TOKEN_LIFE, NOW).await;
            assert!(matches!(token, Err(RegistrarError::Name)), "{name:?}");
        }
        for name in ["a", "A.b_c@d-e", "7", &long[..64]] {
            assert!(registrar.add_user(name, Role::Admin, None, NOW).await.is_ok(), "{name:?}");
        }
    }

    #[tokio::test]
    async fn only_a_referrer_has_a_referring_name() {
        let registrar = registrar();
        let refused = registrar.add_user("a", Role::Admin, Some("X"), NOW).await;
        assert!(matches!(refused, Err(RegistrarError::ReferringWithoutRole)));
        for name in ["", "  ", "A\\B", "A\nB", &"x".repeat(195)] {
            let refused = registrar.add_user("a", Role::Referrer, Some(name), NOW).await;
            assert!(matches!(refused, Err(RegistrarError::Referring)), "{name:?}");
        }
        registrar.add_user("a", Role::Referrer, Some(" JANSEN^A "), NOW).await.unwrap();
        assert_eq!(registrar.users().await.unwrap()[0].referring.as_deref(), Some("JANSEN^A"));
    }

    #[tokio::test]
    async fn what_is_there_is_named_and_what_is_not_too() {
        let registrar = registrar();
        registrar.add_device(ct1(None), NOW).await.unwrap();
        let again = registrar.add_device(ct1(None), NOW).await.unwrap_err();
        assert_eq!(again.to_string(), "device already exists");
        registrar.add_user("a", Role::Admin, None, NOW).await.unwrap();
        assert_eq!(
            registrar.add_user("a", Role::Admin, None, NOW).await.unwrap_err().to_string(),
            "user already exists"
        );
        assert_eq!(registrar.new_code("b", NOW).await.unwrap_err().to_string(), "user not found");
        assert_eq!(registrar.remove_user("b").await.unwrap_err().to_string(), "user not found");
        assert_eq!(registrar.revoke_token("b").await.unwrap_err().to_string(), "token not found");
        assert_eq!(registrar.device(&"MR1".parse().unwrap()).await.unwrap_err().to_string(), "device not found");
    }

    #[tokio::test]
    async fn an_address_is_a_host_and_a_port() {
        let registrar = registrar();
        for address in ["", "host", "host:", ":104", "host:0", "host:65536", "host:+1", "a b:104", "[::1:104", "a..b:1"]
        {
            let refused = registrar.add_device(ct1(Some(address)), NOW).await;
            assert!(matches!(refused, Err(RegistrarError::Address)), "{address:?}");
        }
        for address in ["10.0.0.7:104", "ct1.example:11112", "[fd00::1]:104"] {
            registrar.add_device(ct1(Some(address)), NOW).await.unwrap();
            assert_eq!(registrar.devices().await.unwrap()[0].address.as_deref(), Some(address));
            registrar.remove_device(&"CT1".parse().unwrap()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_record_holds_what_was_returned() {
        let registrar = registrar();
        let enrolled = registrar.add_device(ct1(None), NOW).await.unwrap();
        let ae = "CT1".parse().unwrap();
        assert_eq!(registrar.device(&ae).await.unwrap(), enrolled.device);
        assert_eq!(enrolled.device.created_at, NOW.replace_nanosecond(0).unwrap(), "whole seconds");
        assert_eq!(enrolled.device.expires_at, enrolled.device.created_at + time::Duration::days(730));
        assert_eq!(enrolled.device.key_fingerprint.len(), 64);
        assert!(enrolled.key_pem.unwrap().contains("BEGIN PRIVATE KEY"));
    }

    #[tokio::test]
    async fn one_key_is_one_device() {
        let registrar = registrar();
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let new = |ae: &str| NewDevice {
            ae: ae.parse().unwrap(),
            rights: DeviceRights::default(),
            address: None,
            key: DeviceKey::Request(csr.clone()),
        };
        let enrolled = registrar.add_device(new("CT1"), NOW).await.unwrap();
        assert!(enrolled.key_pem.is_none());
        assert_eq!(registrar.add_device(new("CT2"), NOW).await.unwrap_err().to_string(), "key already exists");
    }

    #[tokio::test]
    async fn a_token_lives_between_a_second_and_a_year() {
        let registrar = registrar();
        for life in [Duration::ZERO, Duration::from_millis(999), TOKEN_LIFE_MAX + Duration::from_secs(1), Duration::MAX]
        {
            let refused = registrar.create_token("a", Role::Admin, None, life, NOW).await;
            assert!(matches!(refused, Err(RegistrarError::TokenLife)), "{life:?}");
        }
        let new = registrar.create_token("a", Role::Admin, None, TOKEN_LIFE, NOW).await.unwrap();
        assert_eq!(registrar.tokens().await.unwrap()[0].expires_at, new.expires_at);
    }
}
