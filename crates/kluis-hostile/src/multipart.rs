//! Multipart payloads (RFC 2046 5.1, PS3.18 8.6): the same parts whatever the slices, none longer than what came in, and
//! what we write is what we read.

use bytes::Bytes;
use kluis_dicomweb::{
    limits,
    multipart::{Boundary, MultipartError, PartHead, PartHeaders, Reader, Step, Writer},
};

use crate::input::{Input, slices};

/// One part: its headers, its body, and whether its end was seen.
pub(crate) type Part = (PartHeaders, Vec<u8>, bool);

/// Reads a payload in slices, to its end or the first error.
pub(crate) fn read_parts(boundary: &Boundary, slices: &[&[u8]]) -> (Vec<Part>, Result<(), MultipartError>) {
    let mut reader = Reader::new(boundary);
    let mut slices = slices.iter();
    let mut parts: Vec<Part> = Vec::new();
    let mut steps = 0_usize;
    loop {
        steps += 1;
        match reader.step() {
            Err(error) => return (parts, Err(error)),
            Ok(Step::Part(headers)) => parts.push((headers, Vec::new(), false)),
            Ok(Step::Body(bytes)) => {
                assert!(!bytes.is_empty(), "an empty piece of a body");
                let open = parts.last_mut().filter(|(_, _, is_whole)| !is_whole);
                assert!(open.is_some(), "a body without a part");
                if let Some((_, body, _)) = open {
                    body.extend_from_slice(&bytes);
                }
            }
            Ok(Step::PartEnd) => {
                let ended = parts.last_mut().map(|(_, _, is_whole)| std::mem::replace(is_whole, true));
                assert_eq!(ended, Some(false), "a part ends twice");
            }
            Ok(Step::NeedMore) => match slices.next() {
                Some(slice) => reader.push(Bytes::copy_from_slice(slice)),
                None => {
                    reader.end();
                    assert!(steps < 10_000_000, "the reader does not come to an end");
                }
            },
            Ok(Step::Done) => return (parts, Ok(())),
        }
    }
}

/// `boundary line | seed of the slices (4) | payload`
pub fn multipart(data: &[u8]) {
    let mut input = Input(data);
    let line = String::from_utf8_lossy(input.line()).into_owned();
    let Ok(boundary) = Boundary::new(&line) else { return };
    let seed = input.long();
    let payload = input.0;
    let (parts, end) = read_parts(&boundary, &[payload]);
    let (sliced, sliced_end) = read_parts(&boundary, &slices(seed, payload));
    match (end, sliced_end) {
        // how much of a part that never ends was handed on depends on the slices
        (Err(a), Err(b)) => {
            assert_eq!(std::mem::discriminant(&a), std::mem::discriminant(&b), "slices fail otherwise: {a:?}, {b:?}");
            let whole = |parts: &[Part]| -> Vec<Part> { parts.iter().filter(|part| part.2).cloned().collect() };
            assert_eq!(whole(&parts), whole(&sliced), "slices make other parts");
        }
        (a, b) => {
            assert_eq!(a, b, "slices end otherwise");
            assert_eq!(parts, sliced, "slices make other parts");
        }
    }
    let carried: usize = parts.iter().map(|(_, body, _)| body.len()).sum();
    assert!(carried <= payload.len(), "more came out than went in");
    assert!(parts.len() <= limits::PARTS as usize);
    if end.is_ok() {
        assert!(!parts.is_empty() && parts.iter().all(|(_, _, is_whole)| *is_whole));
        framed_again(&boundary, &parts);
    }
}

/// Parts whose bodies do not hold the delimiter come back as they were.
fn framed_again(boundary: &Boundary, parts: &[Part]) {
    let writer = Writer::new(boundary.clone());
    let mut payload = Vec::new();
    for (place, (_, body, _)) in parts.iter().enumerate() {
        let head = PartHead {
            content_type: "application/dicom",
            content_location: None,
            content_length: Some(body.len() as u64),
        };
        payload.extend_from_slice(&writer.part_head(place == 0, &head));
        payload.extend_from_slice(body);
    }
    payload.extend_from_slice(&writer.close());
    let delimiter = format!("\r\n--{}", boundary.as_str());
    let holds =
        |body: &[u8]| [b"\r\n", body].concat().windows(delimiter.len()).any(|window| window == delimiter.as_bytes());
    if parts.iter().any(|(_, body, _)| holds(body)) {
        return;
    }
    let (again, end) = read_parts(boundary, &[&payload]);
    assert_eq!(end, Ok(()), "what we frame we cannot read");
    assert_eq!(again.len(), parts.len());
    for ((_, before, _), (headers, after, _)) in parts.iter().zip(&again) {
        assert!(before == after, "a body comes back otherwise");
        assert_eq!(headers.content_type.as_deref(), Some("application/dicom"));
    }
}
