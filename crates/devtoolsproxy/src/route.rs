//! Pure: which sandbox a request means and what it asks of it, from its path, Host and method.
//!
//! Every way to name a sandbox ends in the same [`Address`]: the id, the part of the path that
//! stays in front of everything, and the rest. What follows the address is one table
//! ([`Route::of`]), so a route behaves the same under each of them.

use std::borrow::Cow;

use http::Method;
use telemetry::words::Addressing;

#[cfg(test)]
mod tests;

/// How a listener reads the requests that reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Face {
    /// Many sandboxes on one host: by path prefix, by browser path, by subdomain, quick connect.
    Shared {
        /// The host whose subdomains name sandboxes (`example.org`); `None` switches that form
        /// off.
        subdomains_of: Option<String>,
    },
    /// Every path is this one sandbox: its own port, or the sidecar beside one browser.
    Fixed {
        /// The sandbox.
        sandbox: String,
        /// The word for it in events: [`Addressing::Port`] or [`Addressing::Sidecar`].
        form: Addressing,
    },
}

/// One sandbox as a request named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// Which form the client used.
    pub form: Addressing,
    /// The sandbox id. It has the form of an id; whether it exists is the directory's to say.
    pub sandbox: &'a str,
    /// What stays in front of every path inside this sandbox (`/sandboxes/{id}`), or nothing.
    pub prefix: String,
    /// The path inside the sandbox, with its leading slash and without a trailing one.
    pub rest: &'a str,
}

/// What the address part of a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located<'a> {
    /// A sandbox.
    Sandbox(Address<'a>),
    /// A sandbox for the life of this socket.
    Quick,
    /// Nothing that this listener serves.
    Nothing,
}

/// Reads the address of a request: which sandbox, under which form.
///
/// `host` is the Host header (or the authority of the request line) with or without its port.
#[must_use]
pub fn locate<'a>(face: &'a Face, host: Option<&'a str>, path: &'a str) -> Located<'a> {
    let path = trim_slashes(path);
    match face {
        Face::Fixed { sandbox, form } => {
            Located::Sandbox(Address { form: *form, sandbox, prefix: String::new(), rest: path })
        }
        Face::Shared { subdomains_of } => {
            let named = subdomains_of.as_deref().zip(host);
            if let Some(sandbox) = named.and_then(|(parent, host)| subdomain_id(parent, host)) {
                let form = Addressing::Subdomain;
                return Located::Sandbox(Address {
                    form,
                    sandbox,
                    prefix: String::new(),
                    rest: path,
                });
            }
            locate_on_shared_host(path)
        }
    }
}

fn locate_on_shared_host(path: &str) -> Located<'_> {
    if path == "/connect" {
        return Located::Quick;
    }
    if let Some(sandbox) = path.strip_prefix("/devtools/browser/") {
        return match is_sandbox_id(sandbox) {
            true => Located::Sandbox(Address {
                form: Addressing::BrowserPath,
                sandbox,
                prefix: String::new(),
                rest: path,
            }),
            false => Located::Nothing,
        };
    }
    let Some(inside) = path.strip_prefix("/sandboxes/") else { return Located::Nothing };
    let (sandbox, rest) = match inside.find('/') {
        Some(at) => inside.split_at(at),
        None => (inside, "/"),
    };
    if !is_sandbox_id(sandbox) {
        return Located::Nothing;
    }
    Located::Sandbox(Address {
        form: Addressing::Path,
        sandbox,
        prefix: format!("/sandboxes/{sandbox}"),
        rest,
    })
}

/// The sandbox id in a Host of the form `{id}.{parent}` or `{id}--{key}.{parent}`.
///
/// The key is a token; checking it belongs to the access check, here it is only cut off.
#[must_use]
pub fn subdomain_id<'a>(parent: &str, host: &'a str) -> Option<&'a str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let cut = name.len().checked_sub(parent.len())?;
    if !name.is_char_boundary(cut) || !name[cut..].eq_ignore_ascii_case(parent) {
        return None;
    }
    let label = name[..cut].strip_suffix('.')?;
    let id = label.split_once("--").map_or(label, |(id, _key)| id);
    is_sandbox_id(id).then_some(id)
}

/// Whether `text` has the form of a sandbox id: a DNS label of at most 35 characters that fits in
/// front of a key in a subdomain, so without `--`.
#[must_use]
pub fn is_sandbox_id(text: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    (1..=35).contains(&text.len())
        && text.bytes().all(|byte| inner(&byte))
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// Which of the browser's sockets an upgrade is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The browser itself.
    Browser,
    /// One target. Chromium 156 serves every kind of target under `/devtools/page/` and nothing
    /// under the other kinds, so the kind is not kept.
    Page {
        /// The target id.
        target: String,
    },
}

impl Endpoint {
    /// The path to ask the browser for, when its own browser endpoint is `browser_path`.
    #[must_use]
    pub fn upstream_path<'a>(&'a self, browser_path: &'a str) -> Cow<'a, str> {
        match self {
            Self::Browser => Cow::Borrowed(browser_path),
            Self::Page { target } => Cow::Owned(format!("/devtools/page/{target}")),
        }
    }
}

/// What a request asks of the sandbox it named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/json/version`, rewritten.
    Version,
    /// `/json` and `/json/list`, rewritten.
    List,
    /// `/json/protocol`, streamed as it is.
    Protocol,
    /// `/json/new`, rewritten.
    New {
        /// The URL to open, as the client wrote it; empty for a blank page.
        url: String,
    },
    /// `/json/activate/{target}`.
    Activate {
        /// The target id.
        target: String,
    },
    /// `/json/close/{target}`.
    Close {
        /// The target id.
        target: String,
    },
    /// A WebSocket.
    Socket(Endpoint),
}

/// Why a request inside a sandbox has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefused {
    /// A target id that no browser could have made.
    #[error("no such target: a target id is 1 to 128 of A-Z a-z 0-9 _ . -")]
    Target,
    /// The route exists under other methods.
    #[error("method not allowed here: use {allow}")]
    Method {
        /// The methods, as the `Allow` header names them.
        allow: &'static str,
    },
    /// A WebSocket route without an upgrade.
    #[error("this is a WebSocket address: connect with ws://, or ask /json/version over http")]
    UpgradeMissing,
}

const READ: &str = "GET, HEAD";

impl Route {
    /// Reads the route of a request inside a sandbox.
    ///
    /// `rest` is [`Address::rest`]; `upgrade` says whether the request asks for a WebSocket. The
    /// query is ignored except by `/json/new`.
    ///
    /// # Errors
    /// [`RouteRefused`] names what is wrong and what would be right.
    pub fn of(
        method: &Method,
        rest: &str,
        query: Option<&str>,
        upgrade: bool,
    ) -> Result<Self, RouteRefused> {
        let rest = trim_slashes(rest);
        let read = |route| match *method {
            Method::GET | Method::HEAD => Ok(route),
            _ => Err(RouteRefused::Method { allow: READ }),
        };
        match rest {
            "/json/version" => return read(Self::Version),
            "/json" | "/json/list" => return read(Self::List),
            "/json/protocol" => return read(Self::Protocol),
            "/json/new" => {
                return match *method {
                    Method::PUT => Ok(Self::New { url: url_to_open(query).to_owned() }),
                    _ => Err(RouteRefused::Method { allow: "PUT" }),
                };
            }
            _ => {}
        }
        for (path, make) in [
            ("/json/activate/", (|target| Self::Activate { target }) as fn(String) -> Self),
            ("/json/close/", |target| Self::Close { target }),
        ] {
            if let Some(target) = rest.strip_prefix(path) {
                let target = target_id(target)?;
                return match *method {
                    Method::GET | Method::PUT => Ok(make(target)),
                    _ => Err(RouteRefused::Method { allow: "GET, PUT" }),
                };
            }
        }
        let endpoint = endpoint(rest)?;
        match (method, upgrade) {
            (&Method::GET, true) => Ok(Self::Socket(endpoint)),
            (&Method::GET | &Method::HEAD, false) => Err(RouteRefused::UpgradeMissing),
            _ => Err(RouteRefused::Method { allow: "GET" }),
        }
    }

    /// The route's shape for a metric label: never the path itself.
    #[must_use]
    pub fn template(&self) -> &'static str {
        match self {
            Self::Version => "/json/version",
            Self::List => "/json/list",
            Self::Protocol => "/json/protocol",
            Self::New { .. } => "/json/new",
            Self::Activate { .. } => "/json/activate/{target}",
            Self::Close { .. } => "/json/close/{target}",
            Self::Socket(Endpoint::Browser) => "/devtools/browser/{sandbox}",
            Self::Socket(Endpoint::Page { .. }) => "/devtools/page/{target}",
        }
    }
}

/// The endpoint that an upgrade on `rest` reaches: a target's own, else the browser's, whatever
/// the path says. Clients append paths of their own, keep those of an earlier browser, or none.
fn endpoint(rest: &str) -> Result<Endpoint, RouteRefused> {
    const KINDS: [&str; 6] =
        ["page", "worker", "shared_worker", "service_worker", "iframe", "other"];
    let Some(inside) = rest.strip_prefix("/devtools/") else { return Ok(Endpoint::Browser) };
    let (kind, target) = inside.split_once('/').unwrap_or((inside, ""));
    match KINDS.contains(&kind) {
        true => Ok(Endpoint::Page { target: target_id(target)? }),
        false => Ok(Endpoint::Browser),
    }
}

fn target_id(text: &str) -> Result<String, RouteRefused> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    // A dot segment is the one thing in that alphabet that a path gives another meaning.
    let dots = matches!(text, "." | "..");
    match (1..=128).contains(&text.len()) && text.bytes().all(good) && !dots {
        true => Ok(text.to_owned()),
        false => Err(RouteRefused::Target),
    }
}

/// The whole query of `/json/new` is the URL to open, except a token in front of it.
fn url_to_open(query: Option<&str>) -> &str {
    let query = query.unwrap_or("");
    match query.strip_prefix("token=") {
        Some(rest) => rest.split_once('&').map_or("", |(_token, url)| url),
        None => query,
    }
}

/// The token in a query, still percent-encoded, so that it can be put back as it came.
///
/// On `/json/new` only the first parameter can be ours: what follows belongs to the URL to open.
#[must_use]
pub fn query_token<'a>(rest: &str, query: Option<&'a str>) -> Option<&'a str> {
    let only_first = trim_slashes(rest) == "/json/new";
    let count = if only_first { 1 } else { usize::MAX };
    query?.split('&').take(count).find_map(|part| part.strip_prefix("token="))
}

/// Whether a request asks to become a WebSocket.
#[must_use]
pub fn wants_websocket(headers: &http::HeaderMap) -> bool {
    headers
        .get_all(http::header::UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

fn trim_slashes(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    }
}
