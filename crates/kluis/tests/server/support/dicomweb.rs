//! A plain DICOMweb client: bodies made and taken apart by hand, so that nothing of ours is on both sides.

use anyhow::{Context, Result, bail};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::Server;

const BOUNDARY: &str = "kluis-test-boundary";

/// Body of a STOW-RS request.
pub fn multipart(files: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for file in files {
        body.extend_from_slice(format!("--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Stores files by STOW-RS; status and answer.
pub async fn stow(http: &Client, server: &Server, token: &str, files: &[Vec<u8>]) -> Result<(StatusCode, Value)> {
    let response = http
        .post(format!("{}/dicom-web/studies", server.https))
        .bearer_auth(token)
        .header("content-type", format!("multipart/related; type=\"application/dicom\"; boundary={BOUNDARY}"))
        .header("accept", "application/dicom+json")
        .body(multipart(files))
        .send()
        .await?;
    let status = response.status();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// GET with a token.
pub async fn get(http: &Client, server: &Server, token: &str, path: &str, accept: &str) -> Result<Response> {
    Ok(http.get(format!("{}{path}", server.https)).bearer_auth(token).header("accept", accept).send().await?)
}

/// The DICOM files that a retrieve answers.
pub async fn retrieve(http: &Client, server: &Server, token: &str, path: &str) -> Result<Vec<Vec<u8>>> {
    let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
    let response = get(http, server, token, path, accept).await?;
    if !response.status().is_success() {
        bail!("{path}: {}", response.status());
    }
    parts(response).await
}

/// The bodies of the parts of a multipart answer.
pub async fn parts(response: Response) -> Result<Vec<Vec<u8>>> {
    let kind = response.headers()["content-type"].to_str()?.to_owned();
    let boundary = kind.split("boundary=").nth(1).context("no boundary")?;
    let boundary = boundary.split(';').next().unwrap_or_default().trim_matches('"').to_owned();
    let body = response.bytes().await?;
    let delimiter = format!("--{boundary}");
    let mut bodies = Vec::new();
    let mut rest = &body[..];
    let mut begun = false;
    while let Some(at) = find(rest, delimiter.as_bytes()) {
        if begun {
            let part = &rest[..at];
            let head = find(part, b"\r\n\r\n").context("a part without a blank line")?;
            let end = part.len().checked_sub(2).context("a part without its line end")?;
            bodies.push(part[head + 4..end].to_vec());
        }
        begun = true;
        rest = &rest[at + delimiter.len()..];
        if rest.starts_with(b"--") {
            return Ok(bodies);
        }
    }
    bail!("the closing delimiter is missing")
}

/// The data set of a DICOM file: what stands behind the file meta group.
pub fn data_set(file: &[u8]) -> &[u8] {
    assert_eq!(&file[128..132], b"DICM");
    assert_eq!(&file[132..136], [2, 0, 0, 0], "the file meta group has its length first");
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
    &file[144 + length..]
}

/// Where `needle` begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr_like(haystack, needle)
}

fn memchr_like(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, _) = needle.split_first()?;
    let mut at = 0;
    while let Some(next) = haystack[at..].iter().position(|byte| byte == first) {
        at += next;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}
