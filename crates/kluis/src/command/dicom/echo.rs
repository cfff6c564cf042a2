//! `kluis dicom echo` (PS3.7 9.1.5).

use std::time::Instant;

use anyhow::Result;
use kluis_dimse::command::Status;
use serde_json::json;

use super::{
    connect::{Peer, plain_offer},
    hex,
};
use crate::{cli::EchoArgs, command::Output, say::say};

const VERIFICATION: &str = "1.2.840.10008.1.1";

pub(super) async fn run(args: &EchoArgs, output: &Output) -> Result<bool> {
    let peer = Peer::new(&args.connect)?;
    let mut link = peer.associate(vec![plain_offer(VERIFICATION)?], Vec::new()).await?;
    let context = link.context_of(&VERIFICATION.parse()?)?;
    let (mut times, mut status) = (Vec::new(), Status::SUCCESS);
    for _ in 0..args.count.max(1) {
        let begun = Instant::now();
        status = link.echo(context).await?.status;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        if status != Status::SUCCESS {
            break;
        }
    }
    let told = link.peer().clone();
    link.release().await?;
    let document = json!({
        "status": hex(status),
        "milliseconds": times.iter().map(|time| (time * 1e3).round() / 1e3).collect::<Vec<_>>(),
        "implementation_class_uid": told.implementation_class_uid.as_ref().map(|uid| uid.as_str()),
        "implementation_version": told.implementation_version,
        "maximum_length": told.maximum_length,
    });
    output.print(&document, || {
        for time in &times {
            say!("{} answers {} after {time:.1} ms", args.connect.peer, hex(status));
        }
        if let Some(name) = &told.implementation_version {
            say!("implementation {name}");
        }
    });
    Ok(status == Status::SUCCESS)
}
