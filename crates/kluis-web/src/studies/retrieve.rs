//! WADO-RS: studies, series and instances as DICOM files, in the transfer syntax in which they are stored
//! (PS3.18 10.4.1.1.1).

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Response, header};
use kluis_archive::{Archive, Disclosed, Holding, Instance};
use kluis_dicomweb::accept::{Framing, Offer};

use super::{
    holding, instance_url,
    parts::{self, Part, Parts, Plan},
};
use crate::{call::Call, errors::WebError};

/// The media type of a DICOM file.
const DICOM: &str = "application/dicom";

pub(crate) async fn retrieve(call: Call) -> Result<Response<Body>, WebError> {
    let holding = Arc::new(holding(&call).await?);
    let plan = plan(&call, &holding);
    parts::answer(&call, holding, plan).await
}

fn plan(call: &Call, holding: &Arc<Disclosed<Holding>>) -> Result<Plan, WebError> {
    let framing = choose(call, holding)?;
    let is_instance = !call.capture("instance").is_empty();
    let tag =
        is_instance.then(|| holding.instances.first().map(|instance| etag(&instance.digest, framing, ""))).flatten();
    if let Some(tag) = tag.clone().filter(|tag| is_known(call, tag)) {
        return Ok(Plan::Known(tag));
    }
    let parts = files(call.archive().clone(), Arc::clone(holding), call.public_origin());
    Ok(Plan::Parts { framing, media_type: DICOM, parts, tag })
}

/// Every instance must be acceptable as it is stored; the framing is that of the first.
fn choose(call: &Call, holding: &Holding) -> Result<Framing, WebError> {
    let mut framing = None;
    let mut seen: Vec<&str> = Vec::new();
    for instance in &holding.instances {
        let syntax = instance.transfer_syntax.as_str();
        if seen.contains(&syntax) {
            continue;
        }
        seen.push(syntax);
        let mut offers = vec![Offer::multipart(DICOM).in_syntax(syntax, true)];
        if holding.instances.len() == 1 {
            offers.push(Offer::single(DICOM).in_syntax(syntax, true));
        }
        let chosen = call.choose(&offers)?.framing;
        framing = framing.or(Some(chosen));
    }
    framing.ok_or(WebError::NotFound)
}

/// The instances as files, opened one after the other.
fn files(archive: Archive, holding: Arc<Disclosed<Holding>>, origin: String) -> Parts {
    let count = holding.instances.len();
    stream::iter(0..count)
        .then(move |index| {
            let (archive, holding, origin) = (archive.clone(), Arc::clone(&holding), origin.clone());
            async move {
                let instance = holding.instances.get(index).ok_or(WebError::NotFound)?;
                file(&archive, &holding, instance, &origin).await
            }
        })
        .boxed()
}

async fn file(
    archive: &Archive,
    holding: &Disclosed<Holding>,
    instance: &Instance,
    origin: &str,
) -> Result<Part, WebError> {
    let reader = archive.open_instance(holding, instance).await?;
    let file_meta = Bytes::from(reader.file_meta());
    let length = (file_meta.len() as u64).checked_add(reader.data_set_length());
    let body = stream::iter([Ok(file_meta)]).chain(reader.data_set()).boxed();
    Ok(Part {
        content_type: format!("{DICOM}; transfer-syntax={}", instance.transfer_syntax),
        location: instance_url(origin, &instance.ids),
        length,
        body,
    })
}

/// A strong validator: what is stored under these UIDs never changes, so the digest and the form are enough.
pub(super) fn etag(digest: &[u8; 32], framing: Framing, form: &str) -> String {
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let framing = match framing {
        Framing::Single => "s",
        Framing::Multipart => "m",
    };
    format!("\"{digest}-{framing}{form}\"")
}

/// Whether the client holds this very answer (F10).
pub(super) fn is_known(call: &Call, tag: &str) -> bool {
    call.header(header::IF_NONE_MATCH).is_some_and(|known| {
        known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    })
}
