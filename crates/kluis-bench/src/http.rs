//! A lean blocking HTTP/1.1 client (RFC 9112): one connection, one request at a time, bodies counted or kept.
//!
//! Written by hand, the head aside, so that it costs little next to the servers it loads. May not contain: redirects,
//! cookies, anything that a load client does not need.

use std::{
    io::{Read, Write},
    net::SocketAddr,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::stream::{Stream, Tls};

const HEAD_LONGEST: usize = 32 << 10;
const BUFFER: usize = 256 << 10;

/// A connection that is kept alive.
pub struct Connection {
    stream: Stream,
    address: SocketAddr,
    tls: Option<Tls>,
    host: String,
    is_spent: bool,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Length of the body, without the framing of chunks.
    pub length: u64,
    /// The body, where it was to be kept.
    pub body: Vec<u8>,
}

/// How the end of the body is known.
enum Framing {
    Length(u64),
    Chunks,
    /// By the end of the connection (RFC 9112 6.3), which the next request then opens anew.
    Close,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr, tls: Option<&Tls>) -> Result<Self> {
        let stream = Stream::connect(address, tls)?;
        let (host, buffer) = (address.to_string(), vec![0; BUFFER]);
        Ok(Self { stream, address, tls: tls.cloned(), host, is_spent: false, buffer, start: 0, end: 0 })
    }

    /// GET; the body is read to its end and kept where `is_kept`.
    pub fn get(&mut self, path: &str, headers: &str, is_kept: bool) -> Result<Answer> {
        self.renew()?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.host);
        self.stream.write_all(head.as_bytes())?;
        self.stream.flush()?;
        self.answer(is_kept)
    }

    /// POST with a body in pieces.
    pub fn post(&mut self, path: &str, headers: &str, body: &[&[u8]]) -> Result<Answer> {
        self.renew()?;
        let length: usize = body.iter().map(|piece| piece.len()).sum();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n{headers}\r\n", self.host);
        self.stream.write_all(head.as_bytes())?;
        for piece in body {
            self.stream.write_all(piece)?;
        }
        self.stream.flush()?;
        self.answer(true)
    }

    fn renew(&mut self) -> Result<()> {
        if self.is_spent {
            *self = Self::open(self.address, self.tls.clone().as_ref())?;
        }
        Ok(())
    }

    fn answer(&mut self, is_kept: bool) -> Result<Answer> {
        let (mut answer, framing) = self.head()?;
        match framing {
            Framing::Length(length) => self.pass(length, is_kept, &mut answer)?,
            Framing::Chunks => self.chunks(is_kept, &mut answer)?,
            Framing::Close => self.rest(is_kept, &mut answer)?,
        }
        Ok(answer)
    }

    fn head(&mut self) -> Result<(Answer, Framing)> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut headers);
            let held = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let httparse::Status::Complete(length) =
                head.parse(held).map_err(|error| anyhow!("the head of an answer: {error}"))?
            {
                let value = |name: &str| {
                    let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                    found.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::to_owned)
                };
                let status = head.code.context("an answer without a status")?;
                let is_chunked = value("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked"));
                let framing = match value("content-length") {
                    _ if status == 204 || status == 304 => Framing::Length(0),
                    _ if is_chunked => Framing::Chunks,
                    Some(length) => Framing::Length(length.trim().parse()?),
                    None => Framing::Close,
                };
                self.start = self.start.saturating_add(length);
                return Ok((Answer { status, length: 0, body: Vec::new() }, framing));
            }
            ensure!(held.len() < HEAD_LONGEST, "the head of an answer does not end");
            self.fill()?;
        }
    }

    /// RFC 9112 7.1; extensions and trailers are read over.
    fn chunks(&mut self, is_kept: bool, answer: &mut Answer) -> Result<()> {
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16).context("the length of a chunk")?;
            if length == 0 {
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            self.pass(length, is_kept, answer)?;
            ensure!(self.line()?.is_empty(), "a chunk is longer than it says");
        }
    }

    fn line(&mut self) -> Result<String> {
        loop {
            let held = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(at) = held.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(held.get(..at).unwrap_or_default()).into_owned();
                self.start = self.start.saturating_add(at).saturating_add(2);
                return Ok(line);
            }
            ensure!(held.len() < HEAD_LONGEST, "a line does not end");
            self.fill()?;
        }
    }

    fn pass(&mut self, length: u64, is_kept: bool, answer: &mut Answer) -> Result<()> {
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let held = self.buffer.get(self.start..self.end).unwrap_or_default();
            let taken = held.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if is_kept {
                answer.body.extend_from_slice(held.get(..taken).unwrap_or_default());
            }
            self.start = self.start.saturating_add(taken);
            left = left.saturating_sub(u64::try_from(taken)?);
        }
        answer.length = answer.length.saturating_add(length);
        Ok(())
    }

    fn rest(&mut self, is_kept: bool, answer: &mut Answer) -> Result<()> {
        self.is_spent = true;
        loop {
            let held = u64::try_from(self.end.saturating_sub(self.start))?;
            self.pass(held, is_kept, answer)?;
            (self.start, self.end) = (0, 0);
            match self.stream.read(&mut self.buffer)? {
                0 => return Ok(()),
                read => self.end = read,
            }
        }
    }

    fn fill(&mut self) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        let read = self.stream.read(self.buffer.get_mut(self.end..).unwrap_or_default())?;
        ensure!(read > 0, "the server closed the connection");
        self.end = self.end.saturating_add(read);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::BufRead, net::TcpListener};

    use super::*;

    /// Answers each request with the next of `answers`, cut into pieces so that no head or line comes in one read.
    fn serve(answers: Vec<&'static [u8]>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let mut lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
            for answer in answers {
                while !lines.next().unwrap().unwrap().is_empty() {}
                for piece in answer.chunks(7) {
                    (&stream).write_all(piece).unwrap();
                }
            }
        });
        address
    }

    #[test]
    fn bodies_by_length_and_in_chunks_are_read_to_their_end() {
        let address = serve(vec![
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        ]);
        let mut connection = Connection::open(address, None).unwrap();
        for (status, body) in [(200, "hello world"), (200, "hello world"), (204, ""), (404, "")] {
            let answer = connection.get("/", "", true).unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (status, body.as_bytes()));
            assert_eq!(answer.length, u64::try_from(body.len()).unwrap());
        }
    }

    #[test]
    fn a_body_that_ends_with_the_connection_is_read_and_the_next_request_connects_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
                while !lines.next().unwrap().unwrap().is_empty() {}
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world").unwrap();
            }
        });
        let mut connection = Connection::open(address, None).unwrap();
        for _ in 0..2 {
            let answer = connection.get("/", "", true).unwrap();
            assert_eq!((answer.body.as_slice(), answer.length), (b"hello world".as_slice(), 11));
        }
    }

    #[test]
    fn a_chunk_that_lies_about_its_length_is_an_error() {
        let address =
            serve(vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello world\r\n0\r\n\r\n"]);
        assert!(Connection::open(address, None).unwrap().get("/", "", true).is_err());
    }
}
