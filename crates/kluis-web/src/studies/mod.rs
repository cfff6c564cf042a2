//! `/dicom-web/studies…`: the studies service of PS3.18 10.

pub(crate) mod bulkdata;
pub(crate) mod frames;
pub(crate) mod metadata;
mod parts;
pub(crate) mod retrieve;
pub(crate) mod search;
pub(crate) mod store;
mod swap;

use kluis_archive::{Disclosed, Holding, act};
use kluis_dicom::{Uid, attributes::InstanceIds};
use kluis_policy::Target;

use crate::{call::Call, errors::WebError};

/// Where the services begin.
const ROOT: &str = "/dicom-web";

/// What the path names.
fn target(call: &Call) -> Result<Target, WebError> {
    let optional = |name: &'static str| -> Result<Option<Uid>, WebError> {
        if call.capture(name).is_empty() { Ok(None) } else { call.uid(name).map(Some) }
    };
    Ok(Target { study: call.uid("study")?, series: optional("series")?, instance: optional("instance")? })
}

/// Asks the gate for what the path names.
async fn holding(call: &Call) -> Result<Disclosed<Holding>, WebError> {
    let target = target(call)?;
    let permit = call.admit(act::Retrieve { target }).await?;
    Ok(call.archive().holding(permit).await?)
}

fn study_url(origin: &str, study: &Uid) -> String {
    format!("{origin}{ROOT}/studies/{study}")
}

fn series_url(origin: &str, study: &Uid, series: &Uid) -> String {
    format!("{origin}{ROOT}/studies/{study}/series/{series}")
}

fn instance_url(origin: &str, ids: &InstanceIds) -> String {
    format!("{origin}{ROOT}/studies/{}/series/{}/instances/{}", ids.study, ids.series, ids.sop_instance)
}
