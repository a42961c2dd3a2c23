//! Pure: events of browsers.

use super::events;
use crate::value::{Id, Millis, Text};
use crate::words::{Exit, RequestedBy, UpstreamSource};

events! {
    /// A browser instance is ready.
    Orchestrator Browser "browser_started"
    pub struct BrowserStarted {
        /// The lifecycle it belongs to.
        pub lifecycle_id: Option<Id>,
        /// The instance.
        pub generation: u64,
        /// How its address was learned.
        pub upstream_source: UpstreamSource,
        /// From its start to ready.
        pub start_ms: Option<Millis>,
        /// Whether it ran already when we found it.
        pub adopted: bool,
        /// What it calls itself, such as `Chrome/156.0.1.2`.
        pub product: Option<Text>,
        /// Its process, if it is ours.
        pub pid: Option<u32>,
    }

    /// A browser instance ended.
    Orchestrator Browser "browser_exited"
    pub struct BrowserExited {
        /// The lifecycle it belongs to.
        pub lifecycle_id: Option<Id>,
        /// The instance.
        pub generation: u64,
        /// How it ended.
        pub exit: Exit,
        /// Whether we ordered it.
        pub expected: bool,
        /// From ready to its end.
        pub uptime_ms: Option<Millis>,
        /// Sessions that were open then.
        pub sessions: u64,
    }

    /// A newer browser instance took over behind the same address.
    Orchestrator Browser "browser_restarted"
    pub struct BrowserRestarted {
        /// The lifecycle it belongs to.
        pub lifecycle_id: Option<Id>,
        /// The new instance.
        pub generation: u64,
        /// The one before.
        pub previous_generation: u64,
        /// How the one before ended; absent if it still ran.
        pub exit: Option<Exit>,
        /// From the old one's end to the new one's start.
        pub down_ms: Millis,
        /// Sessions that were cut.
        pub sessions_cut: u64,
        /// Who wanted it.
        pub requested_by: RequestedBy,
    }
}
