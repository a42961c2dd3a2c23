//! Pure: close codes and the payload of a Close frame.

use crate::rule::Rule;
use std::fmt;

/// Longest text of a Close, in bytes: a control frame holds 125, the code takes two of them.
pub const MAX_CLOSE_TEXT: usize = 123;

/// A close code that may appear on the wire: 1000 to 1003, 1007 to 1014, 3000 to 4999
/// (RFC 6455 section 7.4, and the IANA registry for 1012 to 1014).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: this end goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1007: the payload is not what its type says.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a policy was violated.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server met a condition that it did not expect.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the service restarts; reconnecting makes sense.
    pub const RESTART: Self = Self(1012);
    /// 1014: what is behind this gateway is not known to be alive.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code as a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = InvalidCloseCode;

    fn try_from(code: u16) -> Result<Self, InvalidCloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Self(code)),
            _ => Err(InvalidCloseCode(code)),
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that no Close may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCloseCode(
    /// The refused number.
    pub u16,
);

impl fmt::Display for InvalidCloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "close code {} may not be sent: use 1000-1003, 1007-1014 or 3000-4999", self.0)
    }
}

impl std::error::Error for InvalidCloseCode {}

/// What a Close says: nothing, or a code with a text of at most 123 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CloseFrame {
    body: Option<(CloseCode, Box<str>)>,
}

impl CloseFrame {
    /// A Close without code and text.
    #[must_use]
    pub const fn empty() -> Self {
        Self { body: None }
    }

    /// A Close with a code and a text, which is cut at a character boundary if it is longer than
    /// [`MAX_CLOSE_TEXT`].
    #[must_use]
    pub fn new(code: CloseCode, text: &str) -> Self {
        let end = text.floor_char_boundary(MAX_CLOSE_TEXT.min(text.len()));
        Self { body: Some((code, text[..end].into())) }
    }

    /// The code, if there is one.
    #[must_use]
    pub fn code(&self) -> Option<CloseCode> {
        self.body.as_ref().map(|(code, _)| *code)
    }

    /// The text; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.body.as_ref().map_or("", |(_, text)| text)
    }

    /// The same code with an empty text, which is how a peer's Close is answered.
    #[must_use]
    pub fn echo(&self) -> Self {
        Self { body: self.code().map(|code| (code, "".into())) }
    }

    /// Reads the unmasked payload of a Close.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Rule> {
        match payload {
            [] => Ok(Self::empty()),
            [_] => Err(Rule::ClosePayload),
            [high, low, text @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                let code = CloseCode::try_from(code).map_err(|_| Rule::CloseCode)?;
                let text = std::str::from_utf8(text).map_err(|_| Rule::CloseText)?;
                Ok(Self { body: Some((code, text.into())) })
            }
        }
    }

    /// The payload to send, unmasked.
    pub(crate) fn payload(&self) -> Vec<u8> {
        match &self.body {
            None => Vec::new(),
            Some((code, text)) => {
                let mut payload = code.get().to_be_bytes().to_vec();
                payload.extend_from_slice(text.as_bytes());
                payload
            }
        }
    }
}

#[cfg(test)]
mod tests;
