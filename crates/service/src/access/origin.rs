//! Pure: the `Origin` header (RFC 6454 section 7) and the scheme of a request.

use std::fmt;

use super::host::Authority;

/// How the client reached us. The HTTP server puts it into the request; without it a request counts
/// as plain HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS, ours or a trusted proxy's.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Who a page belongs to: scheme, host, port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: Box<str>,
    authority: Authority,
}

impl Origin {
    /// Reads `scheme://host[:port]`. `None` for anything else; `null` is nobody's origin.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let first = scheme.bytes().next()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !first.is_ascii_alphabetic() || !scheme.bytes().all(plain) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase().into_boxed_str();
        let mut authority = Authority::parse(authority)?;
        if authority.port == default_port(&scheme) {
            authority.port = None;
        }
        Some(Self { scheme, authority })
    }

    /// The origin of the pages that a request with this scheme and `Host` belongs to.
    pub fn of_request(scheme: Scheme, host: &Authority) -> Self {
        let mut authority = host.clone();
        if authority.port == default_port(scheme.as_str()) {
            authority.port = None;
        }
        Self { scheme: scheme.as_str().into(), authority }
    }

    /// Its host and port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its scheme in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}
