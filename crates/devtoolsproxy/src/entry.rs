//! An upgrade between its admission and its 101: whatever becomes of it, one event says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use telemetry::events::CdpRefused;
use telemetry::words::ContextDetail;

use crate::dial::Plan;
use crate::refusal::Refusal;
use crate::reports::Reports;
use crate::verdict::Verdict;

/// The record of an upgrade that has neither its 101 nor its refusal yet.
///
/// Dropping it means that the client's request went away: that is how its leaving is noticed.
#[must_use = "dropping it publishes that the client has left"]
pub(crate) struct Entry {
    reports: Reports,
    connection_id: Arc<str>,
    sandbox: Option<Arc<str>>,
    generation: u64,
    /// Held before the plan began, for the start of a sandbox.
    started: Duration,
    held: Duration,
    /// Since when it is being held, if it is.
    holding: Option<Instant>,
    attempts: u32,
    open: bool,
}

impl Entry {
    pub(crate) fn new(reports: Reports, connection_id: Arc<str>) -> Self {
        Self {
            reports,
            connection_id,
            sandbox: None,
            generation: 0,
            started: Duration::ZERO,
            held: Duration::ZERO,
            holding: None,
            attempts: 0,
            open: true,
        }
    }

    /// The sandbox is known.
    pub(crate) fn of_sandbox(&mut self, id: &Arc<str>) {
        self.sandbox = Some(Arc::clone(id));
    }

    /// A sandbox is being started for this client since `now`.
    pub(crate) fn starting(&mut self, now: Instant) {
        self.holding = Some(now);
    }

    /// Time held so far.
    pub(crate) fn held(&self, now: Instant) -> Duration {
        let holding = self.holding.map(|since| now.saturating_duration_since(since));
        self.held + holding.unwrap_or_default()
    }

    /// The sandbox is there; the plan begins.
    pub(crate) fn planned(&mut self, now: Instant) {
        self.started = self.held(now);
        self.held = self.started;
        self.holding = None;
    }

    /// Where the plan stands.
    pub(crate) fn note(&mut self, plan: &Plan, generation: u64, now: Instant) {
        self.generation = generation;
        self.attempts = plan.attempts();
        self.held = self.started + plan.held(now);
        self.holding = plan.is_holding().then_some(now);
    }

    /// The client is refused.
    pub(crate) fn refused(mut self, refusal: &Refusal) {
        self.open = false;
        if let Some(verdict) = refusal.verdict() {
            self.publish(Some(refusal.status().as_u16()), verdict);
        }
    }

    /// The client is connected. Gives the time held.
    pub(crate) fn connected(mut self, now: Instant) -> Duration {
        self.open = false;
        self.held(now)
    }

    fn publish(&self, status: Option<u16>, verdict: Verdict) {
        let held = self.held(tokio::time::Instant::now().into_std());
        tracing::info!(
            session.id = &*self.connection_id,
            sandbox.id = self.sandbox.as_deref(),
            http.status = status,
            session.reason = verdict.reason.as_str(),
            session.detail = verdict.detail.as_str(),
            "session refused"
        );
        self.reports.refused(
            self.sandbox.as_deref(),
            CdpRefused {
                connection_id: (&self.connection_id).into(),
                status,
                reason: verdict.reason,
                detail: verdict.detail,
                generation: self.generation,
                hold_ms: held.into(),
                dial_attempts: self.attempts.into(),
            },
        );
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.open {
            self.publish(None, Verdict::cancelled(ContextDetail::RequestCancelled));
        }
    }
}
