//! What a node is told at start; all values are already checked by whoever read them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::registry::Bounds;
use crate::runners::Runners;
use crate::snapshots::SnapshotStore;
use crate::templates::Template;

/// Everything the orchestrator is told at start.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node, in every answer.
    pub node_id: String,
    /// Version of the daemon.
    pub version: String,
    /// Word for the driver in events, such as `process`.
    pub driver_name: &'static str,
    /// Sandboxes at once, starting and stopping ones too.
    pub max_sandboxes: usize,
    /// Starts at once; two for each core is a good value.
    pub start_slots: usize,
    /// Creates that may wait for a start slot.
    pub queue_len: usize,
    /// How long one may wait; zero = not at all. A create may ask for less.
    pub queue_timeout: Duration,
    /// How long a create may take, the queue included.
    pub create_timeout: Duration,
    /// Time to live of a sandbox that asks for none.
    pub default_ttl: Duration,
    /// The longest time to live; zero = no limit, and then a drain may wait for ever.
    pub max_ttl: Duration,
    /// How long a sandbox may be unused if it does not say; zero = for ever.
    pub default_idle: Duration,
    /// How long a parked sandbox is kept; zero = for ever.
    pub paused_ttl: Duration,
    /// Where records are kept, so that parked sandboxes survive the daemon; without a folder they do
    /// not.
    pub records: Option<PathBuf>,
    /// Where snapshots are kept; without it there are none.
    pub snapshots: Option<SnapshotStore>,
    /// How long a browser may take to close by its own protocol when it is parked.
    pub close_timeout: Duration,
    /// How long an ended sandbox is remembered.
    pub tombstone_ttl: Duration,
    /// How many ended sandboxes are remembered.
    pub tombstones: usize,
    /// How many crashes within `crash_window` end a sandbox.
    pub crash_max: u32,
    /// The window of `crash_max`.
    pub crash_window: Duration,
    /// Whether templates and creates may switch Chromium's own sandbox off.
    pub allow_no_sandbox: bool,
    /// A create is refused while the driver's disk has fewer bytes free than this; 0 = never.
    pub min_free_disk: u64,
    /// The largest request body in bytes.
    pub body_limit: usize,
    /// How long the sessions of an ending sandbox may take to close before its browser is stopped.
    pub session_grace: Duration,
    /// How much longer those of a sandbox whose time to live is over may take, because they look for
    /// a quiet moment.
    pub ttl_grace: Duration,
    /// How long a cancelled start is waited for before its instance is stopped from outside.
    pub cancel_grace: Duration,
    /// What a create may name; `default` is always there.
    pub templates: BTreeMap<String, Template>,
    /// Who keeps the agent sessions of sandboxes with a runner; without it, nobody.
    pub runners: Option<Arc<dyn Runners>>,
}

/// The name of the template that a create without one gets.
pub const DEFAULT_TEMPLATE: &str = "default";

impl Default for Config {
    fn default() -> Self {
        Self {
            node_id: "local".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            driver_name: "process",
            max_sandboxes: 16,
            start_slots: 4,
            queue_len: 64,
            queue_timeout: Duration::from_secs(30),
            create_timeout: Duration::from_secs(60),
            default_ttl: Duration::from_secs(15 * 60),
            max_ttl: Duration::from_secs(24 * 60 * 60),
            default_idle: Duration::ZERO,
            paused_ttl: Duration::from_secs(7 * 24 * 60 * 60),
            records: None,
            snapshots: None,
            close_timeout: Duration::from_secs(5),
            tombstone_ttl: Duration::from_secs(10 * 60),
            tombstones: 10_000,
            crash_max: 5,
            crash_window: Duration::from_secs(60),
            allow_no_sandbox: false,
            min_free_disk: 1 << 30,
            body_limit: 1 << 20,
            session_grace: Duration::from_secs(4),
            ttl_grace: Duration::ZERO,
            cancel_grace: Duration::from_secs(5),
            templates: BTreeMap::new(),
            runners: None,
        }
    }
}

impl Config {
    /// The bounds of the registry.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            max_sandboxes: self.max_sandboxes,
            start_slots: self.start_slots,
            queue_len: self.queue_len,
            max_ttl: self.max_ttl,
            tombstone_ttl: self.tombstone_ttl,
            tombstones: self.tombstones,
        }
    }

    /// The names that a create may use.
    pub fn template_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.templates.keys().map(String::as_str).collect();
        if !self.templates.contains_key(DEFAULT_TEMPLATE) {
            names.insert(0, DEFAULT_TEMPLATE);
        }
        names
    }
}
