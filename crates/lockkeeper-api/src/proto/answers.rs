//! Pure: answers about sandboxes and snapshots as messages.

use prost_types::{Duration, Timestamp};

use super::sandbox_event::{Event, Gap, Synced};
use super::{
    Browser, CheckpointResponse, EndedBrowser, ListSandboxesResponse, ListSnapshotsResponse,
    PhaseTimes, Sandbox, SandboxDetails, SandboxEvent, Snapshot, Usage,
};
use crate::{self as api, SandboxView, SnapshotView};

/// A moment in Unix milliseconds.
pub(super) fn moment(ms: u64) -> Timestamp {
    let Duration { seconds, nanos } = length(ms);
    Timestamp { seconds, nanos }
}

/// A length in milliseconds.
pub(super) fn length(ms: u64) -> Duration {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    Duration { seconds, nanos: i32::try_from(ms % 1000 * 1_000_000).unwrap_or_default() }
}

impl From<api::SandboxState> for super::SandboxState {
    fn from(state: api::SandboxState) -> Self {
        match state {
            api::SandboxState::Requested => Self::Requested,
            api::SandboxState::Starting => Self::Starting,
            api::SandboxState::Running => Self::Running,
            api::SandboxState::Pausing => Self::Pausing,
            api::SandboxState::Checkpointing => Self::Checkpointing,
            api::SandboxState::Paused => Self::Paused,
            api::SandboxState::Resuming => Self::Resuming,
            api::SandboxState::Stopping => Self::Stopping,
            api::SandboxState::Stopped => Self::Stopped,
        }
    }
}

impl From<api::ExpirePolicy> for super::ExpirePolicy {
    fn from(policy: api::ExpirePolicy) -> Self {
        match policy {
            api::ExpirePolicy::Stop => Self::Stop,
            api::ExpirePolicy::Pause => Self::Pause,
        }
    }
}

impl From<api::DrainPolicy> for super::DrainPolicy {
    fn from(policy: api::DrainPolicy) -> Self {
        match policy {
            api::DrainPolicy::Wait => Self::Wait,
            api::DrainPolicy::Pause => Self::Pause,
        }
    }
}

impl From<SandboxView> for Sandbox {
    fn from(view: SandboxView) -> Self {
        let browser = view.browser.map(|browser| Browser {
            generation: browser.generation,
            phase: browser.phase,
            product: browser.product,
            crashes: browser.crashes,
        });
        let times = PhaseTimes {
            queue: Some(length(view.times.queue_ms)),
            start: view.times.start_ms.map(length),
        };
        Self {
            id: view.id,
            state: super::SandboxState::from(view.state).into(),
            node_id: view.node_id,
            cdp_url: view.cdp_url,
            ws_url: view.ws_url,
            port_url: view.port_url,
            template: view.template,
            flavour: view.flavour,
            lifecycle_id: view.lifecycle_id,
            execution_id: view.execution_id,
            browser,
            sessions: view.sessions,
            warm: view.warm,
            created_at: Some(moment(view.created_at_ms)),
            ready_at: view.ready_at_ms.map(moment),
            expires_at: view.expires_at_ms.map(moment),
            ttl: Some(length(view.ttl_ms)),
            idle: Some(length(view.idle_ms)),
            times: Some(times),
            labels: view.labels,
            paused_at: view.paused_at_ms.map(moment),
            on_expire: super::ExpirePolicy::from(view.on_expire).into(),
            on_drain: super::DrainPolicy::from(view.on_drain).into(),
            auto_resume: view.auto_resume,
            stop_reason: view.stop_reason,
            stop_detail: view.stop_detail,
            stopped_at: view.stopped_at_ms.map(moment),
            cleanup_errors: view.cleanup_errors,
            details: view.details.map(Into::into),
        }
    }
}

impl From<api::SandboxDetails> for SandboxDetails {
    fn from(details: api::SandboxDetails) -> Self {
        let ended = |browser: api::EndedBrowserView| EndedBrowser {
            generation: browser.generation,
            cause: browser.cause,
            expected: browser.expected,
            uptime: Some(length(browser.uptime_ms)),
        };
        Self {
            usage: details.usage.map(|usage| Usage {
                memory_bytes: usage.memory_bytes,
                cpu: usage.cpu_ms.map(length),
                processes: usage.processes,
                profile_bytes: usage.profile_bytes,
            }),
            ended_browsers: details.ended_browsers.into_iter().map(ended).collect(),
            log_tail: details.log_tail,
            runner_log_tail: details.runner_log_tail,
        }
    }
}

impl From<api::SandboxList> for ListSandboxesResponse {
    fn from(list: api::SandboxList) -> Self {
        let sandboxes = list.sandboxes.into_iter().map(Sandbox::from).collect();
        Self { sandboxes, next: list.next, node_id: list.node_id }
    }
}

impl From<api::SandboxEvent> for SandboxEvent {
    /// Without a cursor, which is not a part of the event.
    fn from(event: api::SandboxEvent) -> Self {
        let event = match event {
            api::SandboxEvent::Present { sandbox } => Event::Present((*sandbox).into()),
            api::SandboxEvent::Synced { node_id, sandboxes } => {
                Event::Synced(Synced { node_id, sandboxes })
            }
            api::SandboxEvent::Changed { sandbox } => Event::Changed((*sandbox).into()),
            api::SandboxEvent::Gap { node_id, cause } => Event::Gap(Gap { node_id, cause }),
        };
        Self { cursor: None, event: Some(event) }
    }
}

impl From<SnapshotView> for Snapshot {
    fn from(view: SnapshotView) -> Self {
        Self {
            id: view.id,
            sandbox_id: view.sandbox_id,
            execution_id: view.execution_id,
            lifecycle_id: view.lifecycle_id,
            template: view.template,
            flavour: view.flavour,
            browser: view.browser,
            labels: view.labels,
            created_at: Some(moment(view.created_at_ms)),
            expires_at: view.expires_at_ms.map(moment),
            bytes: view.bytes,
            unpacked_bytes: view.unpacked_bytes,
            sha256: view.sha256,
            made_by: view.made_by,
            node_id: view.node_id,
        }
    }
}

impl From<api::SnapshotList> for ListSnapshotsResponse {
    fn from(list: api::SnapshotList) -> Self {
        let snapshots = list.snapshots.into_iter().map(Snapshot::from).collect();
        Self { snapshots, next: list.next, node_id: list.node_id }
    }
}

impl From<api::CheckpointView> for CheckpointResponse {
    fn from(view: api::CheckpointView) -> Self {
        Self { snapshot: Some(view.snapshot.into()), sandbox: Some(view.sandbox.into()) }
    }
}
