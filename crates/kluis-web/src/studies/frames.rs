//! WADO-RS: frames as stored (PS3.18 10.4.1.1.6, 8.7.3.3).
//!
//! Native frames are `application/octet-stream` in little endian; from a big endian data set the numbers are turned
//! around where that is certain (OB, or OW with 8 or 16 bits), else the answer is 406. Compressed frames are the bytes
//! of their fragments, as the media type of their transfer syntax; as `application/octet-stream` only for those who name
//! the transfer syntax or take any.

use std::{collections::BTreeSet, sync::Arc};

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use http::Response;
use kluis_archive::{Disclosed, Holding, InstanceReader};
use kluis_dicom::{
    Tag, VR,
    frames::{FrameError, FrameTable},
    part10::{Event, Outline, Value},
    transfer_syntax::{self, PixelEncoding},
};
use kluis_dicomweb::{
    accept::{Framing, Offer},
    frame_list,
};

use super::{
    holding, instance_url,
    parts::{self, Part, Parts, Plan},
    retrieve::{etag, is_known},
    swap,
};
use crate::{call::Call, errors::WebError};

const OCTETS: &str = "application/octet-stream";
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);

pub(crate) async fn frames(call: Call) -> Result<Response<Body>, WebError> {
    let holding = Arc::new(holding(&call).await?);
    let plan = plan(&call, &holding).await;
    parts::answer(&call, holding, plan).await
}

async fn plan(call: &Call, holding: &Disclosed<Holding>) -> Result<Plan, WebError> {
    let numbers = frame_list::parse(call.capture("frames")).map_err(|error| WebError::BadRequest(error.to_string()))?;
    let instance = holding.instances.first().ok_or(WebError::NotFound)?;
    let offers = offers(instance.transfer_syntax.as_str(), numbers.len());
    let offer = call.choose(&offers)?.clone();
    let list: Vec<String> = numbers.iter().map(u32::to_string).collect();
    let tag = etag(&instance.digest, offer.framing, &format!("{}-{}", offer.media_type, list.join(".")));
    let tag = (tag.len() <= 512).then_some(tag);
    if let Some(tag) = tag.clone().filter(|tag| is_known(call, tag)) {
        return Ok(Plan::Known(tag));
    }
    let reader = Arc::new(call.archive().open_instance(holding, instance).await?);
    let table = reader.frames().map_err(|error| frame_error(&error))?;
    let width = swap_width(reader.outline())?;
    let url = instance_url(&call.public_origin(), &instance.ids);
    let parts = frame_parts(reader, table, numbers, &offer, url, width)?;
    Ok(Plan::Parts { framing: offer.framing, media_type: offer.media_type, parts, tag })
}

/// In which forms frames of this transfer syntax can be had.
fn offers(stored: &str, count: usize) -> Vec<Offer> {
    let syntax = transfer_syntax::lookup(stored);
    let mut offers = Vec::new();
    match syntax.map(|syntax| (syntax.pixels, syntax.media_type)) {
        Some((PixelEncoding::Encapsulated, media_type)) => {
            for media_type in media_type.into_iter().filter(|media_type| *media_type != OCTETS) {
                offers.push(Offer::multipart(media_type).in_syntax(stored, true));
                offers.push(Offer::single(media_type).in_syntax(stored, true));
            }
            offers.push(Offer::multipart(OCTETS).in_syntax(stored, false));
            offers.push(Offer::single(OCTETS).in_syntax(stored, false));
        }
        // uncompressed frames are the same bytes in all syntaxes; the one named is always the explicit one (H08)
        _ => {
            let explicit = transfer_syntax::EXPLICIT_LITTLE_ENDIAN;
            offers.push(Offer::multipart(OCTETS).in_syntax(explicit, true));
            offers.push(Offer::single(OCTETS).in_syntax(explicit, true));
        }
    }
    offers.retain(|offer| offer.framing == Framing::Multipart || count == 1);
    offers
}

/// All frames are looked at before the answer begins, each once however often it is asked for; where they are is looked
/// up again when their turn comes, as a frame may be in very many pieces.
fn frame_parts(
    reader: Arc<InstanceReader>,
    table: FrameTable,
    numbers: Vec<u32>,
    offer: &Offer,
    url: String,
    width: usize,
) -> Result<Parts, WebError> {
    for number in numbers.iter().collect::<BTreeSet<_>>() {
        let ranges = table.frame(*number).map_err(|error| frame_error(&error))?;
        let is_whole = ranges.iter().all(|range| (range.end.saturating_sub(range.start)).is_multiple_of(width as u64));
        if !is_whole {
            return Err(big_endian());
        }
    }
    let content_type = match &offer.transfer_syntax {
        Some(syntax) => format!("{}; transfer-syntax={syntax}", offer.media_type),
        None => offer.media_type.to_owned(),
    };
    let parts = stream::iter(numbers).map(move |number| {
        let ranges = table.frame(number).map_err(|error| frame_error(&error))?;
        let length = ranges.iter().try_fold(0_u64, |sum, range| sum.checked_add(range.end.checked_sub(range.start)?));
        Ok(Part {
            content_type: content_type.clone(),
            location: format!("{url}/frames/{number}"),
            length,
            body: swap::swap(reader.ranges(ranges), width),
        })
    });
    Ok(parts.boxed())
}

/// How many bytes of native big endian pixel data belong to one number; 1 where nothing is to be turned around.
fn swap_width(outline: &Outline) -> Result<usize, WebError> {
    if !outline.header.is_big_endian() {
        return Ok(1);
    }
    let (mut vr, mut bits, mut depth) = (None, None, 0_u32);
    for event in outline.header.events() {
        match event {
            Event::SequenceStart { .. } => depth += 1,
            Event::SequenceEnd => depth = depth.saturating_sub(1),
            Event::Element { tag, vr: found, value } if depth == 0 => match (tag, value) {
                (PIXEL_DATA, _) => vr = Some(found),
                (BITS_ALLOCATED, Value::Inline(&[high, low])) => bits = Some(u16::from_be_bytes([high, low])),
                _ => {}
            },
            _ => {}
        }
    }
    match (vr, bits) {
        (Some(VR::OB), _) => Ok(1),
        (Some(VR::OW), Some(8 | 16)) => Ok(2),
        _ => Err(big_endian()),
    }
}

fn big_endian() -> WebError {
    WebError::NotAcceptable("the pixel data is stored in big endian and cannot be had in little endian".to_owned())
}

fn frame_error(error: &FrameError) -> WebError {
    match error {
        FrameError::NoSuchFrame { .. } | FrameError::NoPixelData => WebError::NotFound,
        other => WebError::NotAcceptable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use kluis_dicomweb::accept::Accept;

    use super::*;

    #[test]
    fn h08_h17_h19_h27_offers() {
        let viewer = "multipart/related; type=application/octet-stream; transfer-syntax=*";
        for (stored, count, accept, expected) in [
            ("1.2.840.10008.1.2", 1, viewer, Some((Framing::Multipart, OCTETS, "1.2.840.10008.1.2.1"))),
            ("1.2.840.10008.1.2", 1, OCTETS, Some((Framing::Single, OCTETS, "1.2.840.10008.1.2.1"))),
            ("1.2.840.10008.1.2", 2, OCTETS, None),
            ("1.2.840.10008.1.2.1", 1, "*/*", Some((Framing::Multipart, OCTETS, "1.2.840.10008.1.2.1"))),
            ("1.2.840.10008.1.2.4.90", 1, viewer, Some((Framing::Multipart, OCTETS, "1.2.840.10008.1.2.4.90"))),
            ("1.2.840.10008.1.2.4.90", 1, "image/jp2", Some((Framing::Single, "image/jp2", "1.2.840.10008.1.2.4.90"))),
            ("1.2.840.10008.1.2.4.90", 1, "*/*", Some((Framing::Multipart, "image/jp2", "1.2.840.10008.1.2.4.90"))),
            ("1.2.840.10008.1.2.4.90", 1, OCTETS, None),
            ("1.2.840.10008.1.2.4.90", 1, "image/jpeg", None),
        ] {
            let offers = offers(stored, count);
            let accept_read = Accept::parse(Some(accept), None).unwrap();
            let chosen = accept_read.choose(&offers);
            let chosen =
                chosen.map(|offer| (offer.framing, offer.media_type, offer.transfer_syntax.as_deref().unwrap_or("")));
            assert_eq!(chosen, expected, "{stored} {count} {accept}");
        }
    }
}
