//! The daemon's own settings, and what is built from all of them.

mod rules;
mod snapshots;
mod templates;
#[cfg(test)]
mod tests;
mod uids;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orchestrator::driver::Flavour;
use orchestrator::process::{CgroupMode, Limits, ProcessConfig, Search};
use orchestrator::{Config, Template};
use service::access::{AccessMetrics, AccessSettings};
use service::settings::shared::{
    self, BODY_LIMIT, CDP_DRAIN_AFTER, CDP_QUIET, SHUTDOWN_DRAIN_TIMEOUT,
};
use service::settings::{Key, OptionalKey, Size, Table, Values};

pub(crate) use self::snapshots::open as snapshots;
use self::uids::UidRange;
use crate::event_log;
use crate::ports::PortRange;
use crate::subdomains::Parent;

/// Memory kept for the machine itself when the number of sandboxes is chosen.
const KEPT_MEMORY: u64 = 1 << 30;
/// Memory that one sandbox is expected to use; an idle browser uses about a quarter of it.
const EXPECTED_MEMORY: u64 = 256 << 20;

static MAX_SANDBOXES: OptionalKey<u64> = OptionalKey::new(
    "MAX_SANDBOXES",
    "(memory - 1 GiB) / 256 MiB, 1 to 1000",
    "Sandboxes at once, starting and stopping ones too; more are refused.",
)
.range("1", "10000");
static START_SLOTS: OptionalKey<u64> = OptionalKey::new(
    "START_SLOTS",
    "two for each core",
    "Browsers that start at once; others queue, as a start keeps a core busy.",
)
.range("1", "1000");
static QUEUE_LEN: Key<u64> =
    Key::new("QUEUE_LEN", "64", "Creates that may wait for a start slot.").range("0", "10000");
static QUEUE_TIMEOUT: Key<Duration> =
    Key::new("QUEUE_TIMEOUT", "30s", "How long a create may wait for a start slot.")
        .range("1ms", "10m")
        .zero("does not wait");
static CREATE_TIMEOUT: Key<Duration> = Key::new(
    "CREATE_TIMEOUT",
    "60s",
    "How long a create may take, its time in the queue included.",
)
.range("1s", "10m");
static DEFAULT_TTL: Key<Duration> =
    Key::new("DEFAULT_TTL", "15m", "Time to live of a sandbox that asks for none, from ready.")
        .range("1s", "365d");
static MAX_TTL: Key<Duration> =
    Key::new("MAX_TTL", "24h", "The longest time to live. It is what makes a drain end by itself.")
        .range("1s", "365d")
        .zero("no limit; a drain may then wait for ever");
static DEFAULT_IDLE: Key<Duration> = Key::new(
    "DEFAULT_IDLE",
    "0",
    "How long a sandbox may have no session and no call before it ends.",
)
.range("1s", "365d")
.zero("for ever");
static PAUSED_TTL: Key<Duration> = Key::new(
    "PAUSED_TTL",
    "7d",
    "How long a paused sandbox is kept; restarts of the daemon do not interrupt that.",
)
.range("1s", "365d")
.zero("for ever");
static TOMBSTONE_TTL: Key<Duration> =
    Key::new("TOMBSTONE_TTL", "10m", "How long an ended sandbox is remembered, with its reason.")
        .range("1s", "24h");
static BROWSER: OptionalKey<PathBuf> = OptionalKey::new(
    "BROWSER",
    "searched for",
    "The browser binary, when it is in none of the usual places.",
);
static SANDBOX_UIDS: Key<UidRange> = Key::new(
    "SANDBOX_UIDS",
    "60600-61183",
    "Users that sandboxes get, one each, when the daemon is root.",
);
static MIN_FREE_DISK: Key<Size> = Key::new(
    "MIN_FREE_DISK",
    "1 GiB",
    "Creates, pauses and checkpoints are refused while the disk of STATE_DIR has less free than this.",
)
.range("1 MiB", "1024 GiB")
.zero("never refused");
static STOP_GRACE: Key<Duration> =
    Key::new("STOP_GRACE", "10s", "How long a browser has between SIGTERM and SIGKILL.")
        .range("100ms", "5m");
static CDP_DRAIN: Key<String> = Key::new(
    "CDP_DRAIN",
    "wait",
    "What a shutdown does about sandboxes that live: wait for the end of each, or close each session \
     with 1001 in its first moment without an unanswered command (quiet) and end a sandbox that has \
     none left.",
)
.choices(&["wait", "quiet"]);
static TTL_GRACE: Key<Duration> = Key::new(
    "TTL_GRACE",
    "0",
    "How long the sessions of a sandbox whose time is over may look for a moment without an \
     unanswered command before they are closed with 1001.",
)
.range("100ms", "10m")
.zero("closes them at once");
static CRASH_MAX: Key<u64> =
    Key::new("CRASH_MAX", "5", "Crashes within CRASH_WINDOW that end a sandbox.")
        .range("1", "1000");
static CRASH_WINDOW: Key<Duration> =
    Key::new("CRASH_WINDOW", "60s", "The window of CRASH_MAX.").range("1s", "24h");
static SANDBOX_MEMORY: Key<Size> = Key::new(
    "SANDBOX_MEMORY",
    "4 GiB",
    "Memory of one sandbox; past it the kernel, or where it cannot the daemon, ends the hog.",
)
.range("128 MiB", "1024 GiB")
.zero("no limit");
static SANDBOX_PORTS: OptionalKey<PortRange> = OptionalKey::new(
    "SANDBOX_PORTS",
    "off",
    "Ports such as 7400-7499 at the IP of API_LISTEN, one for each sandbox, for clients that drop \
     the path of an address. With none free a sandbox lives without.",
);
static SUBDOMAINS_OF: OptionalKey<Parent> = OptionalKey::new(
    "SUBDOMAINS_OF",
    "off",
    "A name whose subdomains are sandboxes: with localhost, ID.localhost and, where a token of \
     lower-case letters and digits is set, ID--TOKEN.localhost.",
);
static ALLOW_NO_SANDBOX: Key<bool> = Key::new(
    "ALLOW_NO_SANDBOX",
    "false",
    "Lets creates switch Chromium's own sandbox off. We never do.",
);
static CGROUP: Key<String> = Key::new(
    "CGROUP",
    "auto",
    "Whether sandboxes get control groups: where the host allows it, always, or never.",
)
.choices(&["auto", "require", "off"]);

/// Every setting of this daemon.
pub(crate) fn table() -> Table {
    let about = "Runs browser sandboxes on this machine behind one DevTools address each.";
    shared::table("lockkeeperd", env!("CARGO_PKG_VERSION"), about)
        .group("State", [shared::STATE_DIR.setting(), shared::NODE_ID.setting()])
        .group("Event log", event_log::settings())
        .group(
            "Sandboxes",
            [
                MAX_SANDBOXES.setting(),
                START_SLOTS.setting(),
                QUEUE_LEN.setting(),
                QUEUE_TIMEOUT.setting(),
                CREATE_TIMEOUT.setting(),
                DEFAULT_TTL.setting(),
                MAX_TTL.setting(),
                DEFAULT_IDLE.setting(),
                PAUSED_TTL.setting(),
                TOMBSTONE_TTL.setting(),
            ],
        )
        .group(
            "Browsers",
            [
                BROWSER.setting(),
                SANDBOX_UIDS.setting(),
                SANDBOX_MEMORY.setting(),
                MIN_FREE_DISK.setting(),
                STOP_GRACE.setting(),
                CRASH_MAX.setting(),
                CRASH_WINDOW.setting(),
                ALLOW_NO_SANDBOX.setting(),
                CGROUP.setting(),
            ],
        )
        .group("Snapshots", snapshots::settings())
        .group("Addresses of sandboxes", [SANDBOX_PORTS.setting(), SUBDOMAINS_OF.setting()])
        .group(
            "Sessions at the end of their sandbox",
            [
                CDP_DRAIN.setting(),
                CDP_DRAIN_AFTER.setting(),
                CDP_QUIET.setting(),
                TTL_GRACE.setting(),
            ],
        )
        .section("templates", templates::REASON)
        .rule([DEFAULT_TTL.setting(), MAX_TTL.setting()], rules::ttl_fits)
        .rule([MAX_TTL.setting(), ALLOW_NO_SANDBOX.setting()], rules::templates_are_right)
        .rule([SANDBOX_PORTS.setting(), MAX_SANDBOXES.setting()], rules::ports_suffice)
        .rule([MAX_TTL.setting(), SHUTDOWN_DRAIN_TIMEOUT.setting()], rules::drain_ends)
}

fn read_templates(values: &Values) -> Result<BTreeMap<String, Template>, Vec<String>> {
    templates::read(values.section("templates"))
}

/// The templates; the settings were refused before if one of them has a mistake.
fn templates(values: &Values) -> BTreeMap<String, Template> {
    read_templates(values).unwrap_or_default()
}

/// How long a shutdown lets sessions be before it closes them in their quiet moments; `None`: it
/// does not.
pub(crate) fn quiet_after(values: &Values) -> Option<Duration> {
    (values.get(&CDP_DRAIN) == "quiet").then(|| values.get(&CDP_DRAIN_AFTER))
}

/// How long a sandbox whose time is over waits for quiet moments of its sessions.
pub(crate) fn ttl_grace(values: &Values) -> Duration {
    values.get(&TTL_GRACE)
}

/// How long nothing may pass for a moment to be quiet.
pub(crate) fn quiet_for(values: &Values) -> Duration {
    values.get(&CDP_QUIET)
}

/// The range of the sandboxes' own ports, if they have any.
pub(crate) fn sandbox_ports(values: &Values) -> Option<PortRange> {
    values.find(&SANDBOX_PORTS)
}

/// Whose subdomains are sandboxes, if any are.
pub(crate) fn subdomains_of(values: &Values) -> Option<Parent> {
    values.find(&SUBDOMAINS_OF)
}

/// Who is let in: subdomains of sandboxes are names of ours.
pub(crate) fn access(
    values: &Values,
    files: &shared::Files,
    metrics: AccessMetrics,
) -> AccessSettings {
    let mut access = shared::access_settings(values, files, metrics);
    access.hosts.extend(subdomains_of(values).map(|parent| parent.pattern()));
    access
}

/// What the orchestrator is told.
pub(crate) fn orchestrator(values: &Values, node_id: &str) -> Config {
    let number = |key| usize::try_from(values.get(key)).unwrap_or(usize::MAX);
    let found = |key| values.find(key).and_then(|n: u64| usize::try_from(n).ok());
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    Config {
        node_id: node_id.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_sandboxes: found(&MAX_SANDBOXES).unwrap_or_else(sandboxes_of_this_machine),
        start_slots: found(&START_SLOTS).unwrap_or(cores * 2),
        queue_len: number(&QUEUE_LEN),
        queue_timeout: values.get(&QUEUE_TIMEOUT),
        create_timeout: values.get(&CREATE_TIMEOUT),
        default_ttl: values.get(&DEFAULT_TTL),
        max_ttl: values.get(&MAX_TTL),
        default_idle: values.get(&DEFAULT_IDLE),
        paused_ttl: values.get(&PAUSED_TTL),
        tombstone_ttl: values.get(&TOMBSTONE_TTL),
        crash_max: u32::try_from(values.get(&CRASH_MAX)).unwrap_or(u32::MAX),
        crash_window: values.get(&CRASH_WINDOW),
        allow_no_sandbox: values.get(&ALLOW_NO_SANDBOX),
        min_free_disk: values.get(&MIN_FREE_DISK).0,
        templates: templates(values),
        ttl_grace: values.get(&TTL_GRACE),
        body_limit: values.get(&BODY_LIMIT).as_usize(),
        ..Config::default()
    }
}

fn sandboxes_of_this_machine() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |line: &str| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok();
    let memory: u64 = text.lines().find_map(kib).map_or(0, |kib: u64| kib * 1024);
    let fit = memory.saturating_sub(KEPT_MEMORY) / EXPECTED_MEMORY;
    usize::try_from(fit.clamp(1, 1000)).unwrap_or(1)
}

/// The binaries that templates name.
fn further_browsers(values: &Values) -> Vec<(Flavour, PathBuf)> {
    let templates = templates(values).into_values();
    templates.filter_map(|template| template.flavour.zip(template.browser)).collect()
}

/// What the process driver is told.
pub(crate) fn process(values: &Values, state_dir: &Path) -> ProcessConfig {
    let cgroup = match values.get(&CGROUP).as_str() {
        "require" => CgroupMode::Require,
        "off" => CgroupMode::Off,
        _ => CgroupMode::Auto,
    };
    let memory = values.get(&SANDBOX_MEMORY).0;
    ProcessConfig {
        browser: values.find(&BROWSER),
        further: further_browsers(values),
        uids: values.get(&SANDBOX_UIDS).0,
        search: Search { path: std::env::var_os("PATH"), ..Search::default() },
        limits: Limits { memory: (memory > 0).then_some(memory), ..Limits::default() },
        stop_grace: values.get(&STOP_GRACE),
        allow_no_sandbox: values.get(&ALLOW_NO_SANDBOX),
        cgroup,
        ..ProcessConfig::new(state_dir)
    }
}
