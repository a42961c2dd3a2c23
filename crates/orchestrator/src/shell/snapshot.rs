//! Looking at sandboxes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lockkeeper_api::{
    BrowserView, EndedBrowserView, PhaseTimes, SandboxDetails, SandboxState, SandboxView, UsageView,
};

use super::handles::Handles;
use super::{Orchestrator, now};
use crate::ids::LifecycleId;
use crate::lifecycle::State;
use crate::registry::{Change, EndedBrowser, Moment, Record, Registry, Sandbox, Tombstone};
use crate::urls::CdpUrls;

/// A sandbox at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot {
    record: Record,
    state: State,
    stopped_at: Option<SystemTime>,
    cleanup_errors: Vec<String>,
    sessions: u64,
    phase: &'static str,
    taken: Moment,
}

/// Which sandboxes a list holds.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Only those in one of these states; empty = all that have not ended.
    pub states: Vec<SandboxState>,
    /// Only those with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Only those of this template.
    pub template: Option<String>,
    /// Only those admitted after this one; for paging.
    pub after: Option<u64>,
    /// At most so many; `None` = all.
    pub limit: Option<usize>,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// Oldest first.
    pub sandboxes: Vec<Snapshot>,
    /// Give this as [`ListFilter::after`] for the next page; absent on the last.
    pub next: Option<u64>,
}

impl Snapshot {
    pub(super) fn of_sandbox(sandbox: &Sandbox<Arc<Handles>>, taken: Moment) -> Self {
        Self {
            record: sandbox.record.clone(),
            state: sandbox.state.clone(),
            stopped_at: None,
            cleanup_errors: sandbox.cleanup_errors.clone(),
            sessions: sandbox.handle.session_count(),
            phase: sandbox.handle.upstream.current().phase.kind(),
            taken,
        }
    }

    fn of_tombstone(tomb: &Tombstone, taken: Moment) -> Self {
        Self {
            record: tomb.record.clone(),
            state: State::Stopped(tomb.stop.clone()),
            stopped_at: Some(tomb.at.wall),
            cleanup_errors: tomb.cleanup_errors.clone(),
            sessions: 0,
            phase: "gone",
            taken,
        }
    }

    /// A sandbox right after a step.
    pub(super) fn of_change(
        change: &Change<Arc<Handles>>,
        registry: &Registry<Arc<Handles>>,
        taken: Moment,
    ) -> Self {
        let record = &change.record;
        let tomb = registry.tombstone(record.id.as_str());
        match (&change.to, tomb.filter(|tomb| tomb.record.lifecycle == record.lifecycle)) {
            (State::Stopped(_), Some(tomb)) => Self::of_tombstone(tomb, taken),
            (state, _) => Self {
                record: record.clone(),
                state: state.clone(),
                stopped_at: None,
                cleanup_errors: Vec::new(),
                sessions: change.handle.session_count(),
                phase: change.handle.upstream.current().phase.kind(),
                taken,
            },
        }
    }

    /// What is kept of it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Since it was admitted.
    pub fn age(&self) -> Duration {
        self.taken.instant.saturating_duration_since(self.record.created.instant)
    }

    /// As answers show it.
    pub fn view(&self, urls: CdpUrls, node_id: &str) -> SandboxView {
        let record = &self.record;
        let created = record.created.instant;
        let expires = record
            .expires
            .map(|at| self.taken.wall + at.saturating_duration_since(self.taken.instant));
        let queue_until = record.started.map_or(self.taken.instant, |moment| moment.instant);
        let start = record.started.zip(record.ready);
        let stop = self.state.stop();
        SandboxView {
            id: record.id.to_string(),
            state: self.state.word(),
            node_id: node_id.to_owned(),
            cdp_url: urls.cdp_url,
            ws_url: urls.ws_url,
            port_url: urls.port_url,
            template: record.template.to_string(),
            flavour: record.flavour.as_str().to_owned(),
            lifecycle_id: record.lifecycle.to_string(),
            execution_id: record.execution.as_str().to_owned(),
            browser: (record.browser.generation > 0).then(|| BrowserView {
                generation: record.browser.generation,
                phase: self.phase.to_owned(),
                product: record.browser.product.clone(),
                crashes: record.browser.crashes,
            }),
            sessions: self.sessions,
            warm: record.warm,
            created_at_ms: unix_ms(record.created.wall),
            ready_at_ms: record.ready.map(|moment| unix_ms(moment.wall)),
            expires_at_ms: expires.filter(|_| stop.is_none()).map(unix_ms),
            ttl_ms: millis(record.ttl),
            idle_ms: millis(record.idle),
            times: PhaseTimes {
                queue_ms: millis(queue_until.saturating_duration_since(created)),
                start_ms: start.map(|(started, ready)| {
                    millis(ready.instant.saturating_duration_since(started.instant))
                }),
            },
            labels: record.labels.clone(),
            paused_at_ms: record
                .park
                .filter(|_| matches!(self.state, State::Paused { .. }))
                .map(|park| unix_ms(park.at.wall)),
            on_expire: record.policies.on_expire,
            on_drain: record.policies.on_drain,
            auto_resume: record.policies.auto_resume,
            stop_reason: stop.map(|stop| stop.reason.as_str().to_owned()),
            stop_detail: stop.map(|stop| stop.detail.clone()).filter(|text| !text.is_empty()),
            stopped_at_ms: self.stopped_at.map(unix_ms),
            cleanup_errors: self.cleanup_errors.clone(),
            details: None,
        }
    }
}

impl Orchestrator {
    /// What else is known of a sandbox: what it uses, how its browsers ended, what it said last.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn details(&self, snapshot: &Snapshot) -> SandboxDetails {
        let record = &snapshot.record;
        let driver = &self.shared.driver;
        let looked = match snapshot.state {
            State::Stopped(_) => None,
            _ => driver.inspect(record.lifecycle.clone()).await,
        };
        let ended = |browser: &EndedBrowser| EndedBrowserView {
            generation: browser.generation,
            cause: browser.cause.to_string(),
            expected: browser.expected,
            uptime_ms: millis(browser.uptime),
        };
        SandboxDetails {
            usage: looked.as_ref().map(|looked| UsageView {
                memory_bytes: looked.memory,
                cpu_ms: looked.cpu.map(millis),
                processes: looked.processes,
                profile_bytes: looked.profile,
            }),
            ended_browsers: record.browser.ended.iter().map(ended).collect(),
            runner_log_tail: looked.as_ref().and_then(|looked| looked.runner_log_tail.clone()),
            log_tail: looked.map(|looked| looked.log_tail),
        }
    }

    /// The sandbox of that id, or what is remembered of it. Counts as use of it.
    pub fn get(&self, id: &str) -> Option<Snapshot> {
        let mut core = self.shared.lock();
        let taken = now();
        core.registry.touch(id, taken);
        self.shared.timer.notify_one();
        match core.registry.sandbox(id) {
            Some(sandbox) => Some(Snapshot::of_sandbox(sandbox, taken)),
            None => core.registry.tombstone(id).map(|tomb| Snapshot::of_tombstone(tomb, taken)),
        }
    }

    /// That incarnation of the sandbox, or what is remembered of it.
    pub(super) fn snapshot_of(&self, id: &str, lifecycle: &LifecycleId) -> Option<Snapshot> {
        let core = self.shared.lock();
        let sandbox = core.registry.sandbox(id).filter(|s| s.record.lifecycle == *lifecycle);
        if let Some(sandbox) = sandbox {
            return Some(Snapshot::of_sandbox(sandbox, now()));
        }
        let tomb = core.registry.tombstone(id).filter(|t| t.record.lifecycle == *lifecycle);
        tomb.map(|tomb| Snapshot::of_tombstone(tomb, now()))
    }

    /// The sandboxes that fit, oldest first; those that have ended only if asked for.
    pub fn list(&self, filter: &ListFilter) -> Page {
        let core = self.shared.lock();
        let taken = now();
        let fits = |record: &Record, state: SandboxState| {
            let in_states = match filter.states.is_empty() {
                true => state != SandboxState::Stopped,
                false => filter.states.contains(&state),
            };
            in_states
                && filter.after.is_none_or(|after| record.seq > after)
                && filter.template.as_deref().is_none_or(|name| name == &*record.template)
                && filter.labels.iter().all(|(key, value)| record.labels.get(key) == Some(value))
        };
        let mut found: Vec<Snapshot> = core
            .registry
            .sandboxes()
            .filter(|sandbox| fits(&sandbox.record, sandbox.state.word()))
            .map(|sandbox| Snapshot::of_sandbox(sandbox, taken))
            .collect();
        if filter.states.contains(&SandboxState::Stopped) {
            let ended = core.registry.tombstones();
            let ended = ended.filter(|tomb| fits(&tomb.record, SandboxState::Stopped));
            found.extend(ended.map(|tomb| Snapshot::of_tombstone(tomb, taken)));
        }
        drop(core);
        found.sort_by_key(|snapshot| snapshot.record.seq);
        let mut next = None;
        if let Some(limit) = filter.limit.filter(|limit| found.len() > *limit) {
            found.truncate(limit);
            next = found.last().map(|snapshot| snapshot.record.seq);
        }
        Page { sandboxes: found, next }
    }
}

pub(super) fn unix_ms(at: SystemTime) -> u64 {
    millis(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
