//! The gate: the only way to a [`Permit`], and with it to any patient data.
//!
//! Neither [`Permit`] nor [`Disclosed`] can be made outside this crate:
//!
//! ```compile_fail
//! use kluis_archive::{Disclosed, act};
//! let forged = Disclosed { value: 1, entry: None };
//! ```
//!
//! ```compile_fail
//! use kluis_archive::{Permit, act};
//! let forged = Permit::<act::Echo> { act: act::Echo };
//! ```

use std::{net::IpAddr, ops::Deref};

use kluis_dicom::Uid;
use kluis_policy::{Decision, Denial, Door, Facts, Operation, Principal, Role, RowFilter, decide};

use crate::{
    Archive, ArchiveError, STUDY_KEY,
    act::Act,
    trail::{Entry, Outcome, Subject},
};

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The way in.
    pub door: Door,
    /// The address of the peer; none at the control socket.
    pub peer: Option<IpAddr>,
}

/// The gate said no, or could not write the audit entry: then nothing is done either.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The policy denies it.
    #[error("not permitted")]
    Denied(Denial),
    /// The audit entry could not be opened, or the facts not be read.
    #[error(transparent)]
    Unavailable(#[from] ArchiveError),
}

/// The right to perform one act once. Dropped unfinished it is recorded as interrupted.
#[must_use = "a permit that is dropped counts as an interrupted act"]
pub struct Permit<A: Act> {
    act: A,
    principal: Principal,
    origin: Origin,
    rows: RowFilter,
    entry: Entry,
}

impl<A: Act> Permit<A> {
    /// What is permitted.
    pub fn act(&self) -> &A {
        &self.act
    }

    /// To whom.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Closes the audit entry.
    pub fn finish(self, outcome: Outcome) {
        self.entry.close(outcome);
    }

    /// From here on the audit entry is about this subject: what the act is about was not known before.
    pub(crate) fn turn_to(&mut self, subject: Subject) {
        self.entry.turn_to(subject);
    }

    /// Makes the begin of the audit entry durable, where it was not from the start.
    pub(crate) async fn make_durable(&self) -> Result<(), ArchiveError> {
        self.entry.make_durable(self.origin.peer).await
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn rows(&self) -> &RowFilter {
        &self.rows
    }

    pub(crate) fn disclose<T>(self, value: T) -> Disclosed<T> {
        Disclosed { value, entry: Some(self.entry) }
    }
}

/// Data that a permit has released. The edges encode nothing else.
///
/// Its audit entry stays open until [`Disclosed::complete`], so that an answer that broke off counts as interrupted.
pub struct Disclosed<T> {
    value: T,
    entry: Option<Entry>,
}

impl<T> Disclosed<T> {
    /// The whole answer has left.
    pub fn complete(mut self) {
        if let Some(entry) = self.entry.take() {
            entry.close(Outcome::Done);
        }
    }

    /// Reading it failed.
    pub fn fail(mut self) {
        if let Some(entry) = self.entry.take() {
            entry.close(Outcome::Failed);
        }
    }
}

impl<T> Deref for Disclosed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Archive {
    /// Admits an act or refuses it. The audit entry is open when this returns; for acts that disclose it is durable.
    ///
    /// # Errors
    /// [`Refused::Denied`] where the policy says no; [`Refused::Unavailable`] where facts or trail cannot be had.
    pub async fn admit<A: Act>(&self, principal: &Principal, origin: Origin, act: A) -> Result<Permit<A>, Refused> {
        let operation = act.operation();
        let facts = self.facts(principal, &operation).await?;
        let decision = decide(principal, &operation, &facts);
        let is_allowed = matches!(decision, Decision::Allowed(_));
        let must_be_durable = is_allowed && act.discloses();
        let subject = self.subject(principal, origin.door, &operation, operation.study());
        let entry = self.inner.trail.open(subject, origin.peer, must_be_durable).await?;
        match decision {
            Decision::Allowed(rows) => Ok(Permit { act, principal: principal.clone(), origin, rows, entry }),
            Decision::Denied(denial) => {
                entry.close(Outcome::Denied);
                Err(Refused::Denied(denial))
            }
        }
    }

    /// Whether the policy would allow an act that names no study: so that a page does not offer what it would refuse. It
    /// permits nothing.
    #[must_use]
    pub fn would_allow(principal: &Principal, operation: &Operation) -> bool {
        matches!(decide(principal, operation, &Facts::default()), Decision::Allowed(_))
    }

    /// Records that someone came without proof. Counted per door and address, so that a flood makes few entries.
    ///
    /// # Errors
    /// [`ArchiveError`] where the trail cannot be written.
    pub async fn note_unproved(&self, origin: Origin, act: &'static str) -> Result<(), ArchiveError> {
        let (principal, unproved_from) = (None, origin.peer);
        let subject = Subject { principal, unproved_from, door: origin.door, act, study: None, destination: None };
        self.inner.trail.open(subject, origin.peer, false).await?.close(Outcome::Denied);
        Ok(())
    }

    pub(crate) fn subject(
        &self,
        principal: &Principal,
        door: Door,
        operation: &Operation,
        study: Option<&Uid>,
    ) -> Subject {
        Subject {
            principal: Some(principal.label()),
            unproved_from: None,
            door,
            act: operation.name(),
            study: study.map(|uid| self.inner.keys.key_id(STUDY_KEY, uid.as_str().as_bytes())),
            destination: operation.destination().cloned(),
        }
    }

    /// Looks up what the decision depends on, and nothing more.
    async fn facts(&self, principal: &Principal, operation: &Operation) -> Result<Facts, ArchiveError> {
        if principal.role() != Some(Role::Referrer) {
            return Ok(Facts::default());
        }
        let Operation::Retrieve { target } = operation else {
            return Ok(Facts::default());
        };
        let study = self.inner.index.study(&target.study).await?;
        Ok(Facts { study_referring: study.map(|row| row.referring) })
    }
}
