//! Tells devices what became of their requests, one request after the other.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use kluis_archive::{Archive, Committed, Origin, PendingCommitment, act};
use kluis_dicom::{AeTitle, Phi, Uid, transfer_syntax};
use kluis_dimse::{
    Notification,
    command::{CommandField, Status},
    pdu::RoleSelection,
    requestor::{Normalized, Offer},
};
use kluis_identity::Device;
use kluis_policy::{DeviceRights, Door, Principal};
use tokio::{
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

use super::{Commitments, INSTANCE, PUSH_MODEL, Report, message, pause};
use crate::{answer, dialer::Dialer, limits};

/// Works until `shutdown` turns true.
pub(crate) async fn serve(
    archive: Archive,
    dialer: Dialer,
    commitments: Arc<Commitments>,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        let is_done = tokio::select! {
            _ = shutdown.wait_for(|is_stopping| *is_stopping) => return,
            is_done = round(&archive, &dialer, &commitments) => is_done,
        };
        if !is_done {
            continue;
        }
        tokio::select! {
            _ = shutdown.wait_for(|is_stopping| *is_stopping) => return,
            () = commitments.new.notified() => {}
            () = sleep(limits::COMMITMENT_LOOK) => {}
        }
    }
}

/// Answers what is due; false where there may be more.
async fn round(archive: &Archive, dialer: &Dialer, commitments: &Commitments) -> bool {
    let pending = match archive.pending_commitments(limits::COMMITMENTS_A_ROUND).await {
        Ok(pending) => pending,
        Err(error) => {
            tracing::error!(%error, "the outbox cannot be read");
            return true;
        }
    };
    let is_last = pending.len() < limits::COMMITMENTS_A_ROUND as usize;
    // a device that hangs keeps few others waiting
    let noted = stream::iter(pending)
        .map(|pending| async move { settle_and_note(archive, dialer, commitments, &pending).await })
        .buffer_unordered(limits::COMMITMENTS_AT_ONCE)
        .collect::<Vec<bool>>()
        .await;
    is_last || noted.contains(&false)
}

/// False where what came of it could not be noted.
async fn settle_and_note(
    archive: &Archive,
    dialer: &Dialer,
    commitments: &Commitments,
    pending: &PendingCommitment,
) -> bool {
    let done = match settle(archive, dialer, commitments, pending).await {
        Settled::Told | Settled::Never => archive.commitment_answered(pending).await,
        Settled::Later => {
            let until = archive.clock().now() + pause(pending.attempts);
            archive.postpone_commitment(pending, until).await
        }
    };
    done.inspect_err(|error| tracing::error!(%error, "the outbox cannot be written")).is_ok()
}

enum Settled {
    /// The device has its answer.
    Told,
    /// It could not be told now.
    Later,
    /// It will not be told: it is no longer enrolled, lost the right, or was not reached for too long.
    Never,
}

async fn settle(archive: &Archive, dialer: &Dialer, commitments: &Commitments, pending: &PendingCommitment) -> Settled {
    let now = archive.clock().now();
    if now - pending.asked_at > limits::COMMITMENT_LIFE {
        tracing::warn!(device = %pending.device, "gave up telling a device what became of a storage commitment");
        return Settled::Never;
    }
    let device = match dialer.authenticator().enrolled(&pending.device, now).await {
        Ok(Some(device)) => device,
        Ok(None) => return Settled::Never,
        Err(_) => return Settled::Later,
    };
    let origin = Origin { door: Door::Dimse, peer: None };
    let permit = match archive.admit(&principal(&device), origin, act::Commit).await {
        Ok(permit) => permit,
        Err(kluis_archive::Refused::Denied(_)) => return Settled::Never,
        Err(_) => return Settled::Later,
    };
    let committed = match archive.answer_commitment(permit, &pending.references).await {
        Ok(committed) => committed,
        Err(error) => {
            tracing::error!(%error, "a storage commitment could not be looked at");
            return Settled::Later;
        }
    };
    let is_told = tell_on_its_association(commitments, dialer.title(), pending, &committed).await
        || tell_on_a_new_association(dialer, &device, pending, &committed).await;
    match is_told {
        true => {
            committed.complete();
            Settled::Told
        }
        false => {
            committed.fail();
            Settled::Later
        }
    }
}

fn principal(device: &Device) -> Principal {
    let rights: DeviceRights = device.rights.clone();
    Principal::Device { ae: device.ae.clone().into(), key_fingerprint: device.key_fingerprint.clone(), rights }
}

async fn tell_on_its_association(
    commitments: &Commitments,
    ae: &AeTitle,
    pending: &PendingCommitment,
    committed: &Committed,
) -> bool {
    let Some((transfer_syntax, reports)) = commitments.of(&pending.device) else { return false };
    let (Some(encoding), Ok(sop_class), Ok(sop_instance)) =
        (answer::encoding(transfer_syntax.as_str()), PUSH_MODEL.parse(), INSTANCE.parse())
    else {
        return false;
    };
    let (event_type, data_set) = message::write(&pending.transaction, committed, ae, encoding);
    let notification = Notification { sop_class, sop_instance, event_type, transfer_syntax, data_set: Phi(data_set) };
    let (answered, answer) = oneshot::channel();
    let told = async {
        reports.send(Report { notification, answered }).await.ok()?;
        answer.await.ok()
    };
    // many devices ask and release at once: then they are called
    matches!(timeout(limits::COMMITMENT_ANSWER, told).await, Ok(Some(Status::SUCCESS)))
}

async fn tell_on_a_new_association(
    dialer: &Dialer,
    device: &Device,
    pending: &PendingCommitment,
    committed: &Committed,
) -> bool {
    if device.address.is_none() {
        return false;
    }
    let syntaxes = [transfer_syntax::EXPLICIT_LITTLE_ENDIAN, transfer_syntax::IMPLICIT_LITTLE_ENDIAN];
    let (Ok(abstract_syntax), Ok(sop_instance)) = (PUSH_MODEL.parse::<Uid>(), INSTANCE.parse::<Uid>()) else {
        return false;
    };
    let transfer_syntaxes = syntaxes.iter().filter_map(|uid| uid.parse().ok()).collect();
    let offer = Offer { abstract_syntax: abstract_syntax.clone(), transfer_syntaxes };
    // we call, and are provider all the same (PS3.4 J.3.3)
    let role = RoleSelection { sop_class: abstract_syntax.clone(), is_scu: false, is_scp: true };
    let told = async {
        let mut association = dialer.call(device, vec![offer], vec![role]).await.map_err(|error| error.to_string())?;
        let context = association.context_of(&abstract_syntax).map_err(|error| error.to_string())?;
        let syntax = association.contexts().get(&context).map(|agreed| agreed.transfer_syntax.clone());
        let encoding = syntax.and_then(|uid| answer::encoding(uid.as_str())).ok_or("no encoding")?;
        let (event_type, data_set) = message::write(&pending.transaction, committed, dialer.title(), encoding);
        let report = Normalized {
            field: CommandField::N_EVENT_REPORT_RQ,
            sop_class: None,
            sop_instance: Some(sop_instance),
            kind: Some(event_type),
            data_set: Some(&data_set),
        };
        let (answer, _) = association.normalized(context, &report).await.map_err(|error| error.to_string())?;
        // it has been told, whatever it answers to the release
        let _ = association.release().await;
        match answer.status {
            Status::SUCCESS => Ok(()),
            status => Err(format!("it answered {:04X}H", status.0)),
        }
    };
    told.await
        .inspect_err(|error: &String| tracing::info!(device = %device.ae, error, "a device could not be told"))
        .is_ok()
}
