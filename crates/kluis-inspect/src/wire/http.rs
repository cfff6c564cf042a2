//! One HTTP/1.1 request and the head of its answer (RFC 9112). Of a body only as many bytes are read as were asked for.
//!
//! Redirects are never followed: where they lead is not in the scope.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep_until, timeout},
};

use super::{Foreign, Stream};

/// A head longer than this is none.
const HEAD_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'r> {
    pub(crate) method: &'r str,
    /// Path and query; ours, never a peer's.
    pub(crate) target: &'r str,
    pub(crate) host: &'r str,
    /// Further lines, each with its end.
    pub(crate) headers: &'r str,
    /// Bytes of the body that are read at most.
    pub(crate) body: usize,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Head(Response),
    Closed,
    Silent,
    Foreign(Foreign),
}

/// An answer in HTTP.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The first bytes of the body.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// A header field; lowercase name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    /// Whether its content type begins so.
    pub(crate) fn is_type(&self, kind: &str) -> bool {
        self.header("content-type").is_some_and(|held| held.to_ascii_lowercase().starts_with(kind))
    }

    /// Whether the body holds these bytes, as far as it was read.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.body.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    }
}

/// Asks once; the connection is closed afterwards.
pub(crate) async fn ask(mut stream: Box<dyn Stream>, request: Request<'_>, patience: Duration) -> Answer {
    let Request { method, target, host, headers, .. } = request;
    let length = if matches!(method, "POST" | "PUT") { "Content-Length: 0\r\n" } else { "" };
    let text = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kluis-inspect/1\r\nConnection: close\r\n\
         {length}{headers}\r\n"
    );
    let sent = async {
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    };
    if !matches!(timeout(patience, sent).await, Ok(Ok(()))) {
        return Answer::Closed;
    }
    let answer = read(stream.as_mut(), request.body, patience).await;
    let _ = timeout(patience, stream.shutdown()).await;
    answer
}

async fn read(stream: &mut dyn Stream, most: usize, patience: Duration) -> Answer {
    let until = tokio::time::Instant::now() + patience;
    let mut bytes: Vec<u8> = Vec::new();
    let mut head: Option<(Response, usize)> = None;
    loop {
        if let Some((response, start)) = &head {
            let wanted = response.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(most);
            if bytes.len().saturating_sub(*start) >= wanted.min(most) {
                break;
            }
        } else if bytes.len() > HEAD_MAX {
            return Answer::Foreign(Foreign::Other);
        }
        let mut piece = [0_u8; 2048];
        let read = tokio::select! {
            biased;
            read = stream.read(&mut piece) => read,
            () = sleep_until(until) => {
                if head.is_some() { break }
                return if bytes.is_empty() { Answer::Silent } else { Answer::Foreign(Foreign::of(&bytes)) };
            }
        };
        match read {
            Ok(count @ 1..) => bytes.extend_from_slice(piece.get(..count).unwrap_or_default()),
            _ if head.is_some() => break,
            _ if bytes.is_empty() => return Answer::Closed,
            _ => return Answer::Foreign(Foreign::of(&bytes)),
        }
        if head.is_none() {
            match parse(&bytes) {
                Ok(parsed) => head = parsed,
                Err(()) => return Answer::Foreign(Foreign::of(&bytes)),
            }
        }
    }
    let Some((mut response, start)) = head else { return Answer::Closed };
    response.body = bytes.iter().skip(start).take(most).copied().collect();
    Answer::Head(response)
}

fn parse(bytes: &[u8]) -> Result<Option<(Response, usize)>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(start)) => {
            let headers = response.headers.iter().map(|header| {
                let value = String::from_utf8_lossy(header.value).chars().take(256).collect();
                (header.name.to_ascii_lowercase(), value)
            });
            let headers = headers.collect();
            Ok(Some((Response { status: response.code.unwrap_or_default(), headers, body: Vec::new() }, start)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(()),
    }
}
