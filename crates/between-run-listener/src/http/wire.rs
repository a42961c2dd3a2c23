//! Pure: HTTP/1.1 as bytes: a request's head, a response's head, and where a body's pieces are.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use memchr::memchr;
use url::{Position, Url};

/// The largest head of a response, in bytes: four times what common servers allow.
const HEAD_MAX: usize = 64 << 10;

/// Most header fields of a response.
const FIELDS_MAX: usize = 128;

/// The longest line with a chunk's size, and the most bytes of trailers.
const LINE_MAX: usize = 8 << 10;

/// What came is not HTTP/1.x as we read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not HTTP/1.1: {what}")]
pub(super) struct BadHttp {
    pub(super) what: &'static str,
}

const fn bad<T>(what: &'static str) -> Result<T, BadHttp> {
    Err(BadHttp { what })
}

/// The bytes of a request's head. Each connection serves one request, and says so.
pub(super) fn request_head<'a>(
    method: &Method,
    url: &Url,
    headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    body: usize,
) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(&url.as_str().as_bytes()[path_and_query(url)]);
    head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    head.extend_from_slice(url[Position::BeforeHost..Position::AfterPort].as_bytes());
    head.extend_from_slice(b"\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if method != Method::GET {
        head.extend_from_slice(format!("content-length: {body}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Without the fragment.
fn path_and_query(url: &Url) -> std::ops::Range<usize> {
    url[..Position::BeforePath].len()..url[..Position::AfterQuery].len()
}

/// A response's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
}

/// Takes a head from the front of what came; nothing while it is not whole. Interim answers (1xx)
/// are passed over.
pub(super) fn response_head(came: &mut BytesMut, method: &Method) -> Result<Option<Head>, BadHttp> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(came) {
            Ok(httparse::Status::Complete(length)) if length <= HEAD_MAX => length,
            Ok(httparse::Status::Partial) if came.len() <= HEAD_MAX => return Ok(None),
            Ok(_) => return bad("its head is larger than 64 KiB"),
            Err(httparse::Error::TooManyHeaders) => {
                return bad("it has more than 128 header fields");
            }
            Err(_) => return bad("its head cannot be read"),
        };
        let Some(status) = response.code.and_then(|code| StatusCode::from_u16(code).ok()) else {
            return bad("its status is no number from 100 to 999");
        };
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return bad("it switches protocols, which nobody asked for");
        }
        let mut headers = HeaderMap::with_capacity(response.headers.len());
        for field in response.headers.iter() {
            // The parser lets nothing through that these refuse, but for bytes above 127.
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(field.name), HeaderValue::from_bytes(field.value))
            {
                headers.append(name, value);
            }
        }
        came.advance(length);
        if status.is_informational() {
            continue;
        }
        let framing = Framing::new(status, &headers, method)?;
        return Ok(Some(Head { status, headers, framing }));
    }
}

/// Where the pieces of a body are. Takes bytes as they come and gives out what is body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// All there is until the connection ends.
    UntilEnd,
    /// In chunks; this is what comes next.
    Chunked(Chunk),
    /// The body has been read.
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chunk {
    /// A line with a size, of which this much has come.
    Size(Vec<u8>),
    /// So many bytes of the chunk are left.
    Data(u64),
    /// The line end behind a chunk, of which so many bytes have come.
    End(u8),
    /// Trailers: the current line's and all lines' bytes so far.
    Trailer { line: Vec<u8>, all: usize },
}

impl Framing {
    fn new(status: StatusCode, headers: &HeaderMap, method: &Method) -> Result<Self, BadHttp> {
        if method == Method::HEAD
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
        {
            return Ok(Self::Done);
        }
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        if let Some(coding) = codings.next() {
            let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
            if !chunked || codings.next().is_some() {
                return bad("its transfer encoding is another than chunked");
            }
            return Ok(Self::Chunked(Chunk::Size(Vec::new())));
        }
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
        let Some(length) = lengths.next() else { return Ok(Self::UntilEnd) };
        if lengths.any(|other| other != length) {
            return bad("it has two content lengths");
        }
        let digits = length.as_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return bad("its content length is no number");
        }
        match length.to_str().ok().and_then(|digits| digits.parse().ok()) {
            Some(0) => Ok(Self::Done),
            Some(length) => Ok(Self::Length(length)),
            None => bad("its content length is no number"),
        }
    }

    /// Whether the body has been read to its end.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Whether the connection may end here without cutting the body.
    pub(super) const fn may_end(&self) -> bool {
        matches!(self, Self::Done | Self::UntilEnd)
    }

    /// The next piece of body in `came`, of which it takes what it has read; nothing when more bytes
    /// are needed or the body is done.
    pub(super) fn next_piece(&mut self, came: &mut Bytes) -> Result<Option<Bytes>, BadHttp> {
        while !came.is_empty() {
            match self {
                Self::Done => return Ok(None),
                Self::UntilEnd => return Ok(Some(std::mem::take(came))),
                Self::Length(left) => {
                    let piece = up_to(came, *left);
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        *self = Self::Done;
                    }
                    return Ok(Some(piece));
                }
                Self::Chunked(chunk) => {
                    if let Some(piece) = chunk.next_piece(came)? {
                        return Ok(Some(piece));
                    }
                    if matches!(chunk, Chunk::Trailer { line, all: 0 } if line == b"\n") {
                        *self = Self::Done;
                    }
                }
            }
        }
        Ok(None)
    }
}

impl Chunk {
    /// One step; a piece when it was one of data. The end is a trailer line that is only a line end.
    fn next_piece(&mut self, came: &mut Bytes) -> Result<Option<Bytes>, BadHttp> {
        match self {
            Self::Size(line) => {
                if take_line(line, came)? {
                    let size = size(line)?;
                    *self = if size == 0 {
                        Self::Trailer { line: Vec::new(), all: 0 }
                    } else {
                        Self::Data(size)
                    };
                }
                Ok(None)
            }
            Self::Data(left) => {
                let piece = up_to(came, *left);
                *left -= piece.len() as u64;
                if *left == 0 {
                    *self = Self::End(0);
                }
                Ok(Some(piece))
            }
            Self::End(seen) => {
                let byte = came.get_u8();
                match (*seen, byte) {
                    (0, b'\r') => *seen = 1,
                    (1, b'\n') => *self = Self::Size(Vec::new()),
                    _ => return bad("a chunk is longer than it said"),
                }
                Ok(None)
            }
            Self::Trailer { line, all } => {
                if take_line(line, came)? {
                    *all += line.len();
                    if line.is_empty() {
                        *self = Self::Trailer { line: b"\n".to_vec(), all: 0 };
                    } else if *all > LINE_MAX {
                        return bad("its trailers are larger than 8 KiB");
                    } else {
                        line.clear();
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Moves what belongs to a line into it; true when its end has come, which is then taken off.
fn take_line(line: &mut Vec<u8>, came: &mut Bytes) -> Result<bool, BadHttp> {
    let end = memchr(b'\n', came);
    let length = end.map_or(came.len(), |at| at + 1);
    if line.len() + length > LINE_MAX {
        return bad("the line of a chunk's size is longer than 8 KiB");
    }
    line.extend_from_slice(&came[..length]);
    came.advance(length);
    if end.is_none() {
        return Ok(false);
    }
    line.pop();
    if line.pop() != Some(b'\r') {
        return bad("a line in it does not end with CR LF");
    }
    Ok(true)
}

/// A chunk's size: hexadecimal digits, then perhaps an extension.
fn size(line: &[u8]) -> Result<u64, BadHttp> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let ok = !digits.is_empty() && digits.len() <= 16 && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    match u64::from_str_radix(digits, 16) {
        Ok(size) if ok => Ok(size),
        _ => bad("a chunk's size is no number"),
    }
}

fn up_to(came: &mut Bytes, most: u64) -> Bytes {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(came.len());
    came.split_to(length)
}

#[cfg(test)]
mod tests;
