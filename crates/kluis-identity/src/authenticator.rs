//! Proof to principal. Whoever fails learns that, and nothing more.

use std::{fmt, sync::Arc};

use kluis_dicom::AeTitle;
use kluis_policy::Principal;
use time::OffsetDateTime;

use crate::{
    cache::Cache,
    certificate::ClientCertificate,
    directory::{Directory, DirectoryError},
    limits::{SESSION_IDLE, SESSION_LIFE, SESSION_TOUCH},
    record::{Device, SecretHash, Session, Token, User},
    secret::{Secret, TOKEN_PREFIX, hash_presented},
};

/// Identity is not proved. All failures read alike, outside and in logs; [`NotProved::cause`] is for the audit trail.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("identity is not proved")]
pub struct NotProved(Cause);

/// Why identity is not proved. For the audit trail only, never for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The certificate cannot be read.
    CertificateUnreadable,
    /// The certificate is not valid at this time.
    CertificateExpired,
    /// No device has this key.
    UnknownKey,
    /// The calling AE title is not the one bound to the key.
    AeNotBound,
    /// The enrolment of the device ended.
    DeviceExpired,
    /// No such token, session or code.
    UnknownSecret,
    /// The token, session or code ended.
    SecretExpired,
    /// The session lay idle for too long.
    SessionIdle,
    /// The directory could not be asked.
    DirectoryUnavailable,
}

impl NotProved {
    /// Why, for the audit trail.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.0
    }
}

impl fmt::Debug for NotProved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotProved")
    }
}

impl From<DirectoryError> for NotProved {
    fn from(_: DirectoryError) -> Self {
        Self(Cause::DirectoryUnavailable)
    }
}

/// A session that has just begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The value of the session cookie.
    pub cookie: Secret,
    /// Who it is.
    pub principal: Principal,
    /// When it ends at the latest.
    pub expires_at: OffsetDateTime,
}

/// Turns proof into a principal. A removal takes effect within 5 s (threat T28): ask again before each message.
pub struct Authenticator {
    directory: Arc<dyn Directory>,
    devices: Cache<String, Device>,
    tokens: Cache<SecretHash, Token>,
    sessions: Cache<SecretHash, (Session, User)>,
}

impl Authenticator {
    /// An authenticator over a directory.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self { directory, devices: Cache::new(), tokens: Cache::new(), sessions: Cache::new() }
    }

    /// The device that showed this certificate (DER; TLS has already checked that our authority signed it and that the
    /// peer holds its key) and calls itself by this AE title. Cheap enough to be asked before every message.
    ///
    /// # Errors
    /// [`NotProved`] unless the key is enrolled, the certificate and the enrolment are valid now, and the AE title is the
    /// one bound to the key.
    pub async fn device(
        &self,
        certificate_der: &[u8],
        calling_ae: &AeTitle,
        now: OffsetDateTime,
    ) -> Result<Principal, NotProved> {
        let certificate = ClientCertificate::read(certificate_der).ok_or(NotProved(Cause::CertificateUnreadable))?;
        if now < certificate.not_before || now > certificate.not_after {
            return Err(NotProved(Cause::CertificateExpired));
        }
        let key = certificate.key_fingerprint;
        let device = match self.devices.get(&key, now) {
            Some(device) => device,
            None => {
                let device = self.directory.device_by_key(&key).await?.ok_or(NotProved(Cause::UnknownKey))?;
                self.devices.put(key, device.clone(), now);
                device
            }
        };
        if now >= device.expires_at {
            return Err(NotProved(Cause::DeviceExpired));
        }
        if device.ae != *calling_ae {
            return Err(NotProved(Cause::AeNotBound));
        }
        let Device { ae, key_fingerprint, rights, .. } = device;
        Ok(Principal::Device { ae: ae.into(), key_fingerprint, rights })
    }

    /// The enrolled device with this AE title. `None` where there is none or its enrolment has ended.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub async fn enrolled(&self, ae: &AeTitle, now: OffsetDateTime) -> Result<Option<Device>, DirectoryError> {
        let device = self.directory.device(ae).await?;
        Ok(device.filter(|device| now < device.expires_at))
    }

    /// The enrolled device with this AE title, to be called where it listens. `None` where there is none, its enrolment has
    /// ended, or nobody has said where it listens: for whoever asks these are alike.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub async fn destination(&self, ae: &AeTitle, now: OffsetDateTime) -> Result<Option<Device>, DirectoryError> {
        Ok(self.enrolled(ae, now).await?.filter(|device| device.address.is_some()))
    }

    /// The program that holds this bearer token.
    ///
    /// # Errors
    /// [`NotProved`] unless the token is known and has not ended.
    pub async fn bearer(&self, token: &str, now: OffsetDateTime) -> Result<Principal, NotProved> {
        let hash = hash_presented(token, TOKEN_PREFIX).ok_or(NotProved(Cause::UnknownSecret))?;
        let token = match self.tokens.get(&hash, now) {
            Some(token) => token,
            None => {
                let token = self.directory.token(hash).await?.ok_or(NotProved(Cause::UnknownSecret))?;
                self.tokens.put(hash, token.clone(), now);
                token
            }
        };
        if now >= token.expires_at {
            return Err(NotProved(Cause::SecretExpired));
        }
        Ok(Principal::Service { name: token.name, role: token.role, referring: token.referring })
    }

    /// The person whose browser sent this session cookie.
    ///
    /// # Errors
    /// [`NotProved`] unless the session is known, younger than 12 h and was used within the last hour.
    pub async fn session(&self, cookie: &str, now: OffsetDateTime) -> Result<Principal, NotProved> {
        let hash = hash_presented(cookie, "").ok_or(NotProved(Cause::UnknownSecret))?;
        let (session, user) = match self.sessions.get(&hash, now) {
            Some(found) => found,
            None => {
                let found = self.directory.session(hash).await?.ok_or(NotProved(Cause::UnknownSecret))?;
                self.sessions.put(hash, found.clone(), now);
                found
            }
        };
        if now >= session.expires_at {
            return Err(NotProved(Cause::SecretExpired));
        }
        let idle = now - session.last_seen_at;
        if idle >= SESSION_IDLE {
            return Err(NotProved(Cause::SessionIdle));
        }
        if idle >= SESSION_TOUCH {
            // should this fail, the session only ends sooner
            let _ = self.directory.touch_session(hash, now.replace_nanosecond(0).unwrap_or(now)).await;
            self.sessions.remove(&hash);
        }
        Ok(person(user))
    }

    /// Begins a session for the person who was given this enrolment code. A code works once.
    ///
    /// # Errors
    /// [`NotProved`] unless the code is known, unused and has not ended.
    pub async fn redeem(&self, code: &str, now: OffsetDateTime) -> Result<NewSession, NotProved> {
        let hash = hash_presented(code, "").ok_or(NotProved(Cause::UnknownSecret))?;
        let (code, user) = self.directory.take_code(hash).await?.ok_or(NotProved(Cause::UnknownSecret))?;
        if now >= code.expires_at {
            return Err(NotProved(Cause::SecretExpired));
        }
        let (cookie, hash) = Secret::generate("").map_err(|_| NotProved(Cause::DirectoryUnavailable))?;
        let created_at = now.replace_nanosecond(0).unwrap_or(now);
        let expires_at = created_at + SESSION_LIFE;
        let session = Session { hash, user: user.name.clone(), created_at, expires_at, last_seen_at: created_at };
        self.directory.add_session(&session).await?;
        Ok(NewSession { cookie, principal: person(user), expires_at })
    }

    /// Ends a session, at once. One that is unknown is no error: it has ended.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`].
    pub async fn sign_out(&self, cookie: &str) -> Result<(), DirectoryError> {
        let Some(hash) = hash_presented(cookie, "") else { return Ok(()) };
        self.directory.remove_session(hash).await?;
        self.sessions.remove(&hash);
        Ok(())
    }

    /// Forgets what was remembered, so that a removal that has just been made holds at once.
    pub fn forget(&self) {
        self.devices.clear();
        self.tokens.clear();
        self.sessions.clear();
    }
}

fn person(user: User) -> Principal {
    Principal::Person { name: user.name, role: user.role, referring: user.referring }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::Ordering, time::Duration};

    use kluis_policy::{DeviceRights, Role};

    use super::*;
    use crate::{
        CertificateAuthority, DeviceKey, EnrolledDevice, NewDevice, Registrar,
        limits::{CACHE_LIFE, CODE_LIFE, TOKEN_LIFE},
        testing::MemoryDirectory,
    };

    const NOW: OffsetDateTime = time::macros::datetime!(2026-03-01 08:00 UTC);
    const SOON: Duration = CACHE_LIFE;

    struct House {
        directory: Arc<MemoryDirectory>,
        registrar: Registrar,
        authenticator: Authenticator,
        authority: Arc<CertificateAuthority>,
    }

    fn house() -> House {
        let directory = Arc::new(MemoryDirectory::default());
        let authority = Arc::new(CertificateAuthority::create(NOW).unwrap());
        House {
            registrar: Registrar::new(directory.clone(), authority.clone()),
            authenticator: Authenticator::new(directory.clone()),
            authority,
            directory,
        }
    }

    async fn enrol(house: &House, ae: &str) -> (EnrolledDevice, Vec<u8>) {
        let new = NewDevice {
            ae: ae.parse().unwrap(),
            rights: DeviceRights::default(),
            address: None,
            key: DeviceKey::Issue,
        };
        let enrolled = house.registrar.add_device(new, NOW).await.unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(enrolled.certificate_pem.as_bytes()).unwrap();
        (enrolled, pem.contents)
    }

    fn cause<T: fmt::Debug>(result: Result<T, NotProved>) -> Cause {
        let error = result.unwrap_err();
        assert_eq!(format!("{error} {error:?}"), "identity is not proved NotProved", "all failures look alike");
        error.cause()
    }

    #[tokio::test]
    async fn a_device_is_its_key_and_not_its_title() {
        let house = house();
        let (one, one_der) = enrol(&house, "CT1").await;
        let (_, other_der) = enrol(&house, "MR1").await;
        let ct1 = "CT1".parse().unwrap();
        let auth = &house.authenticator;

        let principal = auth.device(&one_der, &ct1, NOW).await.unwrap();
        let expected = Principal::Device {
            ae: "CT1".into(),
            key_fingerprint: one.device.key_fingerprint.clone(),
            rights: DeviceRights::default(),
        };
        assert_eq!(principal, expected);

        assert_eq!(cause(auth.device(&other_der, &ct1, NOW).await), Cause::AeNotBound);
        // same authority, right title, key that nobody enrolled
        let stranger = house.authority.issue_device(&ct1, NOW).unwrap();
        assert_eq!(cause(auth.device(&stranger.certificate, &ct1, NOW).await), Cause::UnknownKey);
        assert_eq!(cause(auth.device(b"", &ct1, NOW).await), Cause::CertificateUnreadable);
        let mut longer = one_der.clone();
        longer.push(0);
        assert_eq!(cause(auth.device(&longer, &ct1, NOW).await), Cause::CertificateUnreadable);
    }

    #[tokio::test]
    async fn a_device_ends_with_its_certificate() {
        let house = house();
        let (enrolled, der) = enrol(&house, "CT1").await;
        let ae = enrolled.device.ae.clone();
        let end = enrolled.device.expires_at;
        let auth = &house.authenticator;
        assert!(auth.device(&der, &ae, end - Duration::from_secs(1)).await.is_ok());
        assert_eq!(cause(auth.device(&der, &ae, end).await), Cause::DeviceExpired);
        assert_eq!(cause(auth.device(&der, &ae, end + Duration::from_secs(1)).await), Cause::CertificateExpired);
        assert_eq!(cause(auth.device(&der, &ae, NOW - Duration::from_secs(7200)).await), Cause::CertificateExpired);
    }

    #[tokio::test]
    async fn removal_takes_effect_within_five_seconds() {
        assert!(CACHE_LIFE < Duration::from_secs(5));
        let house = house();
        let (enrolled, der) = enrol(&house, "CT1").await;
        let ae = enrolled.device.ae.clone();
        let token = house.registrar.create_token("ci", Role::Uploader, None, TOKEN_LIFE, NOW).await.unwrap();
        let code = house.registrar.add_user("jansen", Role::Admin, None, NOW).await.unwrap();
        let auth = &house.authenticator;
        let session = auth.redeem(code.code.as_str(), NOW).await.unwrap();

        assert!(auth.device(&der, &ae, NOW).await.is_ok());
        assert!(auth.bearer(token.token.as_str(), NOW).await.is_ok());
        assert!(auth.session(session.cookie.as_str(), NOW).await.is_ok());
        house.registrar.remove_device(&ae).await.unwrap();
        house.registrar.revoke_token("ci").await.unwrap();
        house.registrar.remove_user("jansen").await.unwrap();

        let later = NOW + SOON;
        assert_eq!(cause(auth.device(&der, &ae, later).await), Cause::UnknownKey);
        assert_eq!(cause(auth.bearer(token.token.as_str(), later).await), Cause::UnknownSecret);
        assert_eq!(cause(auth.session(session.cookie.as_str(), later).await), Cause::UnknownSecret);
    }

    #[tokio::test]
    async fn forgetting_makes_a_removal_hold_at_once() {
        let house = house();
        let (enrolled, der) = enrol(&house, "CT1").await;
        let ae = enrolled.device.ae.clone();
        assert!(house.authenticator.device(&der, &ae, NOW).await.is_ok());
        house.registrar.remove_device(&ae).await.unwrap();
        house.authenticator.forget();
        assert_eq!(cause(house.authenticator.device(&der, &ae, NOW).await), Cause::UnknownKey);
    }

    #[tokio::test]
    async fn a_token_works_until_its_last_second() {
        let house = house();
        let new = house
            .registrar
            .create_token("viewer", Role::Referrer, Some("JANSEN^A"), Duration::from_secs(60), NOW)
            .await
            .unwrap();
        let auth = &house.authenticator;
        let expected =
            Principal::Service { name: "viewer".into(), role: Role::Referrer, referring: Some("JANSEN^A".into()) };
        assert!(new.token.as_str().starts_with("kluis_"));
        assert_eq!(auth.bearer(new.token.as_str(), NOW + Duration::from_secs(59)).await.unwrap(), expected);
        assert_eq!(cause(auth.bearer(new.token.as_str(), NOW + Duration::from_secs(60)).await), Cause::SecretExpired);
        let reads = house.directory.reads.load(Ordering::SeqCst);
        for wrong in ["", "kluis_", "admin", "Bearer", &new.token.as_str()[1..]] {
            assert_eq!(cause(auth.bearer(wrong, NOW).await), Cause::UnknownSecret);
        }
        assert_eq!(house.directory.reads.load(Ordering::SeqCst), reads, "nonsense costs no look-up");
    }

    #[tokio::test]
    async fn a_token_is_no_session_and_a_session_is_no_token() {
        let house = house();
        let token = house.registrar.create_token("ci", Role::Admin, None, TOKEN_LIFE, NOW).await.unwrap();
        let code = house.registrar.add_user("jansen", Role::Admin, None, NOW).await.unwrap();
        let auth = &house.authenticator;
        let session = auth.redeem(code.code.as_str(), NOW).await.unwrap();
        assert!(auth.session(token.token.as_str(), NOW).await.is_err());
        assert!(auth.session(&token.token.as_str()[6..], NOW).await.is_err());
        assert!(auth.bearer(session.cookie.as_str(), NOW).await.is_err());
        assert!(auth.bearer(&format!("kluis_{}", session.cookie.as_str()), NOW).await.is_err());
    }

    #[tokio::test]
    async fn a_code_works_once_and_for_a_day() {
        let house = house();
        let first = house.registrar.add_user("jansen", Role::Radiologist, None, NOW).await.unwrap();
        let second = house.registrar.new_code("jansen", NOW).await.unwrap();
        let auth = &house.authenticator;
        assert_eq!(cause(auth.redeem(first.code.as_str(), NOW).await), Cause::UnknownSecret, "replaced");
        let session = auth.redeem(second.code.as_str(), NOW).await.unwrap();
        assert_eq!(
            session.principal,
            Principal::Person { name: "jansen".into(), role: Role::Radiologist, referring: None }
        );
        assert_eq!(cause(auth.redeem(second.code.as_str(), NOW).await), Cause::UnknownSecret, "used");
        let third = house.registrar.new_code("jansen", NOW).await.unwrap();
        assert_eq!(cause(auth.redeem(third.code.as_str(), NOW + CODE_LIFE).await), Cause::SecretExpired);
        assert_eq!(cause(auth.redeem(third.code.as_str(), NOW).await), Cause::UnknownSecret, "an expired one is gone");
    }

    #[tokio::test]
    async fn a_session_ends_after_an_hour_idle_and_after_half_a_day_in_use() {
        let house = house();
        let code = house.registrar.add_user("jansen", Role::Admin, None, NOW).await.unwrap();
        let auth = &house.authenticator;
        let busy = auth.redeem(code.code.as_str(), NOW).await.unwrap();
        let code = house.registrar.new_code("jansen", NOW).await.unwrap();
        let idle = auth.redeem(code.code.as_str(), NOW).await.unwrap();

        let minute = Duration::from_secs(60);
        for minutes in 0..720 {
            let now = NOW + minute * minutes;
            assert!(auth.session(busy.cookie.as_str(), now).await.is_ok(), "after {minutes} minutes");
        }
        assert_eq!(cause(auth.session(busy.cookie.as_str(), NOW + minute * 720).await), Cause::SecretExpired);
        assert!(auth.session(idle.cookie.as_str(), NOW + minute * 59).await.is_ok());
        assert_eq!(cause(auth.session(idle.cookie.as_str(), NOW + minute * 119).await), Cause::SessionIdle);
    }

    #[tokio::test]
    async fn signing_out_ends_a_session_at_once() {
        let house = house();
        let code = house.registrar.add_user("jansen", Role::Admin, None, NOW).await.unwrap();
        let auth = &house.authenticator;
        let session = auth.redeem(code.code.as_str(), NOW).await.unwrap();
        assert!(auth.session(session.cookie.as_str(), NOW).await.is_ok());
        auth.sign_out(session.cookie.as_str()).await.unwrap();
        auth.sign_out("nonsense").await.unwrap();
        assert_eq!(cause(auth.session(session.cookie.as_str(), NOW).await), Cause::UnknownSecret);
    }

    #[tokio::test]
    async fn no_secret_reaches_the_directory() {
        let house = house();
        let (enrolled, _) = enrol(&house, "CT1").await;
        let token = house.registrar.create_token("ci", Role::Admin, None, TOKEN_LIFE, NOW).await.unwrap();
        let code = house.registrar.add_user("jansen", Role::Admin, None, NOW).await.unwrap();
        let session = house.authenticator.redeem(code.code.as_str(), NOW).await.unwrap();
        let kept = house.directory.dump();
        assert!(kept.contains("CT1"));
        for secret in [&token.token, &code.code, &session.cookie] {
            assert!(!kept.contains(secret.as_str()));
        }
        let key = enrolled.key_pem.unwrap();
        assert!(!kept.contains(key.lines().nth(1).unwrap()));
        assert!(!kept.contains("PRIVATE KEY"));
    }

    #[tokio::test]
    async fn without_a_directory_nobody_is_anybody() {
        let house = house();
        let (enrolled, der) = enrol(&house, "CT1").await;
        let token = house.registrar.create_token("ci", Role::Admin, None, TOKEN_LIFE, NOW).await.unwrap();
        house.directory.is_down.store(true, Ordering::SeqCst);
        let auth = &house.authenticator;
        assert_eq!(cause(auth.device(&der, &enrolled.device.ae, NOW).await), Cause::DirectoryUnavailable);
        assert_eq!(cause(auth.bearer(token.token.as_str(), NOW).await), Cause::DirectoryUnavailable);
    }
}
