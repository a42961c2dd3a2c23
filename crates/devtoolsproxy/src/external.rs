//! Pure: the address under which the client reached us, which is the one that answers advertise.
//!
//! In this order: what the operator set, what a trusted proxy forwarded, what the request itself
//! says. A header from anybody else than a trusted proxy changes nothing.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};

use crate::route::Address;

#[cfg(test)]
mod tests;

/// A fixed outside address, for deployments behind something that forwards no headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Whether clients speak TLS.
    pub tls: bool,
    /// Host, and port if it is not the default one.
    pub authority: String,
    /// Path in front of everything, without a trailing slash; often empty.
    pub prefix: String,
}

/// A public URL that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("public_url must be http(s)://host[:port][/path] without user, query or fragment")]
pub struct BadPublicUrl;

impl std::str::FromStr for PublicUrl {
    type Err = BadPublicUrl;

    fn from_str(text: &str) -> Result<Self, BadPublicUrl> {
        let (tls, rest) = match text.split_once("://") {
            Some(("http" | "ws", rest)) => (false, rest),
            Some(("https" | "wss", rest)) => (true, rest),
            Some(_) | None => return Err(BadPublicUrl),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let prefix = path.trim_end_matches('/');
        match is_authority(authority) && is_prefix(prefix) {
            true => Ok(Self { tls, authority: authority.to_owned(), prefix: prefix.to_owned() }),
            false => Err(BadPublicUrl),
        }
    }
}

/// A block of addresses whose forwarded headers are believed (`10.0.0.0/8`, `::1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A network that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trusted proxy is an IP address or a block such as 10.0.0.0/8")]
pub struct BadNetwork;

impl std::str::FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| BadNetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(widest);
        if bits > widest { Err(BadNetwork) } else { Ok(Self { address, bits }) }
    }
}

impl Network {
    /// Whether `peer` is inside. An IPv4 peer on a dual-stack socket counts as IPv4.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        let (mine, theirs, widest) = match (self.address, peer.to_canonical()) {
            (IpAddr::V4(mine), IpAddr::V4(peer)) => {
                (u128::from(u32::from(mine)), u128::from(u32::from(peer)), 32)
            }
            (IpAddr::V6(mine), IpAddr::V6(peer)) => (u128::from(mine), u128::from(peer), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let shift = widest - u32::from(self.bits);
        mine.checked_shr(shift).unwrap_or(0) == theirs.checked_shr(shift).unwrap_or(0)
    }
}

/// Where a client reaches one sandbox, for the URLs in answers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// `wss` and `https` instead of `ws` and `http`.
    pub tls: bool,
    /// Host and port as the client wrote them.
    pub authority: String,
    /// Path in front of every path inside the sandbox.
    pub prefix: String,
    /// The sandbox id, which stands where the browser's own GUID stood.
    pub sandbox: String,
    /// The token that came in the query, as it was encoded there.
    pub token: Option<String>,
}

/// What is known about a request besides its headers.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The setting, if any.
    pub public_url: Option<&'a PublicUrl>,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: &'a [Network],
    /// The other end of the socket.
    pub peer: Option<IpAddr>,
    /// Whether this very socket is TLS.
    pub tls: bool,
    /// Host header, or the authority of the request line.
    pub host: &'a str,
}

impl External {
    /// Works out where the client of a request reaches the sandbox at `address`.
    #[must_use]
    pub fn of(
        seen: Seen<'_>,
        headers: &HeaderMap,
        address: &Address<'_>,
        token: Option<&str>,
    ) -> Self {
        let trusted =
            seen.peer.is_some_and(|peer| seen.trusted_proxies.iter().any(|net| net.contains(peer)));
        let forwarded = if trusted { Forwarded::read(headers) } else { Forwarded::default() };
        let (tls, authority, front) = match seen.public_url {
            Some(url) => (url.tls, url.authority.clone(), url.prefix.clone()),
            None => (
                forwarded.tls.unwrap_or(seen.tls),
                forwarded.authority(seen.host),
                forwarded.prefix.unwrap_or_default(),
            ),
        };
        Self {
            tls,
            authority,
            prefix: format!("{front}{}", address.prefix),
            sandbox: address.sandbox.to_owned(),
            token: token.map(str::to_owned),
        }
    }
}

#[derive(Default)]
struct Forwarded {
    tls: Option<bool>,
    host: Option<String>,
    port: Option<u16>,
    prefix: Option<String>,
}

impl Forwarded {
    /// `Forwarded` (RFC 7239) wins over the `X-Forwarded` family; of a list the first entry is
    /// the one nearest to the client.
    fn read(headers: &HeaderMap) -> Self {
        let first = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.split(',').next().unwrap_or(value).trim().to_owned())
        };
        let x = |name: &'static str| first(HeaderName::from_static(name));
        let mut found = Self {
            tls: x("x-forwarded-proto").and_then(|proto| is_tls(&proto)),
            host: x("x-forwarded-host").filter(|host| is_authority(host)),
            port: x("x-forwarded-port").and_then(|port| port.parse().ok()),
            prefix: x("x-forwarded-prefix")
                .map(|prefix| prefix.trim_end_matches('/').to_owned())
                .filter(|prefix| is_prefix(prefix)),
        };
        for part in first(header::FORWARDED).unwrap_or_default().split(';') {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "proto" => found.tls = is_tls(value).or(found.tls),
                "host" if is_authority(value) => {
                    found.host = Some(value.to_owned());
                    found.port = None;
                }
                _ => {}
            }
        }
        found
    }

    fn authority(&self, host: &str) -> String {
        let host = self.host.as_deref().unwrap_or(host);
        let default_port = if self.tls == Some(true) { 443 } else { 80 };
        match self.port {
            Some(port) if !has_port(host) && port != default_port => format!("{host}:{port}"),
            Some(_) | None => host.to_owned(),
        }
    }
}

fn is_tls(proto: &str) -> Option<bool> {
    match proto.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

fn has_port(host: &str) -> bool {
    let after_bracket = host.rsplit(']').next().unwrap_or(host);
    after_bracket.contains(':')
}

/// Letters, digits and what hosts, ports and IPv6 literals need: nothing that could end a URL
/// part or a JSON string.
fn is_authority(text: &str) -> bool {
    let good = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    !text.is_empty() && text.bytes().all(good)
}

fn is_prefix(text: &str) -> bool {
    let good = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~' | b'%')
    };
    (text.is_empty() || text.starts_with('/')) && !text.starts_with("//") && text.bytes().all(good)
}
