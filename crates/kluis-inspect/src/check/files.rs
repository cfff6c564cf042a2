//! F01 over HTTP: an open folder or bucket. Of at most 20 files the first 132 bytes are read, which are zeros and `DICM`
//! (PS3.10 7.1) and say nothing of anybody. Names are used for the request and forgotten.

use super::peer::Peer;
use crate::{
    guard::Refusal,
    wire::http::{Answer, Response},
};

/// Files that are looked into.
const FILES: usize = 20;
/// Folders below the first that are listed.
const FOLDERS: usize = 3;
/// Bytes of a listing.
const LISTING: usize = 64 << 10;
/// Preamble and prefix.
const PREFIX: usize = 132;
const NAME_MAX: usize = 200;

/// How many files were looked at, and how many of them are DICOM.
pub(crate) async fn check(peer: Peer<'_>) -> Result<Option<[u32; 2]>, Refusal> {
    let Answer::Head(root) = peer.ask("F01", "GET", "/", "", LISTING).await? else { return Ok(None) };
    if !is_listing(&root) {
        return Ok(None);
    }
    let (mut files, folders) = names(&root);
    for folder in folders.into_iter().take(FOLDERS) {
        if files.len() >= FILES {
            break;
        }
        let path = format!("/{folder}");
        if let Answer::Head(listing) = peer.ask("F01", "GET", &path, "", LISTING).await?
            && is_listing(&listing)
        {
            files.extend(names(&listing).0.into_iter().map(|name| format!("{folder}{name}")));
        }
    }
    let (mut looked_at, mut dicom) = (0_u32, 0_u32);
    for file in files.into_iter().take(FILES) {
        let range = format!("Range: bytes=0-{}\r\n", PREFIX - 1);
        let Answer::Head(head) = peer.ask("F01", "GET", &format!("/{file}"), &range, PREFIX).await? else { continue };
        if matches!(head.status, 200 | 206) {
            looked_at = looked_at.saturating_add(1);
            dicom = dicom.saturating_add(u32::from(head.body.get(128..PREFIX) == Some(b"DICM")));
        }
    }
    Ok(Some([looked_at, dicom]))
}

/// A list of files as nginx, Apache and Python write it, or of a bucket as S3 does.
pub(crate) fn is_listing(answer: &Response) -> bool {
    answer.status == 200
        && ["<title>Index of /", "<h1>Index of /", "<title>Directory listing for /", "<ListBucketResult"]
            .iter()
            .any(|mark| answer.has(mark))
}

/// Files and folders of a listing: plain relative names only, as others would lead elsewhere.
fn names(listing: &Response) -> (Vec<String>, Vec<String>) {
    let text = String::from_utf8_lossy(&listing.body).into_owned();
    let links = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
    let is_plain = |name: &&str| {
        let is_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~' | b'%' | b'/');
        (1..=NAME_MAX).contains(&name.len())
            && name.bytes().all(is_byte)
            && !name.starts_with('/')
            && !name.contains("..")
            && !name.to_ascii_lowercase().contains("%2e")
    };
    links.chain(keys).filter(is_plain).map(str::to_owned).partition(|name| !name.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_passed_over() {
        let body = "<title>Index of /</title><a href=\"../\"><a href=\"/etc/x\"><a href=\"http://other/\"><a href=\"a.dcm\">\
                    <a href=\"sub/\"><a href=\"..%2fx\"><a href=\"%2e%2e/x\"><a href=\"?C=N\"><a href=\"//other/x\">";
        let listing = Response { status: 200, body: body.into(), ..Response::default() };
        assert!(is_listing(&listing));
        assert_eq!(names(&listing), (vec!["a.dcm".to_owned()], vec!["sub/".to_owned()]));
        let bucket = Response {
            status: 200,
            body: b"<?xml version=\"1.0\"?><ListBucketResult><Contents><Key>x/1.dcm</Key></Contents>".to_vec(),
            ..Response::default()
        };
        assert!(is_listing(&bucket));
        assert_eq!(names(&bucket).0, ["x/1.dcm"]);
    }
}
