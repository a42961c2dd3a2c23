//! Pure: the one form of address that is ever dialled, and the rules for accepting it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// Path of the browser endpoint; the GUID follows (Chromium DevTools HTTP handler).
const BROWSER_PATH: &str = "/devtools/browser/";
/// Longest accepted instance id. Chromium's are 36 characters.
const MAX_GUID: usize = 64;
/// Longest accepted address: a full DNS name, the path and the longest id fit with room to spare.
const MAX_URL: usize = 512;
/// Port of a `ws` address that names none (RFC 6455 section 3).
const DEFAULT_PORT: u16 = 80;

/// A validated DevTools browser address: `ws://host:port/devtools/browser/<guid>`.
///
/// It is always in normal form (lower case host, explicit port, no user part, query or fragment),
/// so two equal addresses are equal values. A clone is a reference count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WsUrl {
    text: Arc<str>,
    /// End of `host:port` in `text`; it starts after `ws://`.
    authority_end: u16,
    port: u16,
}

impl WsUrl {
    /// Takes `text` if it has the right form and `policy` allows where it leads.
    ///
    /// # Errors
    /// The first rule it breaks; see [`UrlError`].
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, UrlError> {
        if text.len() > MAX_URL || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(UrlError::Malformed);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("ws") {
            return Err(UrlError::Scheme);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::UserPart);
        }
        let (host, port) = split_authority(authority)?;
        let host = Host::normalise(host).ok_or(UrlError::Malformed)?;
        if !policy.allows_host(&host) {
            return Err(UrlError::Host);
        }
        if port == 0 || policy.expected_port.is_some_and(|expected| expected != port) {
            return Err(UrlError::Port);
        }
        // A fragment never reaches a server, so it is no part of the address.
        let path = path.split_once('#').map_or(path, |(path, _)| path);
        let guid = path.strip_prefix(BROWSER_PATH).ok_or(UrlError::Path)?;
        Self::build(&host, port, guid)
    }

    /// The address of instance `guid` at a place that the operator has named, so no policy is
    /// asked. `host` is a name or an IP address, without brackets.
    ///
    /// # Errors
    /// [`UrlError::Malformed`] for a bad host, [`UrlError::Port`] for port 0, [`UrlError::Path`]
    /// for a GUID that is empty, longer than 64 characters or not made of `[A-Za-z0-9-]`.
    pub fn from_parts(host: &str, port: u16, guid: &str) -> Result<Self, UrlError> {
        let host = Host::normalise(host).ok_or(UrlError::Malformed)?;
        if port == 0 {
            return Err(UrlError::Port);
        }
        Self::build(&host, port, guid)
    }

    /// The address of another instance at the same place.
    ///
    /// # Errors
    /// [`UrlError::Path`] if `guid` cannot be an instance id.
    pub fn with_guid(&self, guid: &str) -> Result<Self, UrlError> {
        Self::from_parts(self.host(), self.port, guid)
    }

    fn build(host: &Host, port: u16, guid: &str) -> Result<Self, UrlError> {
        if guid.is_empty()
            || guid.len() > MAX_GUID
            || !guid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Err(UrlError::Path);
        }
        let authority = match host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
            Host::Ip(IpAddr::V4(ip)) => format!("{ip}:{port}"),
            Host::Name(name) => format!("{name}:{port}"),
        };
        let authority_end =
            u16::try_from(SCHEME.len() + authority.len()).map_err(|_| UrlError::Malformed)?;
        let text = format!("{SCHEME}{authority}{BROWSER_PATH}{guid}").into();
        Ok(Self { text, authority_end, port })
    }

    /// The whole address in normal form.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `host:port`, an IPv6 host in brackets: what a `Host` header carries.
    pub fn authority(&self) -> &str {
        self.text.get(SCHEME.len()..usize::from(self.authority_end)).unwrap_or_default()
    }

    /// The host, an IPv6 address without its brackets: what a resolver or `connect` takes.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port, never 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` for a request to this browser over a socket to `peer`. Chromium serves only
    /// requests whose `Host` is an IP address or localhost, so a browser that is reached by name
    /// is asked under the address that the name has led to.
    pub fn host_header(&self, peer: SocketAddr) -> String {
        host_header(self.host(), self.port, peer)
    }

    /// The path: `/devtools/browser/<guid>`.
    pub fn path(&self) -> &str {
        self.text.get(usize::from(self.authority_end)..).unwrap_or_default()
    }

    /// The id of the browser instance. Whoever knows it may drive the browser: do not log it.
    pub fn guid(&self) -> &str {
        self.path().strip_prefix(BROWSER_PATH).unwrap_or_default()
    }
}

const SCHEME: &str = "ws://";

impl fmt::Display for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl FromStr for WsUrl {
    type Err = UrlError;

    /// Parses under the default policy: loopback hosts, any port.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text, &UrlPolicy::default())
    }
}

/// Which addresses a source may accept.
///
/// The default allows loopback hosts (`localhost`, `127.0.0.0/8`, `::1`) and any port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlPolicy {
    /// Hosts that are allowed besides loopback: names or IP addresses, without port.
    pub allowed_hosts: Vec<String>,
    /// The only port that is accepted. Set it whenever it is known: a page can print a line that
    /// looks like an announcement.
    pub expected_port: Option<u16>,
}

impl UrlPolicy {
    /// Loopback hosts, and this port only.
    pub const fn loopback_port(port: u16) -> Self {
        Self { allowed_hosts: Vec::new(), expected_port: Some(port) }
    }

    fn allows_host(&self, host: &Host) -> bool {
        host.is_loopback()
            || self
                .allowed_hosts
                .iter()
                .any(|allowed| Host::normalise(allowed).as_ref() == Some(host))
    }
}

/// Why an address was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UrlError {
    /// Not an absolute address in printable ASCII of at most 512 bytes, or a bad host.
    #[error("the browser address is not a URL: expected ws://host:port/devtools/browser/<id>")]
    Malformed,
    /// The scheme is not `ws`.
    #[error("the scheme of the browser address is not ws")]
    Scheme,
    /// It carries a user name or password.
    #[error("the browser address has a user part; remove it")]
    UserPart,
    /// The host is neither loopback nor allowed by name.
    #[error(
        "the host of the browser address is not loopback; add it to allowed_hosts to accept it"
    )]
    Host,
    /// Port 0, not a number, or not the expected one.
    #[error("the port of the browser address is 0, not a number or not the expected port")]
    Port,
    /// Not `/devtools/browser/` and an id of 1 to 64 letters, digits and dashes.
    #[error("the path of the browser address is not /devtools/browser/<id>")]
    Path,
}

impl UrlError {
    /// A stable word for logs and metric labels.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Scheme => "scheme",
            Self::UserPart => "user_part",
            Self::Host => "host",
            Self::Port => "port",
            Self::Path => "path",
        }
    }
}

/// A host in normal form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Host {
    /// Reads a host without brackets. Number forms that only some resolvers understand (`127.1`,
    /// `0x7f000001`) stay names, so they are not taken for loopback.
    pub(crate) fn normalise(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self::Ip(ip.to_canonical()));
        }
        let valid = !text.is_empty()
            && text.len() <= 253
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        valid.then(|| Self::Name(text.to_ascii_lowercase()))
    }

    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }
}

fn split_authority(authority: &str) -> Result<(&str, u16), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(UrlError::Malformed)?;
            host.parse::<Ipv6Addr>().map_err(|_| UrlError::Malformed)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(UrlError::Malformed),
            }
        }
        None => match authority.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return Err(UrlError::Malformed),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| UrlError::Port)?
        }
        Some(_) => return Err(UrlError::Port),
    };
    Ok((host, port))
}

pub(crate) fn host_header(host: &str, port: u16, peer: SocketAddr) -> String {
    match Host::normalise(host) {
        Some(Host::Name(name)) if name == "localhost" => format!("{name}:{port}"),
        Some(Host::Ip(_) | Host::Name(_)) | None => peer.to_string(),
    }
}

/// The host of whatever `text` is, made safe for a log line: the only part of a refused address
/// that is ever logged.
pub(crate) fn host_for_log(text: &str) -> String {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[') {
        Some(ip) => ip.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    host.chars().take(64).map(|c| if safe(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
