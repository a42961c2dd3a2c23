//! One of each event, for tests.

use std::time::Duration;

use super::*;
use crate::value::Millis;
use crate::words::{
    Addressing, CreateRefused, Detail, DrainOutcome, DrainTrigger, EndedBy, EndpointKind, Exit,
    FirstClose, ForceCause, ListenerStop, NodeStatus, OomScope, Reason, RequestedBy, RunOrigin,
    RunOutcome, SandboxState, StopReason, UpstreamSource,
};

fn ms() -> Millis {
    Millis(Duration::from_micros(1_001))
}

pub(crate) fn connect() -> CdpConnect {
    CdpConnect {
        connection_id: "c1".into(),
        generation: 2,
        endpoint: EndpointKind::Page,
        target_id: Some("t".into()),
        addressing: Addressing::Path,
        hold_ms: ms(),
        dial_ms: ms(),
        dial_attempts: 1,
        tls: false,
        local: true,
        user_agent: Some("agent".into()),
        client_ip: Some("127.0.0.1".into()),
    }
}

pub(crate) fn disconnect() -> CdpDisconnect {
    CdpDisconnect {
        connection_id: "c1".into(),
        generation: 2,
        reason: Reason::ClientClose,
        detail: Detail::ClientVanished,
        ended_by: EndedBy::Client,
        close_code: None,
        first_close: Some(FirstClose::Client),
        upstream_cause: Some(Exit::signalled(9)),
        new_generation: None,
        duration_ms: ms(),
        resolve_ms: Millis::default(),
        teardown_ms: Millis::default(),
        message_count: 3,
        messages_to_browser: 2,
        messages_to_client: 1,
        bytes_to_browser: 20,
        bytes_to_client: 10,
        mid_frame: false,
        error: None,
        quiet_end: None,
        telemetry_dropped: 0,
        telemetry_excluded: 0,
    }
}

pub(crate) fn refused() -> CdpRefused {
    CdpRefused {
        connection_id: "c1".into(),
        status: Some(503),
        reason: Reason::UpstreamError,
        detail: Detail::BrowserUnreachable,
        generation: 0,
        hold_ms: ms(),
        dial_attempts: 0,
    }
}

pub(crate) fn exited() -> BrowserExited {
    BrowserExited {
        lifecycle_id: Some("l".into()),
        generation: 2,
        exit: Exit::exited(1),
        expected: false,
        uptime_ms: Some(ms()),
        sessions: 1,
    }
}

fn drain_progress() -> DrainProgress {
    DrainProgress {
        trigger: DrainTrigger::Signal,
        deadline_ms: Some(ms()),
        phase: "announce".into(),
        elapsed_ms: ms(),
        live: 1,
        starting: 2,
        sessions: 3,
        runs: 4,
        saves: 5,
    }
}

/// One event of each type of the catalogue, in its order, with every field present.
pub(crate) fn all() -> Vec<Event> {
    let lifecycle_id = || Some(crate::value::Id::from("l"));
    let DrainProgress {
        trigger,
        deadline_ms,
        phase,
        elapsed_ms,
        live,
        starting,
        sessions,
        runs,
        saves,
    } = drain_progress();
    vec![
        connect().into(),
        CdpDisconnect {
            close_code: Some(1000),
            new_generation: Some(3),
            error: Some("rule".into()),
            ..disconnect()
        }
        .into(),
        refused().into(),
        CdpCommand {
            method: "Browser.close",
            connection_id: "c1".into(),
            generation: 2,
            session_id: Some("AB".into()),
            command_id: Some(7.into()),
            message_bytes: 40,
            kept: Vec::new(),
        }
        .into(),
        BrowserStarted {
            lifecycle_id: lifecycle_id(),
            generation: 1,
            upstream_source: UpstreamSource::ChildStderr,
            start_ms: Some(ms()),
            adopted: false,
            product: Some("Chrome/156".into()),
            pid: Some(42),
        }
        .into(),
        exited().into(),
        BrowserRestarted {
            lifecycle_id: lifecycle_id(),
            generation: 3,
            previous_generation: 2,
            exit: Some(Exit::exited(1)),
            down_ms: ms(),
            sessions_cut: 1,
            requested_by: RequestedBy::Supervisor,
        }
        .into(),
        SandboxCreated {
            lifecycle_id: lifecycle_id(),
            driver: "process".into(),
            warm: false,
            queue_ms: ms(),
            ttl_ms: Some(ms()),
        }
        .into(),
        SandboxReady { lifecycle_id: lifecycle_id(), create_ms: ms(), generation: 1 }.into(),
        SandboxCreateRefused { detail: CreateRefused::Busy, queue_ms: ms() }.into(),
        SandboxUpdated {
            lifecycle_id: lifecycle_id(),
            changed: vec!["ttl".into()],
            ttl_ms: Some(ms()),
        }
        .into(),
        SandboxStateChanged {
            lifecycle_id: lifecycle_id(),
            from: SandboxState::Running,
            to: SandboxState::Pausing,
        }
        .into(),
        SandboxPaused {
            lifecycle_id: lifecycle_id(),
            checkpoint_id: Some("k".into()),
            bytes: Some(1),
            pause_ms: Some(ms()),
            duration_ms: ms(),
            in_place: true,
        }
        .into(),
        SandboxResumed {
            lifecycle_id: lifecycle_id(),
            checkpoint_id: Some("k".into()),
            bytes: Some(1),
            pause_ms: Some(ms()),
            duration_ms: ms(),
            in_place: true,
        }
        .into(),
        SandboxCheckpointed {
            lifecycle_id: lifecycle_id(),
            checkpoint_id: Some("k".into()),
            bytes: Some(1),
            pause_ms: Some(ms()),
            duration_ms: ms(),
            in_place: true,
        }
        .into(),
        SandboxCheckpointFailed { lifecycle_id: lifecycle_id(), error: "e".into(), alive: true }
            .into(),
        SandboxStopping {
            lifecycle_id: lifecycle_id(),
            stop_reason: StopReason::Ttl,
            stop_detail: Some("ttl".into()),
            grace_ms: Some(ms()),
        }
        .into(),
        SandboxStopped {
            lifecycle_id: lifecycle_id(),
            stop_reason: StopReason::Ttl,
            stop_detail: Some("ttl".into()),
            lifetime_ms: Some(ms()),
            exit: Some(Exit::signalled(15)),
            cleanup_ms: ms(),
            cleanup_errors: 0,
            sessions_cut: 1,
        }
        .into(),
        SandboxRunnerReady { lifecycle_id: Some("l".into()), start_ms: ms(), pid: Some(7) }.into(),
        SandboxRunnerExited {
            lifecycle_id: Some("l".into()),
            exit: Exit::signalled(9),
            expected: false,
            uptime_ms: ms(),
            restart_in_ms: Some(ms()),
        }
        .into(),
        DrainStarted {
            trigger,
            deadline_ms,
            phase,
            elapsed_ms,
            live,
            starting,
            sessions,
            runs,
            saves,
        }
        .into(),
        drain_progress().into(),
        DrainForced {
            cause: ForceCause::Deadline,
            elapsed_ms,
            live,
            starting,
            sessions,
            runs,
            saves,
        }
        .into(),
        DrainFinished {
            outcome: DrainOutcome::Clean,
            exit_code: Some(0),
            elapsed_ms,
            stopped: 1,
            sessions_closed: 2,
            errors: 0,
        }
        .into(),
        NodeStarted { version: "1".into() }.into(),
        NodeStatusChanged { from: NodeStatus::Healthy, to: NodeStatus::Draining }.into(),
        NodeStopped { exit_code: 0, uptime_ms: ms() }.into(),
        ListenerStarted { session: "s".into(), runner: "r".into() }.into(),
        ListenerConnected {
            session: "s".into(),
            attempt: 1,
            connect_ms: ms(),
            resumed_from: Some("7".into()),
        }
        .into(),
        ListenerDisconnected {
            session: "s".into(),
            cause: "http_503".into(),
            http_status: Some(503),
            connected_ms: ms(),
            events: 1,
            bytes: 2,
        }
        .into(),
        ListenerRetry { session: "s".into(), attempt: 2, delay_ms: ms() }.into(),
        ListenerStopped {
            session: "s".into(),
            cause: ListenerStop::GaveUp,
            lifetime_ms: ms(),
            reconnects: 1,
        }
        .into(),
        RunStarted {
            session: "s".into(),
            run_id: "r".into(),
            parent_run_id: Some("p".into()),
            origin: RunOrigin::Client,
        }
        .into(),
        RunEnded {
            session: "s".into(),
            run_id: "r".into(),
            outcome: RunOutcome::Success,
            duration_ms: ms(),
            events: 1,
            bytes: 2,
            first_offset: Some(1),
            last_offset: Some(1),
            code: Some("LANE_LOST".into()),
        }
        .into(),
        RunEventRejected { session: "s".into(), reason: "not_json".into(), feed: "run".into() }
            .into(),
        RunEventLost { session: "s".into(), offset: 7 }.into(),
        SessionFolded { session: "s".into(), from_offset: 1, covers_offset: 9, bytes: 2 }.into(),
        SessionStopped { session: "s".into() }.into(),
        SessionDeleted { session: "s".into(), cause: "idle".into() }.into(),
        LogDegraded { log: "telemetry".into(), error: "full".into() }.into(),
        LogRecovered {
            log: "telemetry".into(),
            down_ms: Some(ms()),
            lost_from: Some(1),
            lost_to: Some(2),
        }
        .into(),
        SinkDegraded { sink: "otlp".into(), error: "503".into(), lag_events: 3 }.into(),
        SinkRecovered { sink: "otlp".into(), down_ms: ms(), dropped: 0 }.into(),
        OomKill { scope: OomScope::Renderer, killed: 1 }.into(),
        ConfigChanged { changed: vec!["categories.api".into()] }.into(),
        ApiCall {
            method: "GET".into(),
            route: "/v1/sandboxes/{id}".into(),
            status: 200,
            duration_ms: ms(),
            principal: Some("ci".into()),
        }
        .into(),
    ]
}
