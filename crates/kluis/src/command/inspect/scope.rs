//! `kluis inspect scope`

use std::{fs, path::Path};

use kluis_inspect::{
    InspectError, clock,
    scope::{Scope, SigningKey, sign, write_key_pair},
};
use serde_json::json;

use super::key;
use crate::{cli::ScopeCommand, command::Output, say::say};

/// Makes a key, signs or checks a scope.
pub(super) fn run(command: &ScopeCommand, output: &Output) -> Result<(), InspectError> {
    match command {
        ScopeCommand::Key { name, out } => make_key(name, out, output),
        ScopeCommand::Sign { scope, key } => {
            let note = sign(scope, &SigningKey::read(key)?, clock::now())?;
            output.print(&json!({ "note": note }), || say!("{}", note.display()));
            Ok(())
        }
        ScopeCommand::Check { scope, key: given } => {
            let scope = Scope::open(scope, key(given.as_deref())?.as_ref(), clock::now())?;
            let file = scope.file();
            let document = json!({
                "owner": file.owner,
                "authority": file.authority,
                "signer": scope.signer(),
                "valid_until": file.valid_until.unix_timestamp(),
                "hosts": scope.hosts_count(),
                "ports": file.ports,
                "connects_per_s": file.care.connects_per_s,
                "open_now": scope.hours().are_open(clock::now()),
            });
            output.print(&document, || {
                say!("{} by {}, until {}", file.owner, file.authority, file.valid_until);
                say!(
                    "{} hosts, ports {:?}, {} connections a second",
                    scope.hosts_count(),
                    file.ports,
                    file.care.connects_per_s
                );
            });
            Ok(())
        }
    }
}

fn make_key(name: &str, out: &Path, output: &Output) -> Result<(), InspectError> {
    let failed = |source| InspectError::File { act: "make", path: out.to_owned(), source };
    fs::create_dir_all(out).map_err(failed)?;
    let key = write_key_pair(name, out)?;
    output.print(&json!({ "key": key }), || say!("{key}"));
    Ok(())
}
