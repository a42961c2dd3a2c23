//! The settings that every daemon has, and what is built from them.

mod files;
mod keys;
mod sinks;
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::load::Environment;
use super::setting::Setting;
use super::table::{Finding, Table, Values};
use crate::access::{AccessMetrics, AccessSettings, Host};
use crate::http::HttpLimits;
use crate::shutdown::ShutdownSettings;

pub use files::Files;
pub use keys::{
    ADMIN_LISTEN, ALLOWED_HOSTS, ALLOWED_ORIGINS, ANNOUNCE_DELAY, API_LISTEN, BODY_LIMIT,
    CDP_DRAIN_AFTER, CDP_QUIET, CLOSE_TIMEOUT, FORCE_STOP, FORCE_STOP_TIMEOUT, HEADER_LIMIT,
    HEADER_TIMEOUT, LOG, LOG_FORMAT, MAX_CONNECTIONS, METRICS_PUBLIC, NODE_ID, PUBLIC_URL,
    SHUTDOWN_DRAIN_TIMEOUT, STATE_DIR, TLS_CERT, TLS_KEY, TOKEN, TOKENS_FILE, TRUSTED_PROXIES,
};
pub use sinks::{events, sinks, spans};
pub use start::{ProcessEnvironment, node_id, own_state_dir, set_up_logs};

/// The state folder: the setting, else the system's for root and the user's for everybody else
/// (`$XDG_STATE_HOME`, `$HOME/.local/state`). `None` when a user has none of them.
pub fn state_dir(values: &Values, root: bool, environment: &dyn Environment) -> Option<PathBuf> {
    let variable = |wanted: &str| {
        let set = environment.variables().into_iter().find(|(name, _)| name == wanted);
        set.map(|(_, value)| PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    values.find(&STATE_DIR).or_else(|| {
        if root {
            return Some(PathBuf::from("/var/lib/lockkeeper"));
        }
        let home = || variable("HOME").map(|home| home.join(".local/state"));
        Some(variable("XDG_STATE_HOME").or_else(home)?.join("lockkeeper"))
    })
}

/// The listeners' settings.
pub fn listeners() -> [&'static Setting; 3] {
    [API_LISTEN.setting(), ADMIN_LISTEN.setting(), PUBLIC_URL.setting()]
}

/// The settings about TLS.
pub fn tls() -> [&'static Setting; 2] {
    [TLS_CERT.setting(), TLS_KEY.setting()]
}

/// The settings about who is let in.
pub fn access() -> [&'static Setting; 6] {
    [
        TOKEN.setting(),
        TOKENS_FILE.setting(),
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

/// All of the above in groups, with the rules about them.
pub fn table(program: &'static str, version: &'static str, about: &'static str) -> Table {
    let table = Table::new(program, version, about)
        .group("Listeners", listeners())
        .group("TLS", tls())
        .group("Access", access())
        .group("Logs", logs())
        .group("Events", events())
        .group("Limits", limits())
        .group("Shutdown", shutdown());
    rules(table)
}

/// The rules about the settings above, for a table that has some of them in another form: a listener
/// outside loopback needs a token, without TLS it and a public `https` address need a proxy, and a
/// certificate and its key need each other.
#[must_use]
pub fn rules(table: Table) -> Table {
    table
        .rule(
            [API_LISTEN.setting(), ADMIN_LISTEN.setting(), TOKEN.setting(), TOKENS_FILE.setting()],
            needs_token,
        )
        .rule([PUBLIC_URL.setting(), TRUSTED_PROXIES.setting()], needs_proxy)
        .rule(tls(), needs_both)
        .rule(sinks::about_spans(), sinks::needs_receiver)
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
    if values.find(&TOKEN).is_none() && values.find(&TOKENS_FILE).is_none() {
        let text = |(name, address)| {
            Finding::Mistake(format!(
                "{name} {address} can be reached from outside this machine and there is no TOKEN; \
                 set one, or listen on 127.0.0.1"
            ))
        };
        return open.into_iter().map(text).collect();
    }
    if values.has(TRUSTED_PROXIES.setting()) && values.get(&TRUSTED_PROXIES).is_empty() {
        let admin = ADMIN_LISTEN.setting().name();
        let text = |(name, address)| {
            let remedy = match name == admin {
                true => "leave it out, so that the admin routes are on the API port",
                false => "set TLS_CERT and TLS_KEY",
            };
            Finding::Warning(format!(
                "{name} {address} can be reached from outside this machine without TLS: tokens \
                 and pages travel in clear; {remedy}, or put a TLS proxy in front and name it in \
                 TRUSTED_PROXIES"
            ))
        };
        let plain = |(name, _): &(&str, _)| *name == admin || values.find(&TLS_CERT).is_none();
        return open.into_iter().filter(plain).map(text).collect();
    }
    Vec::new()
}

fn needs_proxy(values: &Values) -> Vec<Finding> {
    let https = values.find(&PUBLIC_URL).is_some_and(|url| url.origin.scheme() == "https");
    if https && values.find(&TLS_CERT).is_none() && values.get(&TRUSTED_PROXIES).is_empty() {
        let text = "PUBLIC_URL is https and TRUSTED_PROXIES is empty: pages of that address are \
                    refused as foreign; name the proxy in TRUSTED_PROXIES, or set TLS_CERT and \
                    TLS_KEY";
        return vec![Finding::Warning(text.to_owned())];
    }
    Vec::new()
}

fn needs_both(values: &Values) -> Vec<Finding> {
    let mistake = |given: &str, missing: &str, what: &str| {
        let text = format!("{given} is set and {missing} is not: set it too, to {what}");
        vec![Finding::Mistake(text)]
    };
    match (values.find(&TLS_CERT), values.find(&TLS_KEY)) {
        (Some(_), None) => mistake("TLS_CERT", "TLS_KEY", "the file of the certificate's key"),
        (None, Some(_)) => mistake("TLS_KEY", "TLS_CERT", "the file of the key's certificate"),
        (Some(_), Some(_)) | (None, None) => Vec::new(),
    }
}

/// What [`Access`](crate::access::Access) is built from.
pub fn access_settings(values: &Values, files: &Files, metrics: AccessMetrics) -> AccessSettings {
    let public_host = values.find(&PUBLIC_URL).and_then(|url| match &url.origin.authority().host {
        Host::Name(name) => Some(name.to_string()),
        Host::V4(_) | Host::V6(_) => None,
    });
    AccessSettings {
        hosts: values.get(&ALLOWED_HOSTS),
        public_host,
        origins: values.get(&ALLOWED_ORIGINS),
        token: values.find(&TOKEN).map(|token| token.expose().to_owned()),
        tokens: files.tokens(),
        trusted_proxies: values.get(&TRUSTED_PROXIES),
        metrics,
    }
}

/// A body has so many times the time of a head: at least a third of a megabit a second for 1 MiB.
const BODY_TIMES: u32 = 3;

/// What each listener puts up with.
pub fn http_limits(values: &Values) -> HttpLimits {
    HttpLimits {
        header_timeout: values.get(&HEADER_TIMEOUT),
        body_timeout: BODY_TIMES * values.get(&HEADER_TIMEOUT),
        header_bytes: values.get(&HEADER_LIMIT).as_usize(),
        body_bytes: values.get(&BODY_LIMIT).as_usize(),
        connections: usize::try_from(values.get(&MAX_CONNECTIONS)).unwrap_or(usize::MAX),
        ..HttpLimits::default()
    }
}

/// How long each part of a shutdown may take. A daemon without `ANNOUNCE_DELAY` in its table announces
/// nothing: nobody chooses between several of it. Whether every listener is on loopback is decided from
/// the settings, before anything is bound.
pub fn shutdown_settings(values: &Values) -> ShutdownSettings {
    let announces = values.has(ANNOUNCE_DELAY.setting());
    let announce = if announces { values.get(&ANNOUNCE_DELAY) } else { Duration::ZERO };
    let drain = values.get(&SHUTDOWN_DRAIN_TIMEOUT);
    let loopback = |(_, address): &(_, SocketAddr)| address.ip().to_canonical().is_loopback();
    ShutdownSettings {
        announce,
        drain: (!drain.is_zero()).then_some(drain),
        force: values.get(&FORCE_STOP_TIMEOUT),
        close: values.get(&CLOSE_TIMEOUT),
        force_at_once: values.get(&FORCE_STOP),
        only_loopback: listen_addresses(values).iter().all(loopback),
    }
}
