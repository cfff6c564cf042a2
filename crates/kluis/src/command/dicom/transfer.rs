//! `kluis dicom move` (PS3.7 9.1.4): a peer sends to another one.

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use kluis_dicom::Phi;
use kluis_dimse::{
    command::{Counts, Status},
    requestor::{Answer, Progress},
};
use serde_json::{Value, json};

use super::{
    connect::{Peer, encoding, plain_offer},
    hex, keys,
};
use crate::{cli::MoveArgs, command::Output, say::say};

pub(super) async fn run(args: &MoveArgs, output: &Output) -> Result<bool> {
    let peer = Peer::new(&args.connect)?;
    let keys = keys::retrieval(&args.keys, args.level, args.model)?;
    let destination = args.to.parse().context("the destination is no AE title")?;
    let class = args.model.move_class()?;
    let mut link = peer.associate(vec![plain_offer(class)?], Vec::new()).await?;
    let context = link.context_of(&class.parse()?)?;
    let (syntax, encoding) = encoding(&link, context)?;
    let mut moving = link.transfer(context, &destination, &keys.write(encoding)).await?;
    let bar = bar(output);
    let ended = loop {
        match moving.next().await? {
            Progress::Pending(counts) => show(&bar, counts),
            Progress::End { answer, counts, failed } => break (answer, counts, failed),
        }
    };
    bar.finish_and_clear();
    link.release().await?;
    let (answer, counts, failed) = ended;
    Ok(print(&answer, counts, failed_uids(&syntax, failed), output))
}

/// How far sub-operations are; not shown beside JSON.
pub(super) fn bar(output: &Output) -> ProgressBar {
    if output.is_json() { ProgressBar::hidden() } else { ProgressBar::new(0) }
}

/// Shows the counters.
pub(super) fn show(bar: &ProgressBar, counts: Counts) {
    let done = [counts.completed, counts.failed, counts.warning].into_iter().map(u64::from).sum::<u64>();
    bar.set_length(done.saturating_add(u64::from(counts.remaining)));
    bar.set_position(done);
}

/// The SOP Instance UIDs of an identifier's failed list.
pub(super) fn failed_uids(syntax: &kluis_dicom::Uid, failed: Option<Phi<Vec<u8>>>) -> Value {
    let attributes = failed.and_then(|bytes| keys::to_json(syntax, &bytes).ok()).unwrap_or_default();
    attributes.get("00080058").and_then(|list| list.get("Value")).cloned().unwrap_or_else(|| json!([]))
}

/// Prints what came of it; whether all of it was well.
pub(super) fn print(answer: &Answer, counts: Counts, failed: Value, output: &Output) -> bool {
    let Counts { completed, failed: failed_count, warning, .. } = counts;
    let document = json!({ "status": hex(answer.status), "comment": answer.comment, "completed": completed,
        "failed": failed_count, "warning": warning, "failed_instances": failed });
    output.print(&document, || {
        for uid in failed.as_array().into_iter().flatten().filter_map(Value::as_str) {
            say!("failed   {uid}");
        }
        let comment = answer.comment.as_deref().unwrap_or_default();
        say!(
            "{completed} completed, {failed_count} failed, {warning} with a warning; {} {comment}",
            hex(answer.status)
        );
    });
    !answer.status.is_failure() && answer.status != Status::CANCEL && failed_count == 0
}
