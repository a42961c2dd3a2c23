//! The settings that every daemon has, and what is built from them.

use std::net::SocketAddr;
use std::time::Duration;

use super::setting::{Key, OptionalKey, Setting};
use super::table::{Finding, Table, Values};
use super::value::{PublicUrl, Secret, Size};
use crate::access::{AccessMetrics, AccessSettings, Host, HostPattern, Network, Origin};
use crate::http::HttpLimits;
use crate::shutdown::ShutdownSettings;

/// Where the daemon listens.
pub static API_LISTEN: Key<SocketAddr> = Key::new(
    "API_LISTEN",
    "127.0.0.1:7300",
    "Where clients reach the daemon. Loopback by default: only this machine.",
);

/// Where the admin routes are, if apart.
pub static ADMIN_LISTEN: OptionalKey<SocketAddr> = OptionalKey::new(
    "ADMIN_LISTEN",
    "on the API port",
    "Moves /healthz, /readyz and /metrics to a port of their own.",
);

/// The address users know.
pub static PUBLIC_URL: OptionalKey<PublicUrl> = OptionalKey::new(
    "PUBLIC_URL",
    "none",
    "The address users know, when a proxy stands in front. Its host and everything below it are \
     answered to.",
);

/// The token.
pub static TOKEN: OptionalKey<Secret> = OptionalKey::new(
    "TOKEN",
    "none",
    "Whoever has it may do everything. Needed by a listener outside loopback.",
);

/// Hosts answered to.
pub static ALLOWED_HOSTS: Key<Vec<HostPattern>> = Key::new(
    "ALLOWED_HOSTS",
    "",
    "Host names answered to besides localhost, addresses and the public host; .example.org means \
     it and all below it. Others are refused, so that no foreign page can reach the daemon under \
     a name of its own.",
);

/// Origins let in.
pub static ALLOWED_ORIGINS: Key<Vec<Origin>> = Key::new(
    "ALLOWED_ORIGINS",
    "",
    "Origins of web pages that may send requests, besides pages served from the very address of \
     the request.",
);

/// Whether metrics need the token.
pub static METRICS_PUBLIC: Key<bool> =
    Key::new("METRICS_PUBLIC", "false", "Lets /metrics be read without the token.");

/// Proxies in front.
pub static TRUSTED_PROXIES: Key<Vec<Network>> = Key::new(
    "TRUSTED_PROXIES",
    "",
    "Networks of the proxies in front. What they say about the client's scheme is believed.",
);

/// How much is logged.
pub static LOG: Key<String> = Key::new(
    "LOG",
    "info",
    "How much is logged: error, warn, info, debug, trace, or a filter by module.",
);

/// How it is logged.
pub static LOG_FORMAT: OptionalKey<String> = OptionalKey::new(
    "LOG_FORMAT",
    "text on a terminal, else json",
    "Lines for people or for programs.",
)
.choices(&["json", "text"]);

/// Largest body.
pub static BODY_LIMIT: Key<Size> =
    Key::new("BODY_LIMIT", "1 MiB", "Largest request body; over it 413.").range("1 KiB", "1 GiB");

/// Largest head.
pub static HEADER_LIMIT: Key<Size> = Key::new(
    "HEADER_LIMIT",
    "32 KiB",
    "Largest request head; over it, or with more than 100 fields, 431.",
)
.range("8 KiB", "1 MiB");

/// Slowest head.
pub static HEADER_TIMEOUT: Key<Duration> = Key::new(
    "HEADER_TIMEOUT",
    "10s",
    "Time for a request head; over it 408. Keeps slow senders from holding connections.",
)
.range("100ms", "5m");

/// Most connections.
pub static MAX_CONNECTIONS: Key<u64> = Key::new(
    "MAX_CONNECTIONS",
    "4096",
    "HTTP connections at once on each listener, upgraded ones not counted; more are refused.",
)
.range("1", "1000000");

/// Time for load balancers.
pub static ANNOUNCE_DELAY: Key<Duration> = Key::new(
    "ANNOUNCE_DELAY",
    "15s",
    "How long a shutdown is announced (/readyz says 503, work is still taken), so that load \
     balancers see it first. Skipped when every listener is on loopback.",
)
.range("0", "10m");

/// Time for a drain.
pub static SHUTDOWN_DRAIN_TIMEOUT: Key<Duration> = Key::new(
    "SHUTDOWN_DRAIN_TIMEOUT",
    "0",
    "How long a shutdown waits for what is running before it forces the end.",
)
.range("1ms", "365d")
.zero("waits for ever")
.unprefixed();

/// Do not wait at all.
pub static FORCE_STOP: Key<bool> = Key::new(
    "FORCE_STOP",
    "false",
    "Makes every shutdown end what is running at once, without waiting.",
)
.unprefixed();

/// Time for a forced end.
pub static FORCE_STOP_TIMEOUT: Key<Duration> = Key::new(
    "FORCE_STOP_TIMEOUT",
    "30s",
    "How long a forced end may clean up. After two thirds of it every process is killed.",
)
.range("1s", "10m");

/// Time for the last steps.
pub static CLOSE_TIMEOUT: Key<Duration> = Key::new(
    "CLOSE_TIMEOUT",
    "30s",
    "How long servers, sinks and logs together may take to close at the very end.",
)
.range("1s", "10m");

/// The listeners' settings.
pub fn listeners() -> [&'static Setting; 3] {
    [API_LISTEN.setting(), ADMIN_LISTEN.setting(), PUBLIC_URL.setting()]
}

/// The settings about who is let in.
pub fn access() -> [&'static Setting; 5] {
    [
        TOKEN.setting(),
        ALLOWED_HOSTS.setting(),
        ALLOWED_ORIGINS.setting(),
        TRUSTED_PROXIES.setting(),
        METRICS_PUBLIC.setting(),
    ]
}

/// The settings about logs.
pub fn logs() -> [&'static Setting; 2] {
    [LOG.setting(), LOG_FORMAT.setting()]
}

/// The limits.
pub fn limits() -> [&'static Setting; 4] {
    [
        BODY_LIMIT.setting(),
        HEADER_LIMIT.setting(),
        HEADER_TIMEOUT.setting(),
        MAX_CONNECTIONS.setting(),
    ]
}

/// The settings about the end.
pub fn shutdown() -> [&'static Setting; 5] {
    [
        SHUTDOWN_DRAIN_TIMEOUT.setting(),
        FORCE_STOP.setting(),
        FORCE_STOP_TIMEOUT.setting(),
        ANNOUNCE_DELAY.setting(),
        CLOSE_TIMEOUT.setting(),
    ]
}

/// All of the above in groups, with the rule that a listener outside loopback needs a token.
pub fn table(program: &'static str, version: &'static str, about: &'static str) -> Table {
    Table::new(program, version, about)
        .group("Listeners", listeners())
        .group("Access", access())
        .group("Logs", logs())
        .group("Limits", limits())
        .group("Shutdown", shutdown())
        .rule([API_LISTEN.setting(), ADMIN_LISTEN.setting(), TOKEN.setting()], needs_token)
        .rule([PUBLIC_URL.setting(), TRUSTED_PROXIES.setting()], needs_proxy)
}

/// The listeners that are set, each with its setting's name.
pub fn listen_addresses(values: &Values) -> Vec<(&'static str, SocketAddr)> {
    let api = (API_LISTEN.setting().name(), values.get(&API_LISTEN));
    let admin = values.find(&ADMIN_LISTEN).map(|at| (ADMIN_LISTEN.setting().name(), at));
    [api].into_iter().chain(admin).collect()
}

fn needs_token(values: &Values) -> Vec<Finding> {
    let open: Vec<_> = listen_addresses(values)
        .into_iter()
        .filter(|(_, address)| !address.ip().to_canonical().is_loopback())
        .collect();
    if values.find(&TOKEN).is_none() {
        let text = |(name, address)| {
            Finding::Mistake(format!(
                "{name} {address} can be reached from outside this machine and there is no TOKEN; \
                 set one, or listen on 127.0.0.1"
            ))
        };
        return open.into_iter().map(text).collect();
    }
    if values.has(TRUSTED_PROXIES.setting()) && values.get(&TRUSTED_PROXIES).is_empty() {
        let text = |(name, address)| {
            Finding::Warning(format!(
                "{name} {address} can be reached from outside this machine without TLS: tokens \
                 and pages travel in clear; put a TLS proxy in front and name it in TRUSTED_PROXIES"
            ))
        };
        return open.into_iter().map(text).collect();
    }
    Vec::new()
}

fn needs_proxy(values: &Values) -> Vec<Finding> {
    let https = values.find(&PUBLIC_URL).is_some_and(|url| url.origin.scheme() == "https");
    if https && values.get(&TRUSTED_PROXIES).is_empty() {
        let text = "PUBLIC_URL is https and TRUSTED_PROXIES is empty: pages of that address are \
                    refused as foreign; name the proxy in TRUSTED_PROXIES";
        return vec![Finding::Warning(text.to_owned())];
    }
    Vec::new()
}

/// What [`Access`](crate::access::Access) is built from.
pub fn access_settings(values: &Values, metrics: AccessMetrics) -> AccessSettings {
    let public_host = values.find(&PUBLIC_URL).and_then(|url| match &url.origin.authority().host {
        Host::Name(name) => Some(name.to_string()),
        Host::V4(_) | Host::V6(_) => None,
    });
    AccessSettings {
        hosts: values.get(&ALLOWED_HOSTS),
        public_host,
        origins: values.get(&ALLOWED_ORIGINS),
        token: values.find(&TOKEN).map(|token| token.expose().to_owned()),
        trusted_proxies: values.get(&TRUSTED_PROXIES),
        metrics,
    }
}

/// What each listener puts up with.
pub fn http_limits(values: &Values) -> HttpLimits {
    HttpLimits {
        header_timeout: values.get(&HEADER_TIMEOUT),
        header_bytes: values.get(&HEADER_LIMIT).as_usize(),
        body_bytes: values.get(&BODY_LIMIT).as_usize(),
        connections: usize::try_from(values.get(&MAX_CONNECTIONS)).unwrap_or(usize::MAX),
        ..HttpLimits::default()
    }
}

/// How long each part of a shutdown may take. Whether every listener is on loopback is decided from
/// the settings, before anything is bound.
pub fn shutdown_settings(values: &Values) -> ShutdownSettings {
    let drain = values.get(&SHUTDOWN_DRAIN_TIMEOUT);
    let loopback = |(_, address): &(_, SocketAddr)| address.ip().to_canonical().is_loopback();
    ShutdownSettings {
        announce: values.get(&ANNOUNCE_DELAY),
        drain: (!drain.is_zero()).then_some(drain),
        force: values.get(&FORCE_STOP_TIMEOUT),
        close: values.get(&CLOSE_TIMEOUT),
        force_at_once: values.get(&FORCE_STOP),
        only_loopback: listen_addresses(values).iter().all(loopback),
    }
}
