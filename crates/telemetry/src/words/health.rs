//! Pure: words of nodes, drains, listeners, runs and of telemetry itself.

use super::words;

words! {
    /// A group of events that is switched on or off as one.
    pub enum Category {
        /// Sessions of the DevTools edge.
        Connection = "connection",
        /// Browsers.
        Browser = "browser",
        /// Sandboxes.
        Sandbox = "sandbox",
        /// Drains.
        Drain = "drain",
        /// Listeners of agent runners.
        Listener = "listener",
        /// Agent runs.
        Run = "run",
        /// The node, its log and its sinks.
        System = "system",
        /// What clients do with a browser. Off by default: privacy, cost.
        Control = "control",
        /// Calls of the API. Off by default: volume.
        Api = "api",
    }

    /// Which part an event comes from.
    pub enum SourceKind {
        /// The DevTools edge.
        DevtoolsProxy = "devtools_proxy",
        /// The sandbox owner.
        Orchestrator = "orchestrator",
        /// The agent listener.
        Listener = "listener",
        /// The process shell.
        Service = "service",
        /// Telemetry itself; nobody else may use it.
        Telemetry = "telemetry",
        /// A client of the API.
        Client = "client",
    }

    /// Why events were lost before they got an offset.
    pub enum LossCause {
        /// The queue in front of the writer was full.
        QueueFull = "queue_full",
        /// The event could not be written as JSON.
        Serialise = "serialise",
        /// The log refused it for good.
        Refused = "refused",
        /// The process ended before the log took it.
        Shutdown = "shutdown",
    }

    /// Why offsets are missing for a reader.
    pub enum GapWord {
        /// The log no longer keeps them.
        Retention = "retention",
        /// The cursor is of another incarnation of the log.
        EpochChanged = "epoch_changed",
        /// A record is damaged.
        Corrupt = "corrupt",
        /// They were never given out, or lost, in a crash.
        Crash = "crash",
        /// The cursor is beyond the newest event.
        Ahead = "ahead",
    }

    /// What started a drain.
    pub enum DrainTrigger {
        /// A signal.
        Signal = "signal",
        /// A call of the API.
        Api = "api",
        /// A part that the daemon cannot do without ended.
        Failure = "failure",
    }

    /// What made a drain a forced stop.
    pub enum ForceCause {
        /// Its deadline.
        Deadline = "deadline",
        /// A second signal.
        SecondSignal = "second_signal",
        /// The setting that forces every drain.
        Setting = "setting",
        /// A call of the API.
        Api = "api",
        /// A wait of the drain broke: a mistake of ours.
        Defect = "defect",
    }

    /// How a drain ended.
    pub enum DrainOutcome {
        /// Everything ended by itself.
        Clean = "clean",
        /// What was left was stopped.
        Forced = "forced",
        /// Something is left.
        Failed = "failed",
    }

    /// What a node says of itself.
    pub enum NodeStatus {
        /// Takes new work.
        Healthy = "healthy",
        /// Takes no new work, keeps what it has.
        Draining = "draining",
        /// Waits to be promoted.
        Standby = "standby",
        /// A self-check failed.
        Unhealthy = "unhealthy",
    }

    /// Why a listener stopped for good.
    pub enum ListenerStop {
        /// Its owner cancelled it.
        Cancelled = "cancelled",
        /// Its session was deleted.
        SessionDeleted = "session_deleted",
        /// The node drains.
        Drain = "drain",
        /// It tried for as long as it may.
        GaveUp = "gave_up",
        /// The runner refuses it for good.
        Refused = "refused",
        /// A newer listener of the same session took over.
        Superseded = "superseded",
    }

    /// Who began a run.
    pub enum RunOrigin {
        /// A client.
        Client = "client",
        /// The runner itself, between two runs of a client.
        BetweenRun = "between_run",
    }

    /// How a run ended.
    pub enum RunOutcome {
        /// It finished.
        Success = "success",
        /// It waits for input.
        Interrupt = "interrupt",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// It failed.
        Error = "error",
        /// Its stream ended before it did.
        Truncated = "truncated",
    }

    /// Whose memory ran out.
    pub enum OomScope {
        /// A browser's main process.
        Browser = "browser",
        /// A renderer; its browser lives.
        Renderer = "renderer",
        /// The daemon.
        Daemon = "daemon",
    }
}

impl Category {
    /// Whether its events are kept unless somebody says otherwise.
    #[must_use]
    pub const fn on_by_default(self) -> bool {
        match self {
            Self::Connection
            | Self::Browser
            | Self::Sandbox
            | Self::Drain
            | Self::Listener
            | Self::Run
            | Self::System => true,
            Self::Control | Self::Api => false,
        }
    }
}
