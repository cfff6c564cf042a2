use proptest::prelude::*;

use super::*;

type Parts = Vec<(PartHeaders, Vec<u8>)>;

/// Reads a payload that arrives in pieces of the given size.
fn read(boundary: &str, payload: &[u8], piece: usize) -> Result<Parts, MultipartError> {
    let mut reader = Reader::new(&Boundary::new(boundary).unwrap());
    let mut pieces = payload.chunks(piece.max(1));
    let mut parts: Parts = Vec::new();
    loop {
        match reader.step()? {
            Step::Part(headers) => parts.push((headers, Vec::new())),
            Step::Body(bytes) => {
                assert!(!bytes.is_empty());
                parts.last_mut().unwrap().1.extend_from_slice(&bytes);
            }
            Step::PartEnd => {}
            Step::NeedMore => match pieces.next() {
                Some(bytes) => reader.push(Bytes::copy_from_slice(bytes)),
                None => reader.end(),
            },
            Step::Done => return Ok(parts),
        }
    }
}

fn bodies(payload: &[u8]) -> Result<Vec<Vec<u8>>, MultipartError> {
    let whole = read("b", payload, usize::MAX).map(|parts| parts.into_iter().map(|part| part.1).collect::<Vec<_>>());
    for piece in [1, 2, 3, 7] {
        let again = read("b", payload, piece).map(|parts| parts.into_iter().map(|part| part.1).collect::<Vec<_>>());
        assert_eq!(whole, again, "in pieces of {piece}");
    }
    whole
}

#[test]
fn f19_j22_j23_payloads() {
    let cases: [(&str, &[&str]); 12] = [
        ("--b\r\nContent-Type: a/b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", &["one", "two"]),
        ("--b\r\n\r\none\r\n--b--", &["one"]),
        ("\r\n--b\r\n\r\none\r\n--b--", &["one"]),
        ("a preamble\r\n--bb\r\n--b\r\n\r\none\r\n--b--\r\nan epilogue", &["one"]),
        ("--b\n\none\n--b\nContent-Type: a/b\n\ntwo\n--b--\n", &["one", "two"]),
        ("--b \t\r\n\r\none\r\n--b \t\r\n\r\ntwo\r\n--b--", &["one", "two"]),
        // no delimiters: not at a line start, a bare LF where lines end with CRLF, a longer boundary, no line end
        ("--b\r\n\r\nx--b\r\n--bc\r\ny\n--b\nz\r\n--b- \r\n--b--", &["x--b\r\n--bc\r\ny\n--b\nz\r\n--b- "]),
        ("--b\r\n\r\n\r\n\r\n--b--", &["\r\n"]),
        ("--b\r\n\r\n\r\n--b--", &[""]),
        ("--b\r\n\r\n--b--", &[""]),
        ("--b\r\n\r\n--b\r\n\r\n--bc\r\n--b--", &["", "--bc"]),
        ("--b\r\n\r\n\r\r\n\r\n--\r\n--b--", &["\r\r\n\r\n--"]),
    ];
    for (payload, expected) in cases {
        let expected: Vec<Vec<u8>> = expected.iter().map(|body| body.as_bytes().to_vec()).collect();
        assert_eq!(bodies(payload.as_bytes()), Ok(expected), "{payload:?}");
    }
}

#[test]
fn j09_wrong_payloads_are_named() {
    let preamble = "x\r\n".repeat(limits::PREAMBLE_BYTES);
    let line = "x".repeat(limits::PREAMBLE_BYTES + 1);
    let headers = format!("--b\r\n{}\r\nbody\r\n--b--", "A: b\r\n".repeat(limits::PART_HEADER_BYTES / 6 + 1));
    let epilogue = format!("--b\r\n\r\none\r\n--b--\r\n{}", "x".repeat(limits::EPILOGUE_BYTES));
    for (payload, error) in [
        ("", MultipartError::Empty),
        ("nothing", MultipartError::NoBoundary),
        ("--b", MultipartError::NoBoundary),
        ("--b--", MultipartError::NoPart),
        ("--b--\r\n", MultipartError::NoPart),
        (preamble.as_str(), MultipartError::Preamble),
        (line.as_str(), MultipartError::Preamble),
        (headers.as_str(), MultipartError::HeadersTooLong { part: 1 }),
        (epilogue.as_str(), MultipartError::Epilogue),
        ("--b\r\nno header\r\n\r\n", MultipartError::BadHeader { part: 1 }),
        ("--b\r\n\u{e9} x: y\r\n\r\n", MultipartError::BadHeader { part: 1 }),
        ("--b\r\nContent-Type: a/b", MultipartError::Truncated { part: 1 }),
        ("--b\r\n\r\none", MultipartError::Truncated { part: 1 }),
        ("--b\r\n\r\none\r\n--b", MultipartError::Truncated { part: 1 }),
        ("--b\r\n\r\none\r\n--b\r\n\r\n", MultipartError::Truncated { part: 2 }),
    ] {
        assert_eq!(bodies(payload.as_bytes()), Err(error), "{:?}", payload.get(..40).unwrap_or(payload));
    }
}

#[test]
fn too_many_parts_are_refused() {
    let mut payload = "--b\r\n\r\n".repeat(limits::PARTS as usize + 1);
    payload.push_str("--b--");
    assert_eq!(read("b", payload.as_bytes(), 4096).unwrap_err(), MultipartError::TooManyParts);
}

#[test]
fn part_headers_are_read_whatever_their_form() {
    let payload = "--b\r\ncontent-TYPE:application/dicom;\r\n transfer-syntax=1.2\r\nContent-Location: x/y\r\nMore: 1\r\n\r\nz\r\n--b--";
    let (headers, _) = read("b", payload.as_bytes(), 5).unwrap().remove(0);
    assert_eq!(headers.content_type.as_deref(), Some("application/dicom; transfer-syntax=1.2"));
    assert_eq!(headers.content_location.as_deref(), Some("x/y"));
}

#[test]
fn body_bytes_are_not_copied() {
    let mut reader = Reader::new(&Boundary::new("b").unwrap());
    reader.push(Bytes::from_static(b"--b\r\n\r\n"));
    assert!(matches!(reader.step(), Ok(Step::Part(_))));
    assert_eq!(reader.step(), Ok(Step::NeedMore));
    let chunk = Bytes::from(vec![7_u8; 1 << 16]);
    reader.push(chunk.clone());
    let Ok(Step::Body(bytes)) = reader.step() else { panic!("no body") };
    assert_eq!((bytes.as_ptr(), bytes.len()), (chunk.as_ptr(), chunk.len()));
}

/// Whether the body holds a line that is a delimiter, so that it cannot be sent with this boundary.
fn holds_delimiter(body: &str) -> bool {
    format!("\r\n{body}\r\n").split("\r\n--b").skip(1).any(|rest| {
        let behind = rest.trim_start_matches([' ', '\t']);
        // what was split off began with a line end itself
        rest.starts_with("--") || behind.is_empty() || behind.starts_with("\r\n") || behind.starts_with('\n')
    })
}

proptest! {
    #[test]
    fn any_body_comes_back_whatever_the_pieces(
        parts in prop::collection::vec("([a\\r\\n-]|--b|\\r\\n--bx|[\\x00-\\x7f]){0,20}", 1..4),
        piece in 1_usize..40,
    ) {
        prop_assume!(!parts.iter().any(|body| holds_delimiter(body)));
        let mut payload = String::new();
        for body in &parts {
            payload.push_str(&format!("--b\r\n\r\n{body}\r\n"));
        }
        payload.push_str("--b--\r\n");
        let found = read("b", payload.as_bytes(), piece).unwrap();
        let found: Vec<String> = found.into_iter().map(|part| String::from_utf8(part.1).unwrap()).collect();
        prop_assert_eq!(found, parts);
    }

    #[test]
    fn any_bytes_give_an_answer(payload in prop::collection::vec(prop::sample::select(&b"--b\r\n\r\n:x"[..]), 0..200), piece in 1_usize..9) {
        let _ = read("b", &payload, piece);
    }
}
