//! Who may send us requests: `Host`, `Origin`, token, in that order and before any routing.
//!
//! A service on loopback is reachable by every page the user has open. The `Host` check stops
//! foreign names that were made to resolve to this machine; the `Origin` check stops pages of other
//! origins, other ports of localhost included; the token keeps out other users and networks.

mod denied;
mod host;
mod origin;
mod principals;
mod proxies;
mod router;
mod scope;
mod token;
mod tokens_file;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header;
use http::request::Parts;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

pub use denied::AccessDenied;
pub use host::{Authority, Host, HostPattern};
pub use origin::{Origin, Scheme};
pub use principals::{Principal, Principals};
pub use proxies::Network;
pub(crate) use router::error_body;
pub use router::{denial_body, protect, protect_known, protect_without_token};
pub use scope::{Level, Need, Realm, Scopes};
pub use token::{TokenInQuery, query_token, without_token};
pub use tokens_file::TokensFile;

use token::{Presented, presented};

/// Refusals by cause. Register it once per process; clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct AccessMetrics {
    refused: Family<[(&'static str, &'static str); 1], Counter>,
}

impl AccessMetrics {
    /// Adds `access_refused_total{cause}` to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "access_refused",
            "Requests refused before routing, by cause",
            this.refused.clone(),
        );
        this
    }

    fn count(&self, denied: AccessDenied) {
        self.refused.get_or_create(&[("cause", denied.kind())]).inc();
    }
}

/// What the settings say about access.
#[derive(Default)]
pub struct AccessSettings {
    /// Hosts answered to besides localhost and address literals.
    pub hosts: Vec<HostPattern>,
    /// The host of the public URL; it and everything below it are answered to.
    pub public_host: Option<String>,
    /// Origins let in besides the request's own.
    pub origins: Vec<Origin>,
    /// The token of somebody who may do everything.
    pub token: Option<String>,
    /// Tokens with scopes. Without these and without the one above, everybody who passes the other
    /// checks is let in.
    pub tokens: Option<Arc<TokensFile>>,
    /// Peers whose `X-Forwarded-Proto` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Where refusals are counted.
    pub metrics: AccessMetrics,
}

/// The checks, ready to run. Clones are cheap and share the settings.
#[derive(Clone)]
pub struct Access {
    shared: Arc<Shared>,
    more_origins: Arc<[Origin]>,
    first_parameter_paths: &'static [&'static str],
}

struct Shared {
    hosts: Vec<HostPattern>,
    origins: Vec<Origin>,
    token: Principals,
    tokens: Option<Arc<TokensFile>>,
    trusted_proxies: Vec<Network>,
    metrics: AccessMetrics,
    local: Principal,
}

impl Access {
    /// Builds the checks.
    pub fn new(settings: AccessSettings) -> Self {
        let mut hosts = settings.hosts;
        hosts.extend(HostPattern::parse("localhost"));
        hosts.extend(settings.public_host.as_deref().and_then(HostPattern::with_below));
        Self {
            shared: Arc::new(Shared {
                hosts,
                origins: settings.origins,
                token: settings.token.map_or_else(Principals::default, |token| {
                    Principals::default().with_all(&token, "token")
                }),
                tokens: settings.tokens,
                trusted_proxies: settings.trusted_proxies,
                metrics: settings.metrics,
                local: Principal::of_all(Principal::LOCAL),
            }),
            more_origins: Arc::default(),
            first_parameter_paths: &[],
        }
    }

    /// The same checks for routes that let in more origins, the DevTools front-end's for example.
    #[must_use]
    pub fn with_origins(&self, more: impl IntoIterator<Item = Origin>) -> Self {
        let more_origins = self.more_origins.iter().cloned().chain(more).collect();
        Self { more_origins, ..self.clone() }
    }

    /// The same checks, where on paths with one of these ends only the first parameter of a query may
    /// be the token, because the rest is a URL of its own. A final slash of the path is ignored.
    #[must_use]
    pub fn with_first_parameter_on(&self, paths: &'static [&'static str]) -> Self {
        Self { first_parameter_paths: paths, ..self.clone() }
    }

    /// Whether a token is needed at all.
    pub fn needs_token(&self) -> bool {
        !self.shared.token.is_empty() || self.shared.tokens.is_some()
    }

    /// Where in the query of this path a token may stand.
    pub fn token_in_query(&self, path: &str) -> TokenInQuery {
        let path = path.strip_suffix('/').unwrap_or(path);
        if self.first_parameter_paths.iter().any(|end| path.ends_with(end)) {
            TokenInQuery::FirstOnly
        } else {
            TokenInQuery::Anywhere
        }
    }

    /// Checks host, origin and token of a request, and whether whose token it is may do this.
    ///
    /// # Errors
    /// The first of them that does not hold.
    pub fn check(
        &self,
        parts: &Parts,
        peer: Option<SocketAddr>,
        need: &Need,
    ) -> Result<Principal, AccessDenied> {
        self.count(self.host_and_origin(parts, peer).and_then(|()| self.token(parts, need)))
    }

    /// Checks host and origin only, for routes that need no token.
    ///
    /// # Errors
    /// The first of them that does not hold.
    pub fn check_without_token(
        &self,
        parts: &Parts,
        peer: Option<SocketAddr>,
    ) -> Result<(), AccessDenied> {
        self.count(self.host_and_origin(parts, peer))
    }

    /// How the client reached us: over TLS if the server says so, or if a trusted proxy does.
    pub fn scheme(&self, parts: &Parts, peer: Option<SocketAddr>) -> Scheme {
        let trusted = |peer: SocketAddr| {
            self.shared.trusted_proxies.iter().any(|network| network.contains(peer.ip()))
        };
        let forwarded = || {
            // The last one was added by the proxy that talks to us; earlier ones anybody can write.
            let last = parts.headers.get_all("x-forwarded-proto").iter().next_back()?;
            let text = last.to_str().ok()?.rsplit(',').next()?.trim();
            let tls = text.eq_ignore_ascii_case("https") || text.eq_ignore_ascii_case("wss");
            Some(if tls { Scheme::Https } else { Scheme::Http })
        };
        peer.filter(|peer| trusted(*peer))
            .and_then(|_| forwarded())
            .or_else(|| parts.extensions.get::<Scheme>().copied())
            .unwrap_or(Scheme::Http)
    }

    fn count<T>(&self, outcome: Result<T, AccessDenied>) -> Result<T, AccessDenied> {
        outcome.inspect_err(|denied| self.shared.metrics.count(*denied))
    }

    fn host_and_origin(&self, parts: &Parts, peer: Option<SocketAddr>) -> Result<(), AccessDenied> {
        let host = request_host(parts)?;
        let known = match &host.host {
            Host::V4(_) | Host::V6(_) => true,
            Host::Name(name) => self.shared.hosts.iter().any(|pattern| pattern.matches(name)),
        };
        if !known {
            return Err(AccessDenied::HostRefused);
        }
        let mut origins = parts.headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = origin.to_str().ok().and_then(Origin::parse);
        let (Some(origin), None) = (origin, origins.next()) else {
            return Err(AccessDenied::OriginRefused);
        };
        let own = Origin::of_request(self.scheme(parts, peer), &host);
        let known = self.shared.origins.contains(&origin) || self.more_origins.contains(&origin);
        if origin == own || known { Ok(()) } else { Err(AccessDenied::OriginRefused) }
    }

    fn token(&self, parts: &Parts, need: &Need) -> Result<Principal, AccessDenied> {
        let principal = match presented(parts, self.token_in_query(parts.uri.path())) {
            Presented::Several => return Err(AccessDenied::TokensDiffer),
            _ if !self.needs_token() => return Ok(self.shared.local.clone()),
            Presented::Nothing => return Err(AccessDenied::TokenRequired),
            Presented::One(sent) => self.find(&sent).ok_or(AccessDenied::TokenInvalid)?,
        };
        match need {
            Need::Scope(realm, level) if !principal.may(need) => {
                Err(AccessDenied::ScopeMissing(AccessDenied::scope(realm, *level)))
            }
            _ => Ok(principal),
        }
    }

    /// Whose token it is. Both places are asked, so that the time does not tell which has it.
    fn find(&self, token: &str) -> Option<Principal> {
        let of_setting = self.shared.token.find(token).cloned();
        let of_file = self.shared.tokens.as_ref().and_then(|file| file.find(token));
        of_setting.or(of_file)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("needs_token", &self.needs_token()).finish_non_exhaustive()
    }
}

/// The one host a request is for: its `Host` header, and for a request that names it in the target too
/// (absolute form, HTTP/2) both must agree.
///
/// # Errors
/// Missing, more than one, or malformed.
pub fn request_host(parts: &Parts) -> Result<Authority, AccessDenied> {
    let read = |text: &str| Authority::parse(text).ok_or(AccessDenied::HostMalformed);
    let target = parts.uri.authority().map(|authority| read(authority.as_str())).transpose()?;
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let header = match hosts.next() {
        Some(value) => Some(read(value.to_str().map_err(|_| AccessDenied::HostMalformed)?)?),
        None => None,
    };
    if hosts.next().is_some() {
        return Err(AccessDenied::HostRepeated);
    }
    match (header, target) {
        (Some(header), Some(target)) if header != target => Err(AccessDenied::HostRepeated),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(AccessDenied::HostMissing),
    }
}
