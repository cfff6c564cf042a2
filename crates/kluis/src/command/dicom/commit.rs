//! `kluis dicom commit`: asks a peer to take over the responsibility for objects (PS3.4 J.3).

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use kluis_dicom::{Tag, Uid};
use kluis_dimse::{
    command::{CommandField, Status},
    requestor::{EventReport, Failure, Normalized},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    connect::{Link, Peer, encoding, plain_offer},
    hex,
    keys::{self, Keys},
    object::FileObject,
};
use crate::{
    cli::CommitArgs,
    command::{Output, sources::Collected, zip_shelf::ZipShelf},
    say::say,
};

const PUSH_MODEL: &str = "1.2.840.10008.1.20.1";
/// The well-known SOP instance (PS3.4 J.3.5).
const INSTANCE: &str = "1.2.840.10008.1.20.1.1";
const TRANSACTION_UID: Tag = Tag(0x0008, 0x1195);
const REFERENCED_SOP_SEQUENCE: &str = "00081199";
const FAILED_SOP_SEQUENCE: &str = "00081198";

pub(super) async fn run(args: &CommitArgs, output: &Output) -> Result<bool> {
    let peer = Peer::new(&args.connect)?;
    let objects = objects(args).await?;
    ensure!(!objects.is_empty(), "no object is named");
    let mut link = peer.associate(vec![plain_offer(PUSH_MODEL)?], Vec::new()).await?;
    let context = link.context_of(&PUSH_MODEL.parse()?)?;
    let transaction = transaction()?;
    ask(&mut link, context, &transaction, &objects).await?;
    let Some(event) = wait(&mut link, args.wait_s).await? else {
        let document =
            json!({ "transaction": transaction.as_str(), "status": "requested", "committed": [], "failed": [] });
        output.print(&document, || {
            say!("requested as {transaction}; the peer has not answered within {} s", args.wait_s);
        });
        return Ok(false);
    };
    let (syntax, _) = encoding(&link, event.context_id())?;
    let told = event.data_set.as_ref().context("the answer of the peer is empty")?;
    let told = keys::to_json(&syntax, told)?;
    link.release().await?;
    let same = told.get("00081195").and_then(|uid| uid.get("Value")?.get(0)?.as_str()) == Some(transaction.as_str());
    ensure!(same, "the peer answered another transaction");
    let (committed, failed) = (instances(&told, REFERENCED_SOP_SEQUENCE), instances(&told, FAILED_SOP_SEQUENCE));
    let document = json!({ "transaction": transaction.as_str(), "status": "answered", "committed": committed,
        "failed": failed });
    output.print(&document, || {
        for failure in &failed {
            say!("failed   {} ({})", text(failure, "instance"), text(failure, "reason"));
        }
        say!("{} committed, {} failed", committed.len(), failed.len());
    });
    Ok(failed.is_empty() && committed.len() == objects.len())
}

/// SOP class and SOP instance of what is to be committed.
async fn objects(args: &CommitArgs) -> Result<Vec<(Uid, Uid)>> {
    let shelf = Arc::new(ZipShelf::default());
    let collected = Collected::from(&args.paths)?;
    if let Some((path, why)) = collected.failed.first() {
        bail!("{path}: {why}");
    }
    let mut objects = Vec::new();
    for source in collected.sources {
        let name = source.name();
        let object = FileObject::survey(source, &shelf).await.with_context(|| format!("{name} is no DICOM object"))?;
        objects.push((object.sop_class, object.sop_instance));
    }
    Ok(objects)
}

async fn ask(link: &mut Link, context: u8, transaction: &Uid, objects: &[(Uid, Uid)]) -> Result<()> {
    let items: Vec<Value> = objects
        .iter()
        .map(|(class, instance)| {
            json!({ "00081150": { "vr": "UI", "Value": [class.as_str()] },
                "00081155": { "vr": "UI", "Value": [instance.as_str()] } })
        })
        .collect();
    let mut keys = Keys::default();
    keys.set(&[TRANSACTION_UID], transaction.as_str())?;
    keys.0.insert(REFERENCED_SOP_SEQUENCE.to_owned(), json!({ "vr": "SQ", "Value": items }));
    let (_, encoding) = encoding(link, context)?;
    let data_set = keys.write(encoding);
    let action = Normalized {
        field: CommandField::N_ACTION_RQ,
        sop_class: None,
        sop_instance: Some(INSTANCE.parse()?),
        kind: Some(1),
        data_set: Some(&data_set),
    };
    let (answer, _) = link.normalized(context, &action).await?;
    if answer.status != Status::SUCCESS {
        bail!("the peer refused with {} {}", hex(answer.status), answer.comment.unwrap_or_default());
    }
    Ok(())
}

/// The notification on this association; `None` where none came in time. A peer may choose another association for it.
async fn wait(link: &mut Link, seconds: u64) -> Result<Option<EventReport>> {
    match timeout(Duration::from_secs(seconds), link.event()).await {
        Ok(Ok(event)) => Ok(Some(event)),
        Ok(Err(Failure::Closed)) | Err(_) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// A UID of our own making (PS3.5 B.2).
fn transaction() -> Result<Uid> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).ok().context("no random numbers")?;
    Ok(format!("2.25.{}", u128::from_be_bytes(random)).parse()?)
}

fn instances(told: &serde_json::Map<String, Value>, sequence: &str) -> Vec<Value> {
    let items = told.get(sequence).and_then(|attribute| attribute.get("Value")?.as_array());
    let value = |item: &Value, tag: &str| item.get(tag).and_then(|attribute| attribute.get("Value")?.get(0).cloned());
    items
        .into_iter()
        .flatten()
        .map(|item| {
            let reason =
                value(item, "00081197").and_then(|reason| reason.as_u64()).map(|reason| format!("{reason:04X}H"));
            json!({ "instance": value(item, "00081155"), "reason": reason })
        })
        .collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}
