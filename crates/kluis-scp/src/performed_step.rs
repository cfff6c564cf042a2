//! Modality Performed Procedure Step, provider of N-CREATE and N-SET (PS3.4 F.7.2). Durable before the answer.

use kluis_archive::{Archive, Origin, Outcome as Ended, PerformError, Permit, act};
use kluis_dicom::{
    Phi, Tag, Uid,
    part10::Source,
    performed_step::{NewStep, StepChange, StepError},
    worklist::{self, EntryError},
};
use kluis_dimse::{
    NormalizedRequest, NormalizedResponse, Outcome,
    command::{CommandField, Status},
};
use kluis_policy::Principal;
use serde_json::{Map, Value};

use crate::status::{self, told};

/// The SOP class.
pub(crate) const PERFORMED_STEP: &str = "1.2.840.10008.3.1.2.3.3";

/// Error ID: the step may no longer be updated (PS3.4 Table F.7.2-2).
const MAY_NO_LONGER_BE_UPDATED: u16 = 0xA710;

/// Answers a request.
pub(crate) async fn answer(
    archive: &Archive,
    principal: &Principal,
    origin: Origin,
    request: NormalizedRequest,
) -> NormalizedResponse {
    // the gate comes first: who may not do this learns nothing from what is wrong with the attributes
    let permit = match archive.admit(principal, origin, act::PerformStep).await {
        Ok(permit) => permit,
        Err(refused) => return status::refused(&refused).into(),
    };
    let attributes = match attributes(&request.transfer_syntax, request.data_set.as_ref()) {
        Ok(attributes) => attributes,
        Err(outcome) => {
            permit.finish(Ended::Failed);
            return outcome.into();
        }
    };
    match (request.operation, request.sop_instance) {
        (CommandField::N_CREATE_RQ, uid) => create(archive, permit, uid, attributes).await,
        (CommandField::N_SET_RQ, Some(uid)) => set(archive, permit, &uid, attributes).await,
        _ => {
            permit.finish(Ended::Failed);
            Status::UNRECOGNIZED_OPERATION.into()
        }
    }
}

async fn create(
    archive: &Archive,
    permit: Permit<act::PerformStep>,
    uid: Option<Uid>,
    attributes: Map<String, Value>,
) -> NormalizedResponse {
    let step = match NewStep::new(attributes) {
        Ok(step) => step,
        Err(error) => {
            permit.finish(Ended::Failed);
            return wrong(error);
        }
    };
    match archive.make_step(permit, uid, step).await {
        Ok(uid) => NormalizedResponse { sop_instance: Some(uid), ..Status::SUCCESS.into() },
        Err(error) => failure(&error),
    }
}

async fn set(
    archive: &Archive,
    permit: Permit<act::PerformStep>,
    uid: &Uid,
    attributes: Map<String, Value>,
) -> NormalizedResponse {
    let change = match StepChange::new(attributes) {
        Ok(change) => change,
        Err(error) => {
            permit.finish(Ended::Failed);
            return wrong(error);
        }
    };
    let ignored = change.ignored.clone();
    match archive.change_step(permit, uid, change).await {
        Ok(()) if ignored.is_empty() => Status::SUCCESS.into(),
        Ok(()) => NormalizedResponse { offending: ignored, ..Status::ATTRIBUTE_LIST_ERROR.into() },
        Err(error) => failure(&error),
    }
}

fn attributes(transfer_syntax: &Uid, data_set: Option<&Phi<Vec<u8>>>) -> Result<Map<String, Value>, Outcome> {
    let Some(data_set) = data_set else { return Ok(Map::new()) };
    let source = Source::DataSet { transfer_syntax: transfer_syntax.clone() };
    worklist::read(source, data_set).map_err(|error| match error {
        EntryError::TooLong(_) | EntryError::TooMany => told(Status::RESOURCE_LIMITATION, error.to_string()),
        other => told(Status::PROCESSING_FAILURE, other.to_string()),
    })
}

fn wrong(error: StepError) -> NormalizedResponse {
    let of = |status, tag: Tag| NormalizedResponse { offending: vec![tag], ..told(status, error.to_string()).into() };
    match error {
        StepError::Missing(tag) => of(Status::MISSING_ATTRIBUTE, tag),
        StepError::NoValue(tag) => of(Status::MISSING_ATTRIBUTE_VALUE, tag),
        StepError::Invalid(tag) => of(Status::INVALID_ATTRIBUTE_VALUE, tag),
        _ => Status::PROCESSING_FAILURE.into(),
    }
}

fn failure(error: &PerformError) -> NormalizedResponse {
    match error {
        PerformError::Exists => Status::DUPLICATE_SOP_INSTANCE.into(),
        PerformError::NotFound => Status::NO_SUCH_SOP_INSTANCE.into(),
        PerformError::Ended => {
            let comment = "Performed Procedure Step Object may no longer be updated";
            let error_id = Some(MAY_NO_LONGER_BE_UPDATED);
            NormalizedResponse { error_id, ..told(Status::PROCESSING_FAILURE, comment).into() }
        }
        PerformError::Full => told(Status::RESOURCE_LIMITATION, error.to_string()).into(),
        other => {
            tracing::error!(error = %other, "a performed step was not kept");
            told(Status::PROCESSING_FAILURE, "try again later").into()
        }
    }
}
