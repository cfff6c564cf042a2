//! Verification service class, provider (PS3.4 Annex A).

use kluis_archive::{Archive, Origin, act};
use kluis_dimse::{Outcome, command::Status};
use kluis_policy::Principal;

use crate::status;

/// C-ECHO.
pub(crate) async fn echo(archive: &Archive, principal: &Principal, origin: Origin) -> Outcome {
    match archive.admit(principal, origin, act::Echo).await {
        Ok(permit) => {
            permit.finish(kluis_archive::Outcome::Done);
            Status::SUCCESS.into()
        }
        Err(refused) => status::refused(&refused),
    }
}
