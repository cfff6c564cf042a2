//! Performed procedure steps of devices: made and changed, durable before the answer (PS3.4 F.7.2).

use kluis_dicom::{
    Uid,
    performed_step::{NewStep, StepChange},
};
use kluis_index::{StepChanged, StepMade};
use kluis_keys::ObjectId;

use crate::{Archive, ArchiveError, Outcome, Permit, act::PerformStep};

/// Why a step was not made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerformError {
    /// There is one of this SOP Instance UID.
    #[error("there is a performed step of this SOP Instance UID")]
    Exists,
    /// There is no such step of this device: another's is none.
    #[error("there is no such performed step")]
    NotFound,
    /// It was completed or discontinued.
    #[error("the performed step may no longer be updated")]
    Ended,
    /// There is no room for it, or it is too long.
    #[error("there is no room for the performed step")]
    Full,
    /// The stores failed.
    #[error(transparent)]
    Archive(ArchiveError),
}

impl<E: Into<ArchiveError>> From<E> for PerformError {
    fn from(error: E) -> Self {
        Self::Archive(error.into())
    }
}

impl Archive {
    /// Makes a performed step under this UID, or under one that is made here. The entries of the worklist that it performs
    /// are started.
    ///
    /// # Errors
    /// [`PerformError`].
    pub async fn make_step(
        &self,
        mut permit: Permit<PerformStep>,
        uid: Option<Uid>,
        step: NewStep,
    ) -> Result<Uid, PerformError> {
        self.turn(&mut permit, &step.study);
        let made = async {
            if !self.inner.settings.floor.has_room() {
                return Err(PerformError::Full);
            }
            permit.make_durable().await?;
            let uid = uid.map_or_else(new_uid, Ok)?;
            let sender = permit.principal().label();
            match self.inner.worklist.make_step(&uid, step, &sender, self.inner.clock.now()).await? {
                StepMade::Done => Ok(uid),
                StepMade::Exists => Err(PerformError::Exists),
                StepMade::TooMany | StepMade::TooLong => Err(PerformError::Full),
            }
        };
        let made = made.await;
        close(permit, &made);
        made
    }

    /// Changes a step that is in progress and that the same device made. The entries of the worklist that it performs follow.
    ///
    /// # Errors
    /// [`PerformError`].
    pub async fn change_step(
        &self,
        mut permit: Permit<PerformStep>,
        uid: &Uid,
        change: StepChange,
    ) -> Result<(), PerformError> {
        let changed = async {
            let sender = permit.principal().label();
            let study = self.inner.worklist.step_study(uid, &sender).await?.ok_or(PerformError::NotFound)?;
            self.turn(&mut permit, &study);
            permit.make_durable().await?;
            match self.inner.worklist.change_step(uid, change, &sender, self.inner.clock.now()).await? {
                StepChanged::Done => Ok(()),
                StepChanged::Absent => Err(PerformError::NotFound),
                StepChanged::Ended(_) => Err(PerformError::Ended),
                StepChanged::TooLong => Err(PerformError::Full),
            }
        };
        let changed = changed.await;
        close(permit, &changed);
        changed
    }
}

fn close<T>(permit: Permit<PerformStep>, result: &Result<T, PerformError>) {
    permit.finish(match result {
        Ok(_) => Outcome::Done,
        Err(PerformError::NotFound) => Outcome::Absent,
        Err(_) => Outcome::Failed,
    });
}

/// A UID of a random UUID (PS3.5 B.2; RFC 9562, version 4).
fn new_uid() -> Result<Uid, PerformError> {
    let random = u128::from_be_bytes(ObjectId::random().0);
    let uuid = random & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    format!("2.25.{uuid}").parse().map_err(|_| PerformError::Archive(ArchiveError::Record))
}
