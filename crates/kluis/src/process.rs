//! What a node asks of the kernel for its own process.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A core dump would hold keys and patient data: none is written. Files and connections up to the hard limit may be open.
/// A kernel that refuses is no reason not to start; it is told.
pub(crate) fn restrict() {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, no_core) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    let files = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// How many connections may be open at one time, so that the stores always find files to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) dicom_waiting: usize,
    pub(crate) dicom: usize,
    pub(crate) web_waiting: usize,
    pub(crate) web: usize,
}

/// Files that are not connections: packs, index, logs, objects on their way in.
const FILES_OF_STORES: u64 = 768;

/// With fewer open files than this a node does not start.
const FILES_MIN: u64 = 1_024;

impl Connections {
    /// As shipped.
    pub(crate) const FULL: Self = Self {
        dicom_waiting: kluis_scp::limits::WAITING,
        dicom: kluis_scp::limits::ASSOCIATIONS,
        web_waiting: kluis_web::limits::WAITING,
        web: kluis_web::limits::CONNECTIONS,
    };

    /// As many as the limit of open files of this process allows.
    ///
    /// # Errors
    /// Too few for a node; the sentence says what to do.
    pub(crate) fn allowed() -> Result<Self> {
        Self::within(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
    }

    fn within(files: u64) -> Result<Self> {
        if files < FILES_MIN {
            bail!(
                "this process may open {files} files at most, a node needs {FILES_MIN} and should have {}: raise the \
                 hard limit (`ulimit -Hn`, or LimitNOFILE= in the unit of systemd)",
                Self::FULL.sum() + FILES_OF_STORES
            );
        }
        let left = files - FILES_OF_STORES;
        let full = Self::FULL.sum();
        if left >= full {
            return Ok(Self::FULL);
        }
        let share = |count: usize| {
            let count = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(left) / full;
            usize::try_from(count).unwrap_or(usize::MAX)
        };
        let Self { dicom_waiting, dicom, web_waiting, web } = Self::FULL;
        tracing::warn!(
            files,
            wanted = full + FILES_OF_STORES,
            "few files may be open: fewer connections are taken at one time; raise the hard limit of open files"
        );
        Ok(Self {
            dicom_waiting: share(dicom_waiting),
            dicom: share(dicom),
            web_waiting: share(web_waiting),
            web: share(web),
        })
    }

    fn sum(self) -> u64 {
        let Self { dicom_waiting, dicom, web_waiting, web } = self;
        [dicom_waiting, dicom, web_waiting, web].iter().map(|count| u64::try_from(*count).unwrap_or(u64::MAX)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_dump_is_written() {
        restrict();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }

    #[test]
    fn t14_connections_leave_files_for_the_stores() {
        let few = Connections::within(1_023).unwrap_err().to_string();
        assert!(few.contains("1023") && few.contains("LimitNOFILE"), "{few}");
        for files in [1_024, 2_000, 3_500] {
            let some = Connections::within(files).unwrap();
            assert!(some.sum() + FILES_OF_STORES <= files && some != Connections::FULL, "{files}: {some:?}");
            assert!(some.dicom >= 16 && some.web >= 64, "{files}: {some:?}");
        }
        for files in [Connections::FULL.sum() + FILES_OF_STORES, u64::MAX] {
            assert_eq!(Connections::within(files).unwrap(), Connections::FULL);
        }
    }
}
