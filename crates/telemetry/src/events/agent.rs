//! Pure: events of agent listeners and runs.

use super::events;
use crate::value::{Id, Millis, Text};
use crate::words::{ListenerStop, RunOrigin, RunOutcome};

events! {
    /// A listener of an agent session started.
    Listener Listener "listener_started"
    pub struct ListenerStarted {
        /// The agent session.
        pub session: Id,
        /// The runner.
        pub runner: Id,
    }

    /// A listener is connected to its runner.
    Listener Listener "listener_connected"
    pub struct ListenerConnected {
        /// The agent session.
        pub session: Id,
        /// Which attempt it was, from 1.
        pub attempt: u64,
        /// Time to connect.
        pub connect_ms: Millis,
        /// The event id it went on from; absent at the start of a stream.
        pub resumed_from: Option<Id>,
    }

    /// A listener lost its runner.
    Listener Listener "listener_disconnected"
    pub struct ListenerDisconnected {
        /// The agent session.
        pub session: Id,
        /// How: `eof`, `reset`, `idle_timeout`, `http_503`, `cancelled` and others.
        pub cause: Text,
        /// The HTTP status, if the runner answered with one.
        pub http_status: Option<u16>,
        /// How long it was connected.
        pub connected_ms: Millis,
        /// Events received.
        pub events: u64,
        /// Bytes received.
        pub bytes: u64,
    }

    /// A listener will try again.
    Listener Listener "listener_retry"
    pub struct ListenerRetry {
        /// The agent session.
        pub session: Id,
        /// Which attempt it will be.
        pub attempt: u64,
        /// When, from now.
        pub delay_ms: Millis,
    }

    /// A listener stopped for good.
    Listener Listener "listener_stopped"
    pub struct ListenerStopped {
        /// The agent session.
        pub session: Id,
        /// Why.
        pub cause: ListenerStop,
        /// Since it started.
        pub lifetime_ms: Millis,
        /// How often it connected again.
        pub reconnects: u64,
    }

    /// An agent run started.
    Listener Run "run_started"
    pub struct RunStarted {
        /// The agent session.
        pub session: Id,
        /// The run.
        pub run_id: Id,
        /// The run that it is part of.
        pub parent_run_id: Option<Id>,
        /// Who began it.
        pub origin: RunOrigin,
    }

    /// An agent run ended.
    Listener Run "run_ended"
    pub struct RunEnded {
        /// The agent session.
        pub session: Id,
        /// The run.
        pub run_id: Id,
        /// How.
        pub outcome: RunOutcome,
        /// How long it took.
        pub duration_ms: Millis,
        /// Its events.
        pub events: u64,
        /// Their bytes.
        pub bytes: u64,
        /// Offset of its first event in the session's own log; absent if it had none.
        pub first_offset: Option<u64>,
        /// Offset of its last event there.
        pub last_offset: Option<u64>,
        /// The code of its error: the runner's, or one of docs/sessions.md.
        pub code: Option<Text>,
    }

    /// Something that a runner said was kept as rejected. Told of the first with each reason in each of
    /// its streams.
    Listener Run "run_event_rejected"
    pub struct RunEventRejected {
        /// The agent session.
        pub session: Id,
        /// Why: `not_json`, `bad_field`, `not_open` and others.
        pub reason: Text,
        /// The stream: `listen` or `run`.
        pub feed: Text,
    }

    /// An event of a runner was over a limit and is lost.
    Listener Run "run_event_lost"
    pub struct RunEventLost {
        /// The agent session.
        pub session: Id,
        /// Offset of the record that says so in the session's own log.
        pub offset: u64,
    }

    /// Closed runs of an agent session were folded.
    Listener Run "run_history_folded"
    pub struct SessionFolded {
        /// The agent session.
        pub session: Id,
        /// The first offset of which something is left in the base.
        pub from_offset: u64,
        /// The last offset that it covers.
        pub covers_offset: u64,
        /// Its bytes.
        pub bytes: u64,
    }

    /// An agent session stopped because a run had finished.
    Listener Listener "listener_session_stopped"
    pub struct SessionStopped {
        /// The agent session.
        pub session: Id,
    }

    /// An agent session was deleted.
    Listener Listener "listener_session_deleted"
    pub struct SessionDeleted {
        /// The agent session.
        pub session: Id,
        /// `request`, or `idle` when nobody had used it for long.
        pub cause: Text,
    }
}
