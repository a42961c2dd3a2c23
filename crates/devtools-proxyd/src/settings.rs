//! The sidecar's settings, and what is built from them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use devtoolsproxy::EdgeSettings;
use service::settings::shared::{
    self, ADMIN_LISTEN, CDP_DRAIN_AFTER, CDP_QUIET, CLOSE_TIMEOUT, FORCE_STOP, FORCE_STOP_TIMEOUT,
    PUBLIC_URL, TRUSTED_PROXIES,
};
use service::settings::{Finding, Key, OptionalKey, Table, Values};
use upstream::UrlPolicy;
use upstream::sources::{Fixed, HttpPoll, LogFollow, PortFile, Timing};

use crate::browser::Source;
use crate::values::{BrowserUrl, LogForm, Place, SandboxId};

/// The port after the one that browsers are usually given, so that both fit on one address.
pub(crate) static API_LISTEN: Key<SocketAddr> = Key::new(
    "API_LISTEN",
    "127.0.0.1:9223",
    "Where clients reach the browser. Loopback by default: only this machine.",
);
static SHUTDOWN_DRAIN_TIMEOUT: Key<Duration> = Key::new(
    "SHUTDOWN_DRAIN_TIMEOUT",
    "10s",
    "How long a shutdown waits for sessions to end after they were told to, before it cuts them.",
)
.range("1ms", "10m")
.unprefixed();
static CDP_DRAIN: Key<String> = Key::new(
    "CDP_DRAIN",
    "now",
    "When a shutdown closes sessions: now, or each in its first moment without an unanswered command \
     (quiet), and at SHUTDOWN_DRAIN_TIMEOUT in any case.",
)
.choices(&["now", "quiet"]);
static SANDBOX_ID: Key<SandboxId> =
    Key::new("SANDBOX_ID", "browser", "Names the browser in addresses and events.");
static MAX_SESSIONS: Key<u64> =
    Key::new("MAX_SESSIONS", "256", "Sessions at once; more are refused with 429.")
        .range("1", "100000");
static BROWSER_LOG: OptionalKey<PathBuf> = OptionalKey::new(
    "BROWSER_LOG",
    "none",
    "The file that the browser's standard error is written to. One of four ways to find it.",
);
static BROWSER_LOG_FORM: Key<LogForm> = Key::new(
    "BROWSER_LOG_FORM",
    "plain",
    "What stands before the browser's own text in each line of BROWSER_LOG: plain (nothing), cri \
     (Kubernetes), docker (json-file), words:N (so many words), literal:TEXT (this text).",
);
static BROWSER_PORT_FILE: OptionalKey<PathBuf> = OptionalKey::new(
    "BROWSER_PORT_FILE",
    "none",
    "DevToolsActivePort in the browser's profile. One of four ways to find it.",
);
static BROWSER_ADDRESS: OptionalKey<Place> = OptionalKey::new(
    "BROWSER_ADDRESS",
    "none",
    "Host and port that belong to this browser alone: asked again and again who is there. One of \
     four ways to find it.",
);
static BROWSER_URL: OptionalKey<BrowserUrl> = OptionalKey::new(
    "BROWSER_URL",
    "none",
    "The whole address of a browser that is never replaced. One of four ways to find it.",
);
static BROWSER_HOST: Key<String> = Key::new(
    "BROWSER_HOST",
    "127.0.0.1",
    "Where the browser listens. BROWSER_PORT_FILE names no host; an address in BROWSER_LOG may \
     lead here or to loopback, and nowhere else.",
);
static BROWSER_PORT: OptionalKey<u64> = OptionalKey::new(
    "BROWSER_PORT",
    "any",
    "The only port that is believed from a log or a port file. Set it if it is known, because a \
     page can print a line that looks like the browser's.",
)
.range("1", "65535");
static RESTART_EXPECTED: OptionalKey<bool> = OptionalKey::new(
    "RESTART_EXPECTED",
    "true for BROWSER_LOG, else false",
    "Whether somebody starts the browser again after it ended: clients are then told to reconnect.",
);
static RESTART_WAIT: Key<Duration> = Key::new(
    "RESTART_WAIT",
    "10s",
    "How long the reason of a lost session stays open for a new browser to come; a restart takes 5 \
     to 8 s.",
)
.range("300ms", "10m");
static START_TIMEOUT: Key<Duration> = Key::new(
    "START_TIMEOUT",
    "60s",
    "How long a browser may take to start; slow machines need up to 20 s.",
)
.range("1s", "1h");
static VERIFY_INTERVAL: Key<Duration> = Key::new(
    "VERIFY_INTERVAL",
    "5s",
    "How often a quiet browser is asked whether it is still there; each question wakes it. With \
     BROWSER_ADDRESS it is each second.",
)
.range("100ms", "1h");
static HOLD_MAX: Key<Duration> = Key::new(
    "HOLD_MAX",
    "10s",
    "How long a client is held while there is no browser. Clients that retry do so too late and \
     too often.",
)
.range("1ms", "10m");

/// Every setting of this daemon.
pub(crate) fn table() -> Table {
    let about = "Stands beside one browser that somebody else starts, and tells why sessions end.";
    let table = Table::new("devtools-proxyd", env!("CARGO_PKG_VERSION"), about)
        .group(
            "Browser",
            [
                BROWSER_LOG.setting(),
                BROWSER_LOG_FORM.setting(),
                BROWSER_PORT_FILE.setting(),
                BROWSER_ADDRESS.setting(),
                BROWSER_URL.setting(),
                BROWSER_HOST.setting(),
                BROWSER_PORT.setting(),
                RESTART_EXPECTED.setting(),
                RESTART_WAIT.setting(),
                START_TIMEOUT.setting(),
                VERIFY_INTERVAL.setting(),
            ],
        )
        .group(
            "Sessions",
            [
                SANDBOX_ID.setting(),
                shared::NODE_ID.setting(),
                MAX_SESSIONS.setting(),
                HOLD_MAX.setting(),
            ],
        )
        .group("Listeners", [API_LISTEN.setting(), ADMIN_LISTEN.setting(), PUBLIC_URL.setting()])
        .group("TLS", shared::tls())
        .group("Access", shared::access())
        .group("Logs", shared::logs())
        .group("Events", shared::events())
        .group("Limits", shared::limits())
        .group(
            "Shutdown",
            [
                SHUTDOWN_DRAIN_TIMEOUT.setting(),
                CDP_DRAIN.setting(),
                CDP_DRAIN_AFTER.setting(),
                CDP_QUIET.setting(),
                FORCE_STOP.setting(),
                FORCE_STOP_TIMEOUT.setting(),
                CLOSE_TIMEOUT.setting(),
            ],
        )
        .rule(
            [
                BROWSER_LOG.setting(),
                BROWSER_PORT_FILE.setting(),
                BROWSER_ADDRESS.setting(),
                BROWSER_URL.setting(),
            ],
            one_source,
        )
        .rule([BROWSER_HOST.setting()], host_fits);
    shared::rules(table)
}

fn one_source(values: &Values) -> Vec<Finding> {
    let set = [
        values.find(&BROWSER_LOG).map(|_| "BROWSER_LOG"),
        values.find(&BROWSER_PORT_FILE).map(|_| "BROWSER_PORT_FILE"),
        values.find(&BROWSER_ADDRESS).map(|_| "BROWSER_ADDRESS"),
        values.find(&BROWSER_URL).map(|_| "BROWSER_URL"),
    ];
    let set: Vec<&str> = set.into_iter().flatten().collect();
    let text = match set.as_slice() {
        [_] => return Vec::new(),
        [] => "nothing says where the browser is; set BROWSER_LOG, BROWSER_PORT_FILE, \
               BROWSER_ADDRESS or BROWSER_URL"
            .to_owned(),
        several => format!("{} are all set and may disagree; keep one", several.join(", ")),
    };
    vec![Finding::Mistake(text)]
}

fn host_fits(values: &Values) -> Vec<Finding> {
    let host = values.get(&BROWSER_HOST);
    match upstream::WsUrl::from_parts(&host, 1, "any") {
        Ok(_) => Vec::new(),
        Err(_) => vec![Finding::Mistake(format!(
            "BROWSER_HOST {host:?} is no host; write a name or an address without port and brackets"
        ))],
    }
}

/// What names the browser.
pub(crate) fn sandbox_id(values: &Values) -> String {
    values.get(&SANDBOX_ID).0
}

/// How the browser is found, and whether somebody will restart it.
///
/// # Panics
/// When the values are of a table without its rules.
pub(crate) fn source(values: &Values) -> (Source, bool) {
    let timing = Timing {
        start_timeout: values.get(&START_TIMEOUT),
        verify_interval: Some(values.get(&VERIFY_INTERVAL)),
    };
    let host = values.get(&BROWSER_HOST);
    let policy = UrlPolicy {
        allowed_hosts: vec![host.clone()],
        expected_port: values.find(&BROWSER_PORT).and_then(|port| u16::try_from(port).ok()),
    };
    let (source, expected) = if let Some(path) = values.find(&BROWSER_LOG) {
        let form = values.get(&BROWSER_LOG_FORM).0;
        let log = LogFollow::new(path, form, policy, timing);
        (Source::Log(Box::new(log)), LogFollow::RESTART_EXPECTED)
    } else if let Some(path) = values.find(&BROWSER_PORT_FILE) {
        let file = PortFile::new(path, &host, policy, timing);
        (Source::PortFile(Box::new(file)), PortFile::RESTART_EXPECTED)
    } else if let Some(place) = values.find(&BROWSER_ADDRESS) {
        let poll = HttpPoll::new(&place.host, place.port, timing).expect("it was read as a place");
        (Source::Poll(Box::new(poll)), HttpPoll::RESTART_EXPECTED)
    } else {
        let BrowserUrl(url) = values.find(&BROWSER_URL).expect("a rule asks for one of the four");
        (Source::Fixed(Box::new(Fixed::new(url, timing))), Fixed::RESTART_EXPECTED)
    };
    (source, values.find(&RESTART_EXPECTED).unwrap_or(expected))
}

/// How long a client waits for a browser.
pub(crate) fn hold_max(values: &Values) -> Duration {
    values.get(&HOLD_MAX)
}

/// What the edge is told.
pub(crate) fn edge(values: &Values) -> EdgeSettings {
    let mut settings = EdgeSettings::default();
    let sessions = usize::try_from(values.get(&MAX_SESSIONS)).unwrap_or(usize::MAX);
    (settings.sessions_per_sandbox, settings.sessions_total) = (sessions, sessions);
    settings.waits.confirm = values.get(&RESTART_WAIT);
    settings.relay.quiet_for = values.get(&CDP_QUIET);
    settings.dial.hold_max = values.get(&HOLD_MAX);
    settings.dial.total = settings.dial.hold_max + settings.dial.dial_window;
    // Both are read twice, by the parsers of two libraries that know nothing of each other.
    let public = values.find(&PUBLIC_URL).map(|url| format!("{}{}", url.origin, url.path));
    settings.public_url = public.and_then(|url| url.parse().ok());
    let proxies = values.get(&TRUSTED_PROXIES);
    settings.trusted_proxies =
        proxies.iter().filter_map(|network| network.to_string().parse().ok()).collect();
    settings
}

/// How long a shutdown lets sessions be before it closes them in their quiet moments; `None`: it
/// closes them at once.
pub(crate) fn quiet_after(values: &Values) -> Option<Duration> {
    (values.get(&CDP_DRAIN) == "quiet").then(|| values.get(&CDP_DRAIN_AFTER))
}

#[cfg(test)]
mod tests;
