//! Reads parts from bytes as they arrive, without gathering them: body bytes are handed on as slices of what came in.
//!
//! A delimiter counts only at the start of a line (RFC 2046 5.1.1). Which line end the payload uses is learnt from its
//! first delimiter line, so that in a payload with CRLF a bare LF inside binary data does not begin a line.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::Boundary;
use crate::limits;

/// A sans-IO reader. Feed it with [`Reader::push`], close it with [`Reader::end`], and call [`Reader::step`] until it
/// says [`Step::NeedMore`] or [`Step::Done`].
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// What came in and is not yet understood.
    pending: Bytes,
    is_ended: bool,
    /// `--boundary`.
    dash_boundary: Vec<u8>,
    /// Line end, two dashes, boundary; known after the first delimiter line.
    delimiter: Finder<'static>,
    at_body_start: bool,
    parts: u32,
    skipped: usize,
    total: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Headers,
    Body,
    Epilogue,
}

/// What comes next in the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A part begins.
    Part(PartHeaders),
    /// The next bytes of the part's body; never empty.
    Body(Bytes),
    /// The part is complete.
    PartEnd,
    /// Push more bytes or call [`Reader::end`].
    NeedMore,
    /// The closing delimiter was read and the payload has ended.
    Done,
}

/// The headers of a part that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartHeaders {
    /// Content-Type, as it stands there.
    pub content_type: Option<String>,
    /// Content-Location.
    pub content_location: Option<String>,
}

/// The payload is not what its Content-Type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartError {
    /// No bytes at all.
    #[error("the payload is empty")]
    Empty,
    /// The payload never shows its boundary.
    #[error("the payload holds no boundary")]
    NoBoundary,
    /// More than [`limits::PREAMBLE_BYTES`] before the first boundary.
    #[error("too many bytes before the first boundary")]
    Preamble,
    /// The closing delimiter comes first.
    #[error("the payload holds no part")]
    NoPart,
    /// The headers of a part exceed [`limits::PART_HEADER_BYTES`].
    #[error("the headers of part {part} are too long")]
    HeadersTooLong {
        /// Counted from 1.
        part: u32,
    },
    /// A line in the headers of a part is no header.
    #[error("part {part} has a line among its headers that is none")]
    BadHeader {
        /// Counted from 1.
        part: u32,
    },
    /// More than [`limits::PARTS`] parts.
    #[error("the payload has more than {} parts", limits::PARTS)]
    TooManyParts,
    /// The payload ended within a part.
    #[error("the payload ends within part {part}")]
    Truncated {
        /// Counted from 1.
        part: u32,
    },
    /// More than [`limits::EPILOGUE_BYTES`] behind the closing delimiter.
    #[error("too many bytes behind the closing boundary")]
    Epilogue,
}

/// What the bytes behind a possible delimiter make of it.
enum Delimiter {
    /// Just data that looks like one.
    No,
    /// Cannot be told yet.
    Unsure,
    /// The next part begins behind so many bytes.
    Part(usize),
    /// The payload is closed.
    Close(usize),
}

impl Reader {
    /// A reader for a payload with this boundary.
    #[must_use]
    pub fn new(boundary: &Boundary) -> Self {
        let dash_boundary = [b"--", boundary.as_str().as_bytes()].concat();
        Self {
            state: State::Preamble,
            pending: Bytes::new(),
            is_ended: false,
            delimiter: Finder::new(&dash_boundary).into_owned(),
            dash_boundary,
            at_body_start: false,
            parts: 0,
            skipped: 0,
            total: 0,
        }
    }

    /// Gives the next bytes.
    pub fn push(&mut self, bytes: Bytes) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        if self.pending.is_empty() {
            self.pending = bytes;
            return;
        }
        // only what may be the beginning of a delimiter, or a header block, is ever held back
        let mut joined = BytesMut::with_capacity(self.pending.len() + bytes.len());
        joined.extend_from_slice(&self.pending);
        joined.extend_from_slice(&bytes);
        self.pending = joined.freeze();
    }

    /// Says that no more bytes will come.
    pub fn end(&mut self) {
        self.is_ended = true;
    }

    /// How many parts have begun.
    #[must_use]
    pub fn parts(&self) -> u32 {
        self.parts
    }

    /// The next step.
    ///
    /// # Errors
    /// [`MultipartError`]; the reader is of no further use then.
    pub fn step(&mut self) -> Result<Step, MultipartError> {
        match self.state {
            State::Preamble => self.preamble(),
            State::Headers => self.headers(),
            State::Body => self.body(),
            State::Epilogue => self.epilogue(),
        }
    }

    /// Drops lines until one is a delimiter.
    fn preamble(&mut self) -> Result<Step, MultipartError> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.pending) else {
                return self.preamble_rest();
            };
            let line = self.pending.split_to(at + 1);
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let (text, line_end): (&[u8], &'static [u8]) = match text.strip_suffix(b"\r") {
                Some(text) => (text, b"\r\n"),
                None => (text, b"\n"),
            };
            if let Some(rest) = text.strip_prefix(self.dash_boundary.as_slice()) {
                match rest.trim_ascii_end() {
                    b"" => return self.first_delimiter(line_end),
                    b"--" => return Err(MultipartError::NoPart),
                    _ => {}
                }
            }
            self.skip(line.len(), limits::PREAMBLE_BYTES).ok_or(MultipartError::Preamble)?;
        }
    }

    fn preamble_rest(&mut self) -> Result<Step, MultipartError> {
        if self.skipped + self.pending.len() > limits::PREAMBLE_BYTES {
            return Err(MultipartError::Preamble);
        }
        if !self.is_ended {
            return Ok(Step::NeedMore);
        }
        let closing = [self.dash_boundary.as_slice(), b"--"].concat();
        match self.pending.trim_ascii_end() {
            _ if self.total == 0 => Err(MultipartError::Empty),
            rest if rest == closing => Err(MultipartError::NoPart),
            _ => Err(MultipartError::NoBoundary),
        }
    }

    fn first_delimiter(&mut self, line_end: &'static [u8]) -> Result<Step, MultipartError> {
        self.delimiter = Finder::new(&[line_end, &self.dash_boundary].concat()).into_owned();
        self.state = State::Headers;
        self.headers()
    }

    fn headers(&mut self) -> Result<Step, MultipartError> {
        let part = self.parts + 1;
        if part > limits::PARTS {
            return Err(MultipartError::TooManyParts);
        }
        let Some(length) = header_block_length(&self.pending) else {
            return match () {
                () if self.pending.len() > limits::PART_HEADER_BYTES => Err(MultipartError::HeadersTooLong { part }),
                () if self.is_ended => Err(MultipartError::Truncated { part }),
                () => Ok(Step::NeedMore),
            };
        };
        if length > limits::PART_HEADER_BYTES {
            return Err(MultipartError::HeadersTooLong { part });
        }
        let block = self.pending.split_to(length);
        let headers = parse_headers(&block).ok_or(MultipartError::BadHeader { part })?;
        self.state = State::Body;
        self.parts = part;
        // an empty body: the line end before its delimiter is the one that ended the headers
        self.at_body_start = true;
        Ok(Step::Part(headers))
    }

    fn body(&mut self) -> Result<Step, MultipartError> {
        if self.at_body_start {
            if let Some(step) = self.empty_body()? {
                return Ok(step);
            }
            self.at_body_start = false;
        }
        let mut from = 0;
        loop {
            let haystack = self.pending.get(from..).unwrap_or_default();
            let Some(found) = self.delimiter.find(haystack) else {
                let keep = if self.is_ended { 0 } else { self.possible_prefix() };
                let length = self.pending.len() - keep;
                return match () {
                    () if length > 0 => Ok(Step::Body(self.pending.split_to(length))),
                    () if self.is_ended => Err(MultipartError::Truncated { part: self.parts }),
                    () => Ok(Step::NeedMore),
                };
            };
            let at = from + found;
            let behind = at + self.delimiter.needle().len();
            match self.judge(behind) {
                Delimiter::No => from = at + 1,
                _ if at > 0 => return Ok(Step::Body(self.pending.split_to(at))),
                Delimiter::Unsure => return Ok(Step::NeedMore),
                Delimiter::Part(length) => return Ok(self.end_part(behind + length, State::Headers)),
                Delimiter::Close(length) => return Ok(self.end_part(behind + length, State::Epilogue)),
            }
        }
    }

    /// The end of a part that has no body, or `None` where a body begins.
    fn empty_body(&mut self) -> Result<Option<Step>, MultipartError> {
        let length = self.dash_boundary.len();
        if self.pending.len() < length {
            let may_be = self.dash_boundary.starts_with(&self.pending);
            return match () {
                () if !may_be => Ok(None),
                () if self.is_ended => Err(MultipartError::Truncated { part: self.parts }),
                () => Ok(Some(Step::NeedMore)),
            };
        }
        if !self.pending.starts_with(&self.dash_boundary) {
            return Ok(None);
        }
        Ok(match self.judge(length) {
            Delimiter::No => None,
            Delimiter::Unsure => Some(Step::NeedMore),
            Delimiter::Part(more) => Some(self.end_part(length + more, State::Headers)),
            Delimiter::Close(more) => Some(self.end_part(length + more, State::Epilogue)),
        })
    }

    fn end_part(&mut self, length: usize, next: State) -> Step {
        let _ = self.pending.split_to(length.min(self.pending.len()));
        self.state = next;
        self.skipped = 0;
        Step::PartEnd
    }

    /// What the bytes behind a boundary make of it.
    fn judge(&self, behind: usize) -> Delimiter {
        let rest = self.pending.get(behind..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Delimiter::Close(2);
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if padding > limits::BOUNDARY_PADDING {
            return Delimiter::No;
        }
        match rest.get(padding..).unwrap_or_default() {
            [b'\n', ..] => Delimiter::Part(padding + 1),
            [b'\r', b'\n', ..] => Delimiter::Part(padding + 2),
            [] | [b'\r'] | [b'-'] if !self.is_ended => Delimiter::Unsure,
            _ => Delimiter::No,
        }
    }

    /// How many bytes at the end may be the beginning of a delimiter.
    fn possible_prefix(&self) -> usize {
        let needle = self.delimiter.needle();
        let longest = needle.len().saturating_sub(1).min(self.pending.len());
        (1..=longest)
            .rev()
            .find(|length| {
                let end = self.pending.get(self.pending.len() - length..).unwrap_or_default();
                needle.starts_with(end)
            })
            .unwrap_or(0)
    }

    fn epilogue(&mut self) -> Result<Step, MultipartError> {
        let length = self.pending.len();
        self.pending = Bytes::new();
        self.skip(length, limits::EPILOGUE_BYTES).ok_or(MultipartError::Epilogue)?;
        Ok(if self.is_ended { Step::Done } else { Step::NeedMore })
    }

    fn skip(&mut self, length: usize, limit: usize) -> Option<()> {
        self.skipped = self.skipped.saturating_add(length);
        (self.skipped <= limit).then_some(())
    }
}

/// The length of a header block with the empty line that ends it.
fn header_block_length(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        let line = bytes.get(start..at).unwrap_or_default();
        if matches!(line, [] | [b'\r']) {
            return Some(at + 1);
        }
        start = at + 1;
    }
    None
}

/// The headers that matter; `None` where a line is no header.
fn parse_headers(block: &[u8]) -> Option<PartHeaders> {
    let text = std::str::from_utf8(block).ok()?;
    let mut headers = PartHeaders::default();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty()) {
        match lines.last_mut() {
            // a line that begins with white space goes on with the one before (RFC 5322 2.2.3)
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let value = value.trim().to_owned();
        match () {
            () if name.eq_ignore_ascii_case("content-type") => headers.content_type = Some(value),
            () if name.eq_ignore_ascii_case("content-location") => headers.content_location = Some(value),
            () => {}
        }
    }
    Some(headers)
}

#[cfg(test)]
mod tests;
