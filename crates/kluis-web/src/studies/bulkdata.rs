//! WADO-RS: one bulk value of an instance, where its metadata points to (PS3.18 10.4.1.1.5).

use std::sync::Arc;

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use http::Response;
use kluis_archive::{Disclosed, Holding};
use kluis_dicom::{
    VR,
    part10::{Event, Outline, Value},
};
use kluis_dicomweb::accept::Offer;

use super::{
    holding, instance_url,
    parts::{self, Part, Plan},
    retrieve::{etag, is_known},
    swap,
};
use crate::{call::Call, errors::WebError};

const OCTETS: &str = "application/octet-stream";

pub(crate) async fn bulkdata(call: Call) -> Result<Response<Body>, WebError> {
    let holding = Arc::new(holding(&call).await?);
    let plan = plan(&call, &holding).await;
    parts::answer(&call, holding, plan).await
}

async fn plan(call: &Call, holding: &Disclosed<Holding>) -> Result<Plan, WebError> {
    let index: usize = call.capture("index").parse().map_err(|_| WebError::NotFound)?;
    let instance = holding.instances.first().ok_or(WebError::NotFound)?;
    // one value is one representation, so it comes by itself unless parts are asked for
    let offers = [Offer::single(OCTETS), Offer::multipart(OCTETS)];
    let offer = call.choose(&offers)?;
    let tag = etag(&instance.digest, offer.framing, &format!("b{index}"));
    if is_known(call, &tag) {
        return Ok(Plan::Known(tag));
    }
    let reader = call.archive().open_instance(holding, instance).await?;
    let ranges = reader.bulk_ranges(index).ok_or(WebError::NotFound)?;
    let width = width(reader.outline(), index);
    let part = Part {
        content_type: OCTETS.to_owned(),
        location: format!("{}/bulkdata/{index}", instance_url(&call.public_origin(), &instance.ids)),
        length: ranges.iter().try_fold(0_u64, |sum, range| sum.checked_add(range.end.checked_sub(range.start)?)),
        body: swap::swap(reader.ranges(ranges), width),
    };
    let parts = stream::iter([Ok(part)]).boxed();
    Ok(Plan::Parts { framing: offer.framing, media_type: OCTETS, parts, tag: Some(tag) })
}

/// How many bytes of a big endian value belong to one number; 1 where nothing is to be turned around.
fn width(outline: &Outline, index: usize) -> usize {
    if !outline.header.is_big_endian() {
        return 1;
    }
    let vr = outline.header.events().find_map(|event| match event {
        Event::Element { vr, value: Value::Bulk { index: found, .. }, .. } if found == index => Some(vr),
        _ => None,
    });
    swap::width(vr.unwrap_or(VR::OB))
}
