//! The gateway's settings, and what is built from them.

use std::net::SocketAddr;
use std::time::Duration;

use between_run_listener::http::{Guard, GuardError};
use between_run_listener::session::{Options, pile};
use between_run_listener::{registry, sse};
use service::settings::shared::{
    self, ADMIN_LISTEN, CLOSE_TIMEOUT, FORCE_STOP, FORCE_STOP_TIMEOUT, HEADER_LIMIT,
    HEADER_TIMEOUT, MAX_CONNECTIONS, PUBLIC_URL, STATE_DIR,
};
use service::settings::{Finding, Key, Size, Table, Values};

/// Beside the node daemon's, so that both fit on one machine.
pub(crate) static API_LISTEN: Key<SocketAddr> = Key::new(
    "API_LISTEN",
    "127.0.0.1:7310",
    "Where clients reach the sessions. Loopback by default: only this machine.",
);
static SHUTDOWN_DRAIN_TIMEOUT: Key<Duration> = Key::new(
    "SHUTDOWN_DRAIN_TIMEOUT",
    "60s",
    "How long a shutdown waits for posted runs. One that is cut goes on with the next start, if its \
     runner does.",
)
.range("1ms", "24h")
.unprefixed();
static BODY_LIMIT: Key<Size> =
    Key::new("BODY_LIMIT", "16 MiB", "Largest request body, as large as an event; over it 413.")
        .range("1 KiB", "16 MiB");
static RUNNERS: Key<Vec<String>> = Key::new(
    "RUNNERS",
    "loopback",
    "Where runners may be: addresses, networks such as 10.0.0.0/8, names, *.names, or loopback, \
     each perhaps with :port or :first-last. Checked again at each connect, by address. Link-local \
     and metadata addresses only if they are listed themselves.",
);
static EVENT_LIMIT: Key<Size> = Key::new(
    "EVENT_LIMIT",
    "16 MiB",
    "Largest event of a runner, and its longest line. A larger one is skipped and told as lost.",
)
.range("64 KiB", "256 MiB");
static DECODE_BUDGET: Key<Size> = Key::new(
    "DECODE_BUDGET",
    "512 MiB",
    "Memory for events of all runners that have not come whole yet.",
)
.range("1 MiB", "64 GiB");
static LOG_BYTES: Key<Size> = Key::new(
    "LOG_BYTES",
    "256 MiB",
    "What a session may have: an open run at most all of it, what is folded at most half; the \
         oldest runs go first.",
)
.range("1 MiB", "1 TiB");
static FOLD_BYTES: Key<Size> = Key::new(
    "FOLD_BYTES",
    "4 MiB",
    "Closed runs but the newest four are folded into one once they have so much, or a record for each 200 bytes of it.",
)
.range("1 KiB", "1 GiB");
static SESSION_IDLE: Key<Duration> = Key::new(
    "SESSION_IDLE",
    "720h",
    "A session that nobody uses and whose runner says nothing is deleted after this long. 30 days.",
)
.range("1m", "87600h");
static STALE_AFTER: Key<Duration> = Key::new(
    "STALE_AFTER",
    "1h",
    "A listener whose session nobody uses ends after this long; the next use starts it again.",
)
.range("1s", "720h");

/// Every setting of this daemon.
pub(crate) fn table() -> Table {
    let about = "Stands in front of agent runners: logs what they say, and shows it to clients.";
    let table = Table::new("listenerd", env!("CARGO_PKG_VERSION"), about)
        .group("Runners", [RUNNERS.setting(), EVENT_LIMIT.setting(), DECODE_BUDGET.setting()])
        .group(
            "Sessions",
            [
                LOG_BYTES.setting(),
                FOLD_BYTES.setting(),
                SESSION_IDLE.setting(),
                STALE_AFTER.setting(),
            ],
        )
        .group("State", [STATE_DIR.setting(), shared::NODE_ID.setting()])
        .group("Listeners", [API_LISTEN.setting(), ADMIN_LISTEN.setting(), PUBLIC_URL.setting()])
        .group("TLS", shared::tls())
        .group("Access", shared::access())
        .group("Logs", shared::logs())
        .group("Events", shared::events())
        .group(
            "Limits",
            [
                BODY_LIMIT.setting(),
                HEADER_LIMIT.setting(),
                HEADER_TIMEOUT.setting(),
                MAX_CONNECTIONS.setting(),
            ],
        )
        .group(
            "Shutdown",
            [
                SHUTDOWN_DRAIN_TIMEOUT.setting(),
                FORCE_STOP.setting(),
                FORCE_STOP_TIMEOUT.setting(),
                CLOSE_TIMEOUT.setting(),
            ],
        )
        .rule([RUNNERS.setting()], runners_fit);
    shared::rules(table)
}

fn guard(values: &Values) -> Result<Guard, GuardError> {
    let entries = values.get(&RUNNERS);
    Guard::new(entries.iter().map(String::as_str))
}

fn runners_fit(values: &Values) -> Vec<Finding> {
    match guard(values) {
        Ok(_) => Vec::new(),
        Err(error) => vec![Finding::Mistake(format!("RUNNERS: {error}"))],
    }
}

/// Which runners may be asked.
///
/// # Panics
/// When the values are of a table without its rules.
pub(crate) fn runners(values: &Values) -> Guard {
    guard(values).expect("a rule asks for entries that can be read")
}

/// What all sessions have in common.
pub(crate) fn sessions(values: &Values) -> Options {
    let bytes = |key: &Key<Size>| values.get(key).0;
    let memory = |key| usize::try_from(bytes(key)).unwrap_or(usize::MAX);
    let event = memory(&EVENT_LIMIT);
    Options {
        registry: registry::Settings {
            stale_after: values.get(&STALE_AFTER),
            decode_budget: memory(&DECODE_BUDGET),
            ..registry::Settings::default()
        },
        limits: sse::Limits { max_line: event, max_event: event },
        kept: pile::Limits {
            bytes: bytes(&FOLD_BYTES),
            // An event has about 200 bytes.
            records: (bytes(&FOLD_BYTES) / 200).max(1),
            most: bytes(&LOG_BYTES),
        },
        idle: values.get(&SESSION_IDLE),
    }
}

#[cfg(test)]
mod tests;
