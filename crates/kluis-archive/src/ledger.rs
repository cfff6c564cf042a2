//! The files of the two logs, for the roles that may read them.

use kluis_policy::LogName;

use crate::{Archive, ArchiveError, Disclosed, Outcome, Permit, act::ReadLedger};

impl Archive {
    /// A file of the log as C2SP tlog-tiles names it (`checkpoint`, `tile/…`) or the verifier key (`key`).
    ///
    /// # Errors
    /// [`ArchiveError`] where it cannot be read. `None`: there is no such file.
    pub async fn ledger_file(
        &self,
        permit: Permit<ReadLedger>,
        path: &str,
    ) -> Result<Option<Disclosed<Vec<u8>>>, ArchiveError> {
        let log = match permit.act().log {
            LogName::Objects => &self.inner.objects,
            LogName::Audit => &self.inner.audit,
        };
        let log = std::sync::Arc::clone(log);
        let path = path.to_owned();
        let file = tokio::task::spawn_blocking(move || log.file(&path)).await.map_err(|_| ArchiveError::Stopped)?;
        match file {
            Ok(Some(bytes)) => Ok(Some(permit.disclose(bytes))),
            Ok(None) => {
                permit.finish(Outcome::Absent);
                Ok(None)
            }
            Err(error) => {
                permit.finish(Outcome::Failed);
                Err(error.into())
            }
        }
    }
}
