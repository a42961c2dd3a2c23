//! Pure: hosts and ports as they stand in `Host` and `Origin` (RFC 9110 section 7.2, RFC 6454).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name DNS knows (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;

/// A host: an address literal or a name in lower case without its final dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// `127.0.0.1`
    V4(Ipv4Addr),
    /// `[::1]`
    V6(Ipv6Addr),
    /// `example.org`
    Name(Box<str>),
}

impl Host {
    /// Reads a host as it stands in a header or a URL. `None` when it is neither an address literal
    /// nor a name; shortened addresses such as `127.1` are neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            return inner.parse().ok().map(Self::V6);
        }
        if let Ok(v4) = text.parse() {
            return Some(Self::V4(v4));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let good = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let all_digits = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
        let numeric_end = name.rsplit('.').next().is_none_or(all_digits);
        (name.len() <= LONGEST_NAME && name.split('.').all(good) && !numeric_end)
            .then(|| Self::Name(name.to_ascii_lowercase().into_boxed_str()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => v4.fmt(f),
            Self::V6(v6) => write!(f, "[{v6}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A host with the port if one was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port as written; none means the scheme's own.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host` or `host:port`. `None` for anything else: user names, empty ports and ports
    /// above 65535 included.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text[colon..].contains(']') => {
                let digits = &text[colon + 1..];
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                (&text[..colon], Some(digits.parse().ok().filter(|_| plain)?))
            }
            _ => (text, None),
        };
        Some(Self { host: Host::parse(host)?, port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// One entry of the list of hosts we answer to: a name, or with a leading dot the name and everything
/// below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    name: Box<str>,
    below: bool,
}

impl HostPattern {
    /// Reads `example.org` or `.example.org`. `None` for an address (those are always answered to),
    /// a port or anything that is not a name.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, below) = text.strip_prefix('.').map_or((text, false), |name| (name, true));
        match Host::parse(name)? {
            Host::Name(name) => Some(Self { name, below }),
            Host::V4(_) | Host::V6(_) => None,
        }
    }

    /// The name and everything below it.
    pub(crate) fn with_below(name: &str) -> Option<Self> {
        Self::parse(name).map(|pattern| Self { below: true, ..pattern })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match name.strip_suffix(&*self.name) {
            Some("") => true,
            Some(front) => self.below && front.ends_with('.'),
            None => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "." } else { "" }, self.name)
    }
}
