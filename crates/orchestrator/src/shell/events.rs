//! From changes to telemetry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use telemetry::Telemetry;
use telemetry::events::{
    BrowserExited, BrowserRestarted, BrowserStarted, DrainFinished, DrainForced, DrainStarted,
    NodeStatusChanged, SandboxCheckpointFailed, SandboxCheckpointed, SandboxCreateRefused,
    SandboxCreated, SandboxPaused, SandboxReady, SandboxResumed, SandboxStateChanged,
    SandboxStopped, SandboxStopping, SandboxUpdated,
};
use telemetry::value::{Id, Millis, Text};
use telemetry::words::{
    self, CreateRefused, DrainOutcome, DrainTrigger, Exit, ExitKind, ForceCause, RequestedBy,
    StopReason, UpstreamSource,
};
use upstream::Cause;

use super::drain::Operator;
use super::handles::Handles;
use super::{Core, Shared, now};
use crate::browsers::{Exited, Restarted, Started};
use crate::ids::LifecycleId;
use crate::lifecycle::{Event, State, Stop};
use crate::node::NodeStatus;
use crate::registry::{Change, Record};

/// One event for each change.
pub(super) fn changed(shared: &Shared, change: &Change<Arc<Handles>>) {
    let record = &change.record;
    match (&change.from, &change.to) {
        (State::Requested, State::Starting) => created(shared, record),
        (State::Starting, State::Running) => ready(shared, record),
        // The wait for a start slot, and whether the browser is closed, are no states of their own to
        // the world.
        (State::Resuming { .. }, State::Resuming { .. })
        | (State::Pausing { .. }, State::Pausing { .. })
        | (State::Checkpointing { .. }, State::Checkpointing { .. }) => {}
        (State::Resuming { .. }, State::Running) => resumed(shared, change),
        (_, State::Paused { save_pending: false }) if change.cause == Event::Saved => {
            paused(shared, change);
        }
        (State::Checkpointing { .. }, State::Running) if change.cause == Event::Saved => {
            checkpointed(shared, change);
        }
        (State::Checkpointing { .. }, State::Running) => {
            if let Event::SaveFailedRestored { detail } = &change.cause {
                checkpoint_failed(shared, record, detail, true);
            }
        }
        (from, State::Stopping(stop)) => {
            if matches!(from, State::Checkpointing { .. })
                && stop.reason == StopReason::CheckpointFailed
            {
                checkpoint_failed(shared, record, &stop.detail, false);
            }
            let event = SandboxStopping {
                lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
                stop_reason: stop.reason,
                stop_detail: detail(stop),
                grace_ms: None,
            };
            shared.telemetry.publish(Some(record.id.as_str()), event);
        }
        (_, State::Stopped(stop)) => stopped(shared, record, &change.handle, stop),
        (from, to) => {
            let event = SandboxStateChanged {
                lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
                from: state_word(from),
                to: state_word(to),
            };
            shared.telemetry.publish(Some(record.id.as_str()), event);
        }
    }
}

fn paused(shared: &Shared, change: &Change<Arc<Handles>>) {
    if let Some(runners) = &shared.config.runners {
        runners.parked(&change.record.id);
    }
    let (record, save, now) = (&change.record, change.handle.save(), now().instant);
    let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
    let event = SandboxPaused {
        lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
        checkpoint_id: None,
        bytes: save.bytes,
        pause_ms: since(save.parted).map(Millis),
        duration_ms: Millis(since(save.began).unwrap_or_default()),
        in_place: true,
    };
    shared.telemetry.publish(Some(record.id.as_str()), event);
}

/// The sandbox was saved and runs again.
fn checkpointed(shared: &Shared, change: &Change<Arc<Handles>>) {
    let (record, save, now) = (&change.record, change.handle.save(), now().instant);
    let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
    shared.stored.notify_one();
    let event = SandboxCheckpointed {
        lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
        checkpoint_id: save.snapshot.as_ref().map(|id| Id::from(id.as_str())),
        bytes: save.bytes,
        pause_ms: since(save.parted).map(Millis),
        duration_ms: Millis(since(save.began).unwrap_or_default()),
        in_place: true,
    };
    shared.telemetry.publish(Some(record.id.as_str()), event);
}

fn checkpoint_failed(shared: &Shared, record: &Record, error: &str, alive: bool) {
    let event = SandboxCheckpointFailed {
        lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
        error: Text::copy(error),
        alive,
    };
    shared.telemetry.publish(Some(record.id.as_str()), event);
}

fn resumed(shared: &Shared, change: &Change<Arc<Handles>>) {
    let (record, save, now) = (&change.record, change.handle.save(), now().instant);
    let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
    let event = SandboxResumed {
        lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
        checkpoint_id: None,
        bytes: None,
        pause_ms: since(save.parted).map(Millis),
        duration_ms: Millis(since(save.began).unwrap_or_default()),
        in_place: true,
    };
    shared.telemetry.publish(Some(record.id.as_str()), event);
}

/// A sandbox has its start slot.
pub(super) fn created(shared: &Shared, record: &Record) {
    let started = record.started.map_or(record.created.instant, |moment| moment.instant);
    let event = SandboxCreated {
        lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
        driver: Text::from(shared.config.driver_name),
        warm: record.warm,
        queue_ms: Millis(started.saturating_duration_since(record.created.instant)),
        ttl_ms: (!record.ttl.is_zero()).then_some(Millis(record.ttl)),
    };
    shared.telemetry.publish(Some(record.id.as_str()), event);
}

fn ready(shared: &Shared, record: &Record) {
    let ready = record.ready.map_or(record.created.instant, |moment| moment.instant);
    let took = ready.saturating_duration_since(record.created.instant);
    if let Some(metrics) = &shared.metrics {
        metrics.sandboxes.created(record.warm, took);
    }
    let event = SandboxReady {
        lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
        create_ms: Millis(took),
        generation: record.browser.generation,
    };
    shared.telemetry.publish(Some(record.id.as_str()), event);
}

/// The last event of a sandbox; told once, whoever comes first.
pub(super) fn stopped(shared: &Shared, record: &Record, handles: &Handles, stop: &Stop) {
    if !handles.take_end() {
        return;
    }
    if let Some(metrics) = &shared.metrics {
        metrics.sandboxes.stopped(stop.reason);
    }
    if let Some(runners) = &shared.config.runners {
        runners.gone(&record.id);
    }
    let end = handles.end();
    let lifetime = record.ready.map(|ready| now().instant.saturating_duration_since(ready.instant));
    let event = SandboxStopped {
        lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
        stop_reason: stop.reason,
        stop_detail: detail(stop),
        lifetime_ms: lifetime.map(Millis),
        exit: end.exit.map(exit),
        cleanup_ms: Millis(end.cleanup),
        cleanup_errors: end.cleanup_errors,
        sessions_cut: handles.sessions_cut(),
    };
    shared.telemetry.publish(Some(record.id.as_str()), event);
}

/// An incarnation that an earlier daemon left behind was ended. `told`: what its record says of the
/// sandbox, with its time from ready until now.
pub(super) fn node_restart(
    telemetry: &Telemetry,
    sandbox: Option<&str>,
    lifecycle: &LifecycleId,
    told: Option<(&Stop, Option<Duration>)>,
) {
    let unknown =
        Stop::new(StopReason::NodeRestart, "the daemon died; its successor ended what was left");
    let (stop, lifetime) = told.unwrap_or((&unknown, None));
    let event = SandboxStopped {
        lifecycle_id: Some(lifecycle_id(lifecycle)),
        stop_reason: stop.reason,
        stop_detail: detail(stop),
        lifetime_ms: lifetime.map(Millis),
        exit: None,
        cleanup_ms: Millis(Duration::ZERO),
        cleanup_errors: 0,
        sessions_cut: 0,
    };
    telemetry.publish(sandbox, event);
}

pub(super) fn refused(shared: &Shared, id: Option<&str>, detail: CreateRefused, queued: Duration) {
    if let Some(metrics) = &shared.metrics {
        metrics.sandboxes.refused(detail);
    }
    let event = SandboxCreateRefused { detail, queue_ms: Millis(queued) };
    shared.telemetry.publish(id, event);
}

pub(super) fn updated(shared: &Shared, record: &Record, changed: &[&'static str]) {
    let event = SandboxUpdated {
        lifecycle_id: Some(lifecycle_id(&record.lifecycle)),
        changed: changed.iter().map(|name| Text::from(*name)).collect(),
        ttl_ms: (!record.ttl.is_zero()).then_some(Millis(record.ttl)),
    };
    shared.telemetry.publish(Some(record.id.as_str()), event);
}

pub(super) fn node_status(telemetry: &Telemetry, from: NodeStatus, to: NodeStatus) {
    telemetry.publish(None, NodeStatusChanged { from: status_word(from), to: status_word(to) });
}

/// An operator's drain has begun. Those of a shutdown are told by whoever runs it.
pub(super) fn drain_started(shared: &Shared, core: &Core) {
    let Some(operator) = core.drain.operator() else { return };
    let counts = core.drain_counts();
    let event = DrainStarted {
        trigger: DrainTrigger::Api,
        deadline_ms: operator.deadline.map(Millis),
        phase: Text::from(core.phase()),
        elapsed_ms: Millis(Duration::ZERO),
        live: counts.live,
        starting: counts.starting,
        sessions: counts.sessions,
        runs: 0,
        saves: 0,
    };
    shared.telemetry.publish(None, event);
}

pub(super) fn drain_forced(shared: &Shared, core: &Core) {
    let Some(operator) = core.drain.operator() else { return };
    let counts = core.drain_counts();
    let event = DrainForced {
        cause: if operator.deadline.is_some() { ForceCause::Deadline } else { ForceCause::Api },
        elapsed_ms: Millis(now().instant.saturating_duration_since(operator.began)),
        live: counts.live,
        starting: counts.starting,
        sessions: counts.sessions,
        runs: 0,
        saves: 0,
    };
    shared.telemetry.publish(None, event);
}

pub(super) fn drain_finished(shared: &Shared, core: &Core, operator: &Operator) {
    let totals = core.drain.totals;
    let event = DrainFinished {
        outcome: if operator.forced { DrainOutcome::Forced } else { DrainOutcome::Clean },
        exit_code: None,
        elapsed_ms: Millis(now().instant.saturating_duration_since(operator.began)),
        stopped: totals.stopped,
        sessions_closed: totals.sessions_closed,
        errors: 0,
    };
    shared.telemetry.publish(None, event);
}

pub(super) fn browser_started(shared: &Shared, handles: &Handles, started: Started) {
    browser_found(shared, handles, started, false);
}

/// A browser of the pool was handed out.
pub(super) fn browser_adopted(shared: &Shared, handles: &Handles, started: Started) {
    browser_found(shared, handles, started, true);
}

fn browser_found(shared: &Shared, handles: &Handles, started: Started, adopted: bool) {
    let event = BrowserStarted {
        lifecycle_id: Some(lifecycle_id(&handles.lifecycle)),
        generation: started.generation,
        upstream_source: UpstreamSource::ChildStderr,
        start_ms: Some(Millis(started.start_time)),
        adopted,
        product: Some(Text::from(started.product)),
        pid: started.pid,
    };
    shared.telemetry.publish(Some(handles.sandbox.as_str()), event);
}

pub(super) fn browser_restarted(shared: &Shared, handles: &Handles, restarted: &Restarted) {
    let event = BrowserRestarted {
        lifecycle_id: Some(lifecycle_id(&handles.lifecycle)),
        generation: restarted.generation,
        previous_generation: restarted.previous,
        exit: Some(exit(restarted.cause)),
        down_ms: Millis(restarted.down),
        sessions_cut: restarted.sessions_cut,
        requested_by: match restarted.cause {
            Cause::RestartRequested => RequestedBy::Api,
            Cause::Exited { .. }
            | Cause::Signalled { .. }
            | Cause::OomKilled
            | Cause::StartTimeout
            | Cause::UnknownExit => RequestedBy::Supervisor,
        },
    };
    if let Some(metrics) = &shared.metrics {
        metrics.browsers.restarted(&event);
    }
    shared.telemetry.publish(Some(handles.sandbox.as_str()), event);
}

pub(super) fn browser_exited(shared: &Shared, handles: &Handles, exited: &Exited) {
    let event = BrowserExited {
        lifecycle_id: Some(lifecycle_id(&handles.lifecycle)),
        generation: exited.generation,
        exit: exit(exited.cause),
        expected: exited.expected,
        uptime_ms: Some(Millis(exited.uptime)),
        sessions: exited.sessions,
    };
    if let Some(metrics) = &shared.metrics {
        metrics.browsers.exited(&event);
    }
    shared.telemetry.publish(Some(handles.sandbox.as_str()), event);
}

fn lifecycle_id(lifecycle: &LifecycleId) -> Id {
    Id::from(lifecycle.as_str())
}

fn detail(stop: &Stop) -> Option<Text> {
    (!stop.detail.is_empty()).then(|| Text::copy(&stop.detail))
}

pub(super) fn exit(cause: Cause) -> Exit {
    match cause {
        Cause::Exited { code } => Exit::exited(code),
        Cause::Signalled { signal } => Exit::signalled(signal),
        Cause::OomKilled => Exit::of(ExitKind::OomKilled),
        Cause::RestartRequested => Exit::of(ExitKind::RestartRequested),
        Cause::StartTimeout => Exit::of(ExitKind::StartTimeout),
        Cause::UnknownExit => Exit::of(ExitKind::UnknownExit),
    }
}

pub(super) fn state_word(state: &State) -> words::SandboxState {
    match state {
        State::Requested => words::SandboxState::Requested,
        State::Starting => words::SandboxState::Starting,
        State::Running => words::SandboxState::Running,
        State::Pausing { .. } => words::SandboxState::Pausing,
        State::Checkpointing { .. } => words::SandboxState::Checkpointing,
        State::Paused { .. } => words::SandboxState::Paused,
        State::Resuming { .. } => words::SandboxState::Resuming,
        State::Stopping(_) => words::SandboxState::Stopping,
        State::Stopped(_) => words::SandboxState::Stopped,
    }
}

fn status_word(status: NodeStatus) -> words::NodeStatus {
    match status {
        NodeStatus::Healthy => words::NodeStatus::Healthy,
        NodeStatus::Draining => words::NodeStatus::Draining,
        NodeStatus::Standby => words::NodeStatus::Standby,
        NodeStatus::Unhealthy => words::NodeStatus::Unhealthy,
    }
}
