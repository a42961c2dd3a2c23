//! What the records of a session tell of its runs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telemetry::events::{RunEnded, RunEventLost, RunEventRejected, RunStarted};
use telemetry::words::{RunOrigin, RunOutcome};

use crate::log::{FeedName, Kind, Origin, Stored};
use crate::session::activity::Activity;
use crate::session::event::{Event, EventType};
use crate::session::lane::is_ours;
use crate::session::observe::Teller;

/// Most reasons of rejections that are kept in mind, of all streams together. With more, some are
/// told again.
const REASONS: usize = 1_024;

/// Counts the open run and tells of it.
pub(in crate::session) struct Meter {
    teller: Arc<Teller>,
    run: Option<Open>,
    rejected: HashSet<(Option<FeedName>, Option<u64>, String)>,
    activity: Activity,
}

/// The open run.
struct Open {
    id: String,
    since_ms: i64,
    events: u64,
    bytes: u64,
    first: u64,
}

impl Meter {
    pub(in crate::session) fn new(teller: Arc<Teller>) -> Self {
        Self { teller, run: None, rejected: HashSet::new(), activity: Activity::default() }
    }

    /// A record was found in the log; it has been told before.
    pub(in crate::session) fn read(&mut self, stored: &Stored) {
        self.count(stored);
    }

    /// A record is in the log.
    pub(super) fn record(&mut self, stored: &Stored) {
        let bytes = stored.data.len() as u64;
        if let Some(metrics) = &self.teller.observe.metrics {
            metrics.logged(kind(stored.envelope.kind), bytes);
        }
        match stored.envelope.kind {
            Kind::Event => {}
            Kind::Rejected => return self.reject(stored),
            Kind::Loss => {
                let session = self.teller.session.clone();
                self.teller.publish(RunEventLost { session, offset: stored.offset });
                return;
            }
            Kind::Note | Kind::Part => return,
        }
        let session = self.teller.session.clone();
        let border = self.count(stored);
        if self.activity.logged(border.is_some(), now()) {
            self.teller.active();
        }
        match border {
            Some(Border::Started { event, origin }) => self.teller.publish(RunStarted {
                session,
                run_id: event.text("runId").unwrap_or_default().into(),
                parent_run_id: event.text("parentRunId").map(Into::into),
                origin,
            }),
            Some(Border::Ended { event, run }) => {
                let outcome = outcome(&event, stored.envelope.origin);
                if let Some(metrics) = &self.teller.observe.metrics {
                    metrics.run_ended(outcome);
                }
                let took = stored.envelope.ts_ms.saturating_sub(run.since_ms);
                self.teller.publish(RunEnded {
                    session,
                    run_id: run.id.into(),
                    outcome,
                    duration_ms: Duration::from_millis(took.try_into().unwrap_or(0)).into(),
                    events: run.events,
                    bytes: run.bytes,
                    first_offset: Some(run.first),
                    last_offset: Some(stored.offset),
                    code: event.text("code").map(|code| code.to_owned().into()),
                });
            }
            None => {}
        }
    }

    /// When to tell of what was logged and not told at once.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.activity.deadline()
    }

    /// Time has passed.
    pub(super) fn passed(&mut self) {
        if self.activity.passed(now()) {
            self.teller.active();
        }
    }

    /// Runs of ours around input and events between runs are none that anybody asked for.
    fn count(&mut self, stored: &Stored) -> Option<Border> {
        let envelope = &stored.envelope;
        if envelope.kind != Kind::Event {
            return None;
        }
        let bytes = stored.data.len() as u64;
        if let Some(run) = &mut self.run {
            run.events += 1;
            run.bytes += bytes;
        }
        let name = EventType::named(envelope.event_type.as_deref().unwrap_or_default());
        if name != EventType::RunStarted && !name.is_terminal() {
            return None;
        }
        let event = Event::parse(std::str::from_utf8(&stored.data).ok()?).ok()?;
        if name.is_terminal() {
            return self.run.take().map(|run| Border::Ended { event, run });
        }
        self.run = None;
        if envelope.origin == Origin::Gateway && is_ours(&event) {
            return None;
        }
        let id = event.text("runId").unwrap_or_default().to_owned();
        let since_ms = envelope.ts_ms;
        self.run = Some(Open { id, since_ms, events: 1, bytes, first: stored.offset });
        let origin = match envelope.feed {
            Some(FeedName::Run) => RunOrigin::Client,
            Some(FeedName::Listen) | None => RunOrigin::BetweenRun,
        };
        Some(Border::Started { event, origin })
    }

    fn reject(&mut self, stored: &Stored) {
        let envelope = &stored.envelope;
        let reason = envelope.reason.clone().unwrap_or_default();
        if self.rejected.len() >= REASONS {
            self.rejected.clear();
        }
        if self.rejected.insert((envelope.feed, envelope.feed_generation, reason.clone())) {
            self.teller.publish(RunEventRejected {
                session: self.teller.session.clone(),
                reason: reason.into(),
                feed: match envelope.feed {
                    Some(FeedName::Run) => "run".into(),
                    Some(FeedName::Listen) | None => "listen".into(),
                },
            });
        }
    }
}

/// Where a run that counts begins or ends.
enum Border {
    Started { event: Event, origin: RunOrigin },
    Ended { event: Event, run: Open },
}

fn outcome(event: &Event, origin: Origin) -> RunOutcome {
    if event.kind == EventType::RunError {
        let ended = ["RUNNER_TRUNCATED", "RUNNER_IDLE", "GATEWAY_RESTARTED", "LOG_STALLED"];
        let truncated = event.text("code").is_some_and(|code| ended.contains(&code));
        let ours = origin == Origin::Gateway;
        return if ours && truncated { RunOutcome::Truncated } else { RunOutcome::Error };
    }
    match event.field("outcome").and_then(|outcome| outcome["type"].as_str()) {
        Some("interrupt") => RunOutcome::Interrupt,
        Some("cancelled") => RunOutcome::Cancelled,
        _ => RunOutcome::Success,
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Event => "event",
        Kind::Rejected => "rejected",
        Kind::Loss => "loss",
        Kind::Note => "note",
        Kind::Part => "part",
    }
}
