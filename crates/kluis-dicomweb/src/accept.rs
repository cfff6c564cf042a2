//! Content negotiation: Accept header and `accept` parameter against what can be served (PS3.18 8.7).

use crate::{
    limits,
    media_type::{MediaType, split_outside_quotes},
};

/// What the client accepts, in its own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    ranges: Vec<MediaRange>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct MediaRange {
    media: MediaType,
    /// Quality in thousandths.
    quality: u16,
}

/// What is accepted cannot be told; answer 406 (PS3.18 8.7.5, 8.7.8.1), or 400 where it contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// No Accept header, which PS3.18 8.7.5 requires wherever the answer has a payload.
    #[error("the request has no Accept header")]
    Missing,
    /// The header or parameter holds no readable media type.
    #[error("the Accept header or parameter names no media type")]
    Unreadable,
    /// The header or parameter is longer than [`limits::ACCEPT_BYTES`] or names more than [`limits::ACCEPT_RANGES`].
    #[error("the Accept header or parameter is too long")]
    TooLong,
    /// DICOM and rendered media types stand side by side: 400 (PS3.18 8.7.5).
    #[error("the Accept header or parameter names both DICOM and rendered media types")]
    Mixed,
}

/// One representation that can be served. A list of these is in the server's order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// How the payload is framed.
    pub framing: Framing,
    /// The media type of the payload or of each part, without parameters.
    pub media_type: &'static str,
    /// The transfer syntax of the payload, for types that carry one.
    pub transfer_syntax: Option<String>,
    /// Whether a range without `transfer-syntax` means this syntax (PS3.18 8.7.3.5.2). Compressed frames are not what
    /// one who asks for plain `application/octet-stream` expects, so they are offered there only by name or by `*`.
    pub is_default_syntax: bool,
}

/// How a payload is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One representation is the whole payload.
    Single,
    /// `multipart/related` (PS3.18 8.6.1.2).
    Multipart,
}

impl Offer {
    /// A single-part offer without transfer syntax.
    #[must_use]
    pub fn single(media_type: &'static str) -> Self {
        Self { framing: Framing::Single, media_type, transfer_syntax: None, is_default_syntax: true }
    }

    /// A multipart offer without transfer syntax.
    #[must_use]
    pub fn multipart(media_type: &'static str) -> Self {
        Self { framing: Framing::Multipart, media_type, transfer_syntax: None, is_default_syntax: true }
    }

    /// The same offer in a transfer syntax.
    #[must_use]
    pub fn in_syntax(mut self, uid: &str, is_default: bool) -> Self {
        self.transfer_syntax = Some(uid.to_owned());
        self.is_default_syntax = is_default;
        self
    }
}

impl Accept {
    /// Reads the header and, where present, the decoded `accept` parameter, which has priority (PS3.18 8.3.3.1). The
    /// header must be there all the same. Several header fields are joined with `,` before.
    ///
    /// # Errors
    /// [`AcceptError`]; [`AcceptError::Mixed`] is a 400, all others are a 406.
    pub fn parse(header: Option<&str>, parameter: Option<&str>) -> Result<Self, AcceptError> {
        let header = header.ok_or(AcceptError::Missing)?;
        let text = parameter.unwrap_or(header);
        if text.len() > limits::ACCEPT_BYTES {
            return Err(AcceptError::TooLong);
        }
        let pieces = split_outside_quotes(text, b',');
        if pieces.len() > limits::ACCEPT_RANGES {
            return Err(AcceptError::TooLong);
        }
        // a range that cannot be read does not spoil its neighbours
        let ranges: Vec<MediaRange> = pieces.into_iter().filter_map(MediaRange::parse).collect();
        if ranges.is_empty() {
            return Err(AcceptError::Unreadable);
        }
        let names = |category| ranges.iter().any(|range| range.quality > 0 && range.media.category() == Some(category));
        if names(Category::Dicom) && names(Category::Rendered) {
            return Err(AcceptError::Mixed);
        }
        Ok(Self { ranges })
    }

    /// The offer with the highest quality; among equals the first offered. `None` is a 406.
    #[must_use]
    pub fn choose<'o>(&self, offers: &'o [Offer]) -> Option<&'o Offer> {
        let mut best: Option<(u16, &Offer)> = None;
        for offer in offers {
            let quality = self.quality(offer);
            if quality > 0 && best.is_none_or(|(so_far, _)| quality > so_far) {
                best = Some((quality, offer));
            }
        }
        best.map(|(_, offer)| offer)
    }

    /// Whether a plain media type such as `text/html` is named by itself, wildcards aside.
    #[must_use]
    pub fn names(&self, essence: &str) -> bool {
        self.ranges.iter().any(|range| range.quality > 0 && range.media.is(essence))
    }

    /// The quality of the most specific range that covers the offer; 0 where none does.
    fn quality(&self, offer: &Offer) -> u16 {
        let mut best = (0_u8, 0_u16);
        for range in &self.ranges {
            let Some(specificity) = range.specificity(offer) else { continue };
            if specificity > best.0 || (specificity == best.0 && range.quality > best.1) {
                best = (specificity, range.quality);
            }
        }
        best.1
    }
}

/// The two kinds of media types that exclude each other in one request (PS3.18 8.7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    /// PS3.18 8.7.3
    Dicom,
    /// PS3.18 8.7.4
    Rendered,
}

impl MediaType {
    /// `None` for wildcards, for types of both kinds (`image/jpeg`, `video/mp4`, and `application/pdf` and `text/xml`,
    /// which are those of bulk data too) and of neither. Plain text is left out:
    /// HTTP libraries name it beside whatever else is asked for.
    fn category(&self) -> Option<Category> {
        match (self.top.as_str(), self.sub.as_str()) {
            ("application", "dicom" | "dicom+json" | "dicom+xml" | "octet-stream") | ("multipart", "related") => {
                Some(Category::Dicom)
            }
            ("image", "gif" | "png") | ("text", "html" | "rtf") => Some(Category::Rendered),
            _ => None,
        }
    }
}

impl MediaRange {
    fn parse(text: &str) -> Option<Self> {
        let mut media = MediaType::parse(text)?;
        let quality = match media.parameter("q") {
            None => 1000,
            Some(value) => parse_quality(value)?,
        };
        media.parameters.retain(|(name, _)| name != "q");
        Some(Self { media, quality })
    }

    /// How closely the range fits the offer, from 1 (`*/*`); `None` where it does not.
    fn specificity(&self, offer: &Offer) -> Option<u8> {
        let is_any = self.media.top == "*" && self.media.sub == "*";
        let mut specificity = match offer.framing {
            _ if is_any => 1,
            Framing::Single => essence_fit(&self.media.top, &self.media.sub, offer.media_type)?,
            Framing::Multipart => {
                let framing_fit = essence_fit(&self.media.top, &self.media.sub, "multipart/related")?;
                match self.media.parameter("type") {
                    None => framing_fit,
                    Some(part_type) => {
                        let part = MediaType::parse(part_type)?;
                        framing_fit + essence_fit(&part.top, &part.sub, offer.media_type)?
                    }
                }
            }
        };
        match (self.media.parameter("transfer-syntax"), &offer.transfer_syntax) {
            (None, Some(_)) if !is_any && !offer.is_default_syntax => return None,
            (None, _) => {}
            (Some("*"), _) => specificity += 1,
            (Some(wanted), Some(syntax)) if wanted == syntax => specificity += 2,
            // JSON and text have no transfer syntax: the parameter says nothing about them
            (Some(_), None) => {}
            (Some(_), Some(_)) => return None,
        }
        Some(specificity)
    }
}

/// 1 for `*/*`, 2 for `image/*`, 3 for the type itself or one of its former names.
fn essence_fit(top: &str, sub: &str, offered: &str) -> Option<u8> {
    let (offered_top, offered_sub) = offered.split_once('/')?;
    match (top, sub) {
        ("*", "*") => Some(1),
        (_, "*") if top == offered_top => Some(2),
        _ if top == offered_top && (sub == offered_sub || current_name(top, sub) == Some(offered)) => Some(3),
        _ => None,
    }
}

/// The names of media types that earlier editions used (PS3.18 8.7.3.3.2, notes).
fn current_name(top: &str, sub: &str) -> Option<&'static str> {
    if top != "image" {
        return None;
    }
    match sub {
        "dicom+jpeg" | "jpg" | "jll" | "dicom+jpeg-ls-lossless" => Some("image/jpeg"),
        "x-jls" | "dicom+jls" | "dicom+jpeg-ls" => Some("image/jls"),
        "dicom+jp2" | "jpeg2000" => Some("image/jp2"),
        "dicom+jpx" => Some("image/jpx"),
        "x-dicom-rle" | "dicom+rle" | "x-dicom+rle" => Some("image/dicom-rle"),
        "dicom+jphc" => Some("image/jphc"),
        _ => None,
    }
}

fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";
    const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

    fn instance() -> Vec<Offer> {
        vec![
            Offer::multipart("application/dicom").in_syntax(EXPLICIT, true),
            Offer::single("application/dicom").in_syntax(EXPLICIT, true),
        ]
    }

    fn compressed_frame() -> Vec<Offer> {
        vec![
            Offer::multipart("image/jp2").in_syntax(JPEG_2000, true),
            Offer::single("image/jp2").in_syntax(JPEG_2000, true),
            Offer::multipart("application/octet-stream").in_syntax(JPEG_2000, false),
            Offer::single("application/octet-stream").in_syntax(JPEG_2000, false),
        ]
    }

    fn chosen(accept: &str, offers: &[Offer]) -> Option<usize> {
        let accept = Accept::parse(Some(accept), None).unwrap();
        let offer = accept.choose(offers)?;
        offers.iter().position(|candidate| candidate == offer)
    }

    #[test]
    fn instances_are_negotiated() {
        for (accept, expected) in [
            ("*/*", Some(0)),
            ("multipart/related; type=\"application/dicom\"", Some(0)),
            ("multipart/related; type=application/dicom; transfer-syntax=*", Some(0)),
            ("multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.1", Some(0)),
            ("multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.4.50", None),
            ("multipart/related", Some(0)),
            ("multipart/*", Some(0)),
            ("application/dicom", Some(1)),
            ("application/dicom; transfer-syntax=*", Some(1)),
            ("application/*", Some(1)),
            ("application/dicom, */*;q=0.1", Some(1)),
            ("application/dicom;q=0.1, multipart/related;type=\"application/dicom\";q=0.9", Some(0)),
            ("application/dicom;q=0", None),
            ("*/*, multipart/related;type=\"application/dicom\";q=0", Some(1)),
            ("application/dicom+json", None),
            ("multipart/related; type=\"application/octet-stream\"", None),
            ("text/html", None),
        ] {
            assert_eq!(chosen(accept, &instance()), expected, "{accept}");
        }
    }

    #[test]
    fn h19_h27_h28_frames_are_negotiated() {
        for (accept, expected) in [
            ("multipart/related; type=application/octet-stream; transfer-syntax=*", Some(2)),
            ("multipart/related; type=\"application/octet-stream\"", None),
            ("application/octet-stream", None),
            ("application/octet-stream; transfer-syntax=*", Some(3)),
            ("multipart/related; type=\"image/jp2\"", Some(0)),
            ("multipart/related; type=\"image/dicom+jp2\"", Some(0)),
            ("multipart/related; type=\"image/*\"", Some(0)),
            ("image/jp2", Some(1)),
            ("multipart/related; type=\"image/jpeg\"", None),
            ("*/*", Some(0)),
        ] {
            assert_eq!(chosen(accept, &compressed_frame()), expected, "{accept}");
        }
    }

    #[test]
    fn f01_header_is_required_and_f07_parameter_has_priority() {
        assert_eq!(Accept::parse(None, Some("application/dicom")), Err(AcceptError::Missing));
        let accept = Accept::parse(Some("*/*"), Some("application/dicom")).unwrap();
        assert_eq!(accept.choose(&instance()).unwrap().framing, Framing::Single);
    }

    #[test]
    fn f13_dicom_and_rendered_types_exclude_each_other() {
        for (accept, is_mixed) in [
            ("application/dicom, image/png", true),
            ("multipart/related; type=\"application/dicom\", text/html;q=0.1", true),
            ("application/dicom+json, image/gif", true),
            ("application/octet-stream, application/pdf", false),
            ("application/dicom, image/png;q=0", false),
            ("application/dicom, image/jpeg", false),
            ("application/dicom+json, application/json, text/plain, */*", false),
            ("text/html, image/png, */*;q=0.8", false),
        ] {
            let is_refused = Accept::parse(Some(accept), None) == Err(AcceptError::Mixed);
            assert_eq!(is_refused, is_mixed, "{accept}");
        }
    }

    #[test]
    fn f04_bad_ranges_do_not_spoil_good_ones() {
        assert_eq!(chosen("nonsense, application/dicom;q=7, application/dicom", &instance()), Some(1));
        assert_eq!(Accept::parse(Some("nonsense"), None), Err(AcceptError::Unreadable));
        assert_eq!(Accept::parse(Some(&"a/b,".repeat(100)), None), Err(AcceptError::TooLong));
    }
}
