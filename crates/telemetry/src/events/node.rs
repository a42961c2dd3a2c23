//! Pure: events of the node, its log, its sinks and its API.

use super::events;
use crate::value::{Id, Millis, Text};
use crate::words::{NodeStatus, OomScope};

events! {
    /// The daemon started.
    Service System "node_started"
    pub struct NodeStarted {
        /// Its version.
        pub version: Text,
    }

    /// The node's status changed.
    Service System "node_status"
    pub struct NodeStatusChanged {
        /// The status before.
        pub from: NodeStatus,
        /// The status now.
        pub to: NodeStatus,
    }

    /// The daemon is about to end: the last event of a process.
    Service System "node_stopped"
    pub struct NodeStopped {
        /// What the process will return.
        pub exit_code: i32,
        /// Since it started.
        pub uptime_ms: Millis,
    }

    /// A log does not take records.
    Telemetry System "log_degraded"
    pub struct LogDegraded {
        /// Which log.
        pub log: Id,
        /// Why.
        pub error: Text,
    }

    /// A log takes records again.
    Telemetry System "log_recovered"
    pub struct LogRecovered {
        /// Which log.
        pub log: Id,
        /// How long it did not.
        pub down_ms: Option<Millis>,
        /// The first offset that was lost; absent if none was, or if it is not known.
        pub lost_from: Option<u64>,
        /// The last offset that was lost.
        pub lost_to: Option<u64>,
    }

    /// A sink does not take events.
    Telemetry System "sink_degraded"
    pub struct SinkDegraded {
        /// Which sink.
        pub sink: Id,
        /// Why.
        pub error: Text,
        /// Events that wait for it.
        pub lag_events: u64,
    }

    /// A sink takes events again.
    Telemetry System "sink_recovered"
    pub struct SinkRecovered {
        /// Which sink.
        pub sink: Id,
        /// How long it did not.
        pub down_ms: Millis,
        /// Events that it lost.
        pub dropped: u64,
    }

    /// The kernel, or the node's own watch over memory, ended something for lack of it.
    Orchestrator System "oom_kill"
    pub struct OomKill {
        /// What.
        pub scope: OomScope,
        /// How many processes.
        pub killed: u64,
    }

    /// The configuration of telemetry changed.
    Telemetry System "config_changed"
    pub struct ConfigChanged {
        /// Names of what changed.
        pub changed: Vec<Text>,
    }

    /// A call of the API was answered.
    Service Api "api_call"
    pub struct ApiCall {
        /// The method.
        pub method: Text,
        /// The route's template, never the path.
        pub route: Text,
        /// The HTTP status.
        pub status: u16,
        /// Time to answer.
        pub duration_ms: Millis,
        /// Whose token it was; absent if the call was refused.
        pub principal: Option<Text>,
    }
}
