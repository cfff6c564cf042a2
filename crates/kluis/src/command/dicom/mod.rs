//! `kluis dicom …`: uses the services of any DICOM peer, over TLS unless told otherwise. Needs no data directory.

mod commit;
mod connect;
mod echo;
mod find;
mod get;
mod keys;
mod object;
mod send;
mod transfer;

use std::sync::Arc;

use anyhow::Result;
use kluis_dicom::part10::Outline;

use crate::{
    cli::DicomCommand,
    command::{Output, sources::Source, zip_shelf::ZipShelf},
};

/// Runs the subcommand; `false` where something could not be done.
pub(crate) async fn run(command: &DicomCommand, output: &Output) -> Result<bool> {
    match command {
        DicomCommand::Echo(args) => echo::run(args, output).await,
        DicomCommand::Send(args) => send::run(args, output).await,
        DicomCommand::Find(args) => find::run(args, output).await,
        DicomCommand::Move(args) => transfer::run(args, output).await,
        DicomCommand::Get(args) => get::run(args, output).await,
        DicomCommand::Commit(args) => commit::run(args, output).await,
    }
}

/// What the gate learns of a file.
pub(super) async fn outline_of(source: &Source, shelf: &Arc<ZipShelf>) -> Result<Outline> {
    Ok(object::outline(source, shelf).await?.0)
}

/// Four hexadecimal digits, as the standard writes a status.
fn hex(status: kluis_dimse::command::Status) -> String {
    format!("{:04X}H", status.0)
}
