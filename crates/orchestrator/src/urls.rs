//! Pure: the addresses that answers advertise.

use std::fmt;

use crate::ids::LifecycleId;

/// Builds the DevTools addresses of a sandbox.
///
/// The address that a client is given is the one it used itself to reach the node, unless the node
/// was told its public one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlBuilder {
    base: Base,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    Public { tls: bool, rest: String },
    Request { tls: bool, fallback: String },
}

/// Whoever gives sandboxes ports of their own.
pub trait OwnPorts: Send + Sync + 'static {
    /// Where the own port of this incarnation is for a client that sent this Host header; `None` if
    /// it has none, or has ended. Called for every answer that shows a sandbox: must not block.
    fn url(&self, id: &str, lifecycle: &LifecycleId, host: Option<&str>) -> Option<String>;
}

/// The forms of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdpUrls {
    /// For clients that ask over HTTP first.
    pub cdp_url: String,
    /// For clients that open a websocket at once.
    pub ws_url: String,
    /// At a port of its own, if it has one.
    pub port_url: Option<String>,
}

/// Why a text is no public base address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlError {
    /// Neither `http://` nor `https://`.
    #[error("must start with http:// or https://, such as https://browsers.example.com")]
    Scheme,
    /// No host, or one with characters that no host has.
    #[error("has no valid host, write for example https://browsers.example.com")]
    Host,
    /// A query, fragment or user.
    #[error("must have no user, query or fragment, only host, port and path")]
    Extra,
}

impl UrlBuilder {
    /// Every answer shows this public address.
    ///
    /// # Errors
    /// See [`PublicUrlError`].
    pub fn public(url: &str) -> Result<Self, PublicUrlError> {
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(PublicUrlError::Scheme),
        };
        let rest = rest.trim_end_matches('/');
        let host = rest.split('/').next().unwrap_or_default();
        if rest.contains(['@', '?', '#']) {
            return Err(PublicUrlError::Extra);
        }
        if !plain_authority(host) || rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(PublicUrlError::Host);
        }
        Ok(Self { base: Base::Public { tls, rest: rest.to_owned() } })
    }

    /// Each answer shows the host of its request, and `listening`, such as `127.0.0.1:7300`, where
    /// there is none.
    pub fn of_request(listening: impl fmt::Display) -> Self {
        Self { base: Base::Request { tls: false, fallback: listening.to_string() } }
    }

    /// The same for a node that speaks TLS itself. A public address says for itself what is spoken.
    #[must_use]
    pub fn with_tls(mut self, speaks_tls: bool) -> Self {
        if let Base::Request { tls, .. } = &mut self.base {
            *tls = speaks_tls;
        }
        self
    }

    /// The addresses of a sandbox for a client that sent this Host header.
    pub fn urls(&self, host: Option<&str>, id: &str) -> CdpUrls {
        let (tls, rest) = match &self.base {
            Base::Public { tls, rest } => (*tls, rest.as_str()),
            Base::Request { tls, fallback } => {
                (*tls, host.filter(|host| plain_authority(host)).unwrap_or(fallback))
            }
        };
        let (http, ws) = if tls { ("https", "wss") } else { ("http", "ws") };
        CdpUrls {
            cdp_url: format!("{http}://{rest}/sandboxes/{id}"),
            ws_url: format!("{ws}://{rest}/sandboxes/{id}/devtools/browser/{id}"),
            port_url: None,
        }
    }
}

/// A host name or address with or without a port, and nothing that could change what a URL means.
fn plain_authority(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_shows_the_host_that_the_client_used() {
        let urls = UrlBuilder::of_request("127.0.0.1:7300").urls(Some("node-1.local:80"), "a");
        assert_eq!(urls.cdp_url, "http://node-1.local:80/sandboxes/a");
        assert_eq!(urls.ws_url, "ws://node-1.local:80/sandboxes/a/devtools/browser/a");
    }

    #[test]
    fn a_node_that_speaks_tls_shows_https_and_wss() {
        let urls = UrlBuilder::of_request("x").with_tls(true).urls(Some("node-1.local"), "a");
        assert_eq!(urls.cdp_url, "https://node-1.local/sandboxes/a");
        assert_eq!(urls.ws_url, "wss://node-1.local/sandboxes/a/devtools/browser/a");
        let public = UrlBuilder::public("http://b.example.com").unwrap().with_tls(true);
        assert_eq!(public.urls(None, "a").cdp_url, "http://b.example.com/sandboxes/a");
    }

    #[test]
    fn without_a_usable_host_it_shows_where_the_node_listens() {
        let builder = UrlBuilder::of_request("[::1]:7300");
        for host in [None, Some(""), Some("a b"), Some("a/b"), Some("x@y"), Some("a?b")] {
            assert_eq!(builder.urls(host, "a").cdp_url, "http://[::1]:7300/sandboxes/a");
        }
    }

    #[test]
    fn a_public_address_goes_before_the_host() {
        let urls = UrlBuilder::public("https://b.example.com/farm/").unwrap().urls(Some("x"), "a");
        assert_eq!(urls.cdp_url, "https://b.example.com/farm/sandboxes/a");
        assert_eq!(urls.ws_url, "wss://b.example.com/farm/sandboxes/a/devtools/browser/a");
    }

    #[test]
    fn what_is_no_public_address_is_refused() {
        assert_eq!(UrlBuilder::public("b.example.com"), Err(PublicUrlError::Scheme));
        assert_eq!(UrlBuilder::public("https://"), Err(PublicUrlError::Host));
        assert_eq!(UrlBuilder::public("https://a b"), Err(PublicUrlError::Host));
        assert_eq!(UrlBuilder::public("https://u@h"), Err(PublicUrlError::Extra));
        assert_eq!(UrlBuilder::public("https://h/?q"), Err(PublicUrlError::Extra));
    }
}
