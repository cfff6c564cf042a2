//! What a node asks of the kernel for its own process.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_dump_is_written() {
        restrict();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }
}
