//! Pure: the keys of the settings that every daemon has.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::access::{HostPattern, Network, Origin};
use crate::settings::{Key, OptionalKey, PublicUrl, Secret, Size};

/// Where the daemon keeps its files.
pub static STATE_DIR: OptionalKey<PathBuf> = OptionalKey::new(
    "STATE_DIR",
    "as root /var/lib/lockkeeper, else the user's state folder",
    "Where the daemon keeps its files. One process at a time holds it.",
);

/// The node's name.
pub static NODE_ID: OptionalKey<String> =
    OptionalKey::new("NODE_ID", "the host's name", "Names this node in answers and events.");

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

/// The certificate of the listeners.
pub static TLS_CERT: OptionalKey<PathBuf> = OptionalKey::new(
    "TLS_CERT",
    "none: plain HTTP",
    "The certificate of every listener but ADMIN_LISTEN, which stays plain; as PEM, followed by those \
     that signed it. They speak TLS only then. Read again when it or TLS_KEY changes; a bad pair leaves \
     the one before it in use.",
);

/// Its key.
pub static TLS_KEY: OptionalKey<PathBuf> = OptionalKey::new(
    "TLS_KEY",
    "none",
    "The private key of TLS_CERT, as PEM, not encrypted. Let only the daemon's user read it.",
);

/// The token.
pub static TOKEN: OptionalKey<Secret> = OptionalKey::new(
    "TOKEN",
    "none",
    "Whoever has it may do everything. Needed by a listener outside loopback.",
);

/// Tokens with scopes.
pub static TOKENS_FILE: OptionalKey<PathBuf> = OptionalKey::new(
    "TOKENS_FILE",
    "none",
    "Tokens that may do only some things, as TOML: a table [tokens.NAME] for each, with token, and \
     in read and write the scopes node, sandbox, project:NAME or project:*. Read again when it \
     changes; a bad file leaves the tokens before it in force.",
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
    "Time for a request head, and for a TLS handshake before; a body has three times as much. Over it 408, so that slow senders hold no connections.",
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

/// When a drain begins to close sessions.
pub static CDP_DRAIN_AFTER: Key<Duration> = Key::new(
    "CDP_DRAIN_AFTER",
    "0",
    "How long a drain with CDP_DRAIN = quiet lets sessions be before it begins to close them.",
)
.range("0", "365d");

/// What a quiet moment is.
pub static CDP_QUIET: Key<Duration> = Key::new(
    "CDP_QUIET",
    "250ms",
    "How long nothing may pass for a moment to be quiet, with no command unanswered.",
)
.range("10ms", "1m");

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
