//! An answer, and its body as it comes.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::listener::Reason;

use super::connect::Io;
use super::error::{CollectError, SendError, io_reason};
use super::wire::Framing;

/// An answer whose head has come. Dropping it closes the connection.
#[derive(Debug)]
pub struct Response {
    /// The status, never a 1xx.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Response {
    /// Whether it is what was asked for: 200 and an event stream that is not compressed.
    pub fn is_event_stream(&self) -> bool {
        self.status == StatusCode::OK && is_event_stream(&self.headers)
    }
}

/// `text/event-stream` in any case, whatever follows a semicolon, and not compressed: what a
/// listener follows and what a posted run is answered with.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    plain && kind.eq_ignore_ascii_case(b"text/event-stream")
}

/// A body as it comes. Dropping it closes the connection. Holds no buffer while nothing comes.
pub struct Body {
    io: Io,
    framing: Framing,
    /// Read and not yet taken apart.
    came: Bytes,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("framing", &self.framing).finish_non_exhaustive()
    }
}

impl Body {
    pub(super) const fn new(io: Io, framing: Framing, came: Bytes) -> Self {
        Self { io, framing, came }
    }

    /// The next piece, never empty; nothing at the end.
    ///
    /// # Errors
    /// The connection failed or ended before the body did, or what came is not HTTP.
    ///
    /// # Cancel safety
    /// No byte is lost.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        loop {
            if let Some(piece) = self.framing.next_piece(&mut self.came)? {
                return Ok(Some(piece));
            }
            if self.framing.is_done() {
                return Ok(None);
            }
            let read = std::future::poll_fn(|cx| self.io.poll_read(cx)).await;
            let ended = SendError::Broken { reason: Reason::Reset };
            match read {
                Ok(bytes) if !bytes.is_empty() => self.came = bytes,
                Ok(_) if self.framing.may_end() => return Ok(None),
                Ok(_) => return Err(ended),
                Err(error) => return Err(SendError::Broken { reason: io_reason(&error) }),
            }
        }
    }

    /// The next piece of those that have come already, without reading on.
    ///
    /// # Errors
    /// What came is not HTTP.
    pub fn ready_chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        Ok(self.framing.next_piece(&mut self.came)?)
    }

    /// The whole body.
    ///
    /// # Errors
    /// It is larger than `limit` bytes, or breaks off.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, CollectError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if whole.len() + piece.len() > limit {
                return Err(CollectError::TooLarge { limit });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}
