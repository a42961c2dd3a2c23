//! What sessions tell of themselves: events, and numbers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytestring::ByteString;
use telemetry::Telemetry;
use telemetry::events::{
    ListenerConnected, ListenerDisconnected, ListenerRetry, ListenerStarted, ListenerStopped,
};
use telemetry::metrics::{GaugeGuard, ListenerMetrics, StateGauge};
use telemetry::value::Id;
use telemetry::words::ListenerStop;

use crate::SessionKey;
use crate::listener::{GiveUp, Reason, State, Status};

/// Where it is told.
#[derive(Clone, Debug)]
pub struct Observe {
    /// Takes events.
    pub telemetry: Telemetry,
    /// Takes numbers, if somebody wants them.
    pub metrics: Option<ListenerMetrics>,
    /// Hears that a finished run has stopped a session.
    pub stopped: Option<OnStop>,
    /// Hears that something was logged of a session: of the begin and the end of a run at once, of what
    /// comes between them at most every 10 s, and then of the last of it too.
    pub active: Option<OnActivity>,
}

/// Hears of a session; called from the task that looks after them all, so it returns at once.
#[derive(Clone)]
pub struct OnStop(pub Arc<dyn Fn(&SessionKey) + Send + Sync>);

/// Hears of a session; called from the task that writes its log, so it returns at once.
#[derive(Clone)]
pub struct OnActivity(pub Arc<dyn Fn(&SessionKey) + Send + Sync>);

impl fmt::Debug for OnActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnActivity")
    }
}

impl fmt::Debug for OnStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnStop")
    }
}

impl Default for Observe {
    /// Nowhere.
    fn default() -> Self {
        Self { telemetry: Telemetry::disconnected(), metrics: None, stopped: None, active: None }
    }
}

/// Tells of one session.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) observe: Observe,
    key: SessionKey,
    /// The session as it is named in events: project and name, with a slash between them.
    pub(super) session: Id,
    listening: Mutex<Listening>,
}

#[derive(Debug)]
struct Listening {
    /// The runner's host and port.
    runner: Id,
    generation: Option<u64>,
    started: Option<Instant>,
    connecting: Option<Instant>,
    /// Since when it streams, and what had been read before.
    streaming: Option<(Instant, u64, u64)>,
    gauge: Option<StateGauge>,
    /// Why it ends if it is cancelled.
    cause: ListenerStop,
}

impl Teller {
    pub(super) fn new(observe: Observe, key: &SessionKey) -> Self {
        let listening = Listening {
            runner: Id::from(""),
            generation: None,
            started: None,
            connecting: None,
            streaming: None,
            gauge: None,
            cause: ListenerStop::Cancelled,
        };
        let session = Id::from(format!("{}/{}", key.project(), key.session()));
        Self { observe, key: key.clone(), session, listening: listening.into() }
    }

    /// The next listener listens to this host and port.
    pub(super) fn set_runner(&self, runner: &str) {
        self.listening().runner = Id::from(runner);
    }

    /// The listener is about to be cancelled for this reason.
    pub(super) fn set_cause(&self, cause: ListenerStop) {
        self.listening().cause = cause;
    }

    /// Somebody reads the session.
    pub(super) fn subscriber(&self) -> Option<GaugeGuard> {
        self.observe.metrics.as_ref().map(ListenerMetrics::subscriber)
    }

    /// Something was logged, and somebody is to hear of it.
    pub(super) fn active(&self) {
        if let Some(OnActivity(heard)) = &self.observe.active {
            heard(&self.key);
        }
    }

    /// The listener's state has changed.
    pub(super) fn listener(&self, status: &Status, resume: Option<&ByteString>) {
        let mut at = self.listening();
        let session = self.session.clone();
        if at.generation != Some(status.generation) {
            at.generation = Some(status.generation);
            (at.started, at.streaming) = (Some(status.since), None);
            at.cause = ListenerStop::Cancelled;
            let runner = at.runner.clone();
            self.publish(ListenerStarted { session: session.clone(), runner });
        }
        self.gauge(&mut at, &status.state);
        let since = |then: Option<Instant>| {
            status.since.saturating_duration_since(then.unwrap_or(status.since)).into()
        };
        if !matches!(status.state, State::Streaming { .. })
            && let Some((then, events, bytes)) = at.streaming.take()
        {
            let cancelled = matches!(status.state, State::Cancelled);
            let reason = status.reason.filter(|_| !cancelled);
            if let (Some(metrics), Some(reason)) = (&self.observe.metrics, reason) {
                metrics.disconnected(reason.kind());
            }
            self.publish(ListenerDisconnected {
                session: session.clone(),
                cause: reason.map_or("cancelled".into(), |reason| reason.to_string().into()),
                http_status: reason.and_then(http_status),
                connected_ms: since(Some(then)),
                events: status.counts.events - events,
                bytes: status.counts.bytes - bytes,
            });
        }
        let reconnects = status.counts.connections.saturating_sub(1);
        let lifetime_ms = since(at.started);
        match status.state {
            State::Connecting { .. } => at.connecting = Some(status.since),
            State::Streaming { .. } if at.streaming.is_some() => {}
            State::Streaming { .. } => {
                at.streaming = Some((status.since, status.counts.events, status.counts.bytes));
                let attempt = status.counts.attempts;
                let resumed_from = resume.map(|id| Id::from(&**id));
                let connect_ms = since(at.connecting);
                self.publish(ListenerConnected { session, attempt, connect_ms, resumed_from });
            }
            State::Waiting { until, .. } => {
                let delay_ms = until.saturating_duration_since(status.since).into();
                let attempt = status.counts.attempts + 1;
                self.publish(ListenerRetry { session, attempt, delay_ms });
            }
            State::GaveUp(why) => {
                let cause = match why {
                    GiveUp::Permanent(_) => ListenerStop::Refused,
                    GiveUp::NoProgress(_) | GiveUp::Internal => ListenerStop::GaveUp,
                };
                self.publish(ListenerStopped { session, cause, lifetime_ms, reconnects });
            }
            State::Cancelled => {
                let cause = at.cause;
                self.publish(ListenerStopped { session, cause, lifetime_ms, reconnects });
            }
        }
    }

    /// A listener that gave up is counted until the next one starts or the session ends.
    fn gauge(&self, at: &mut Listening, state: &State) {
        match (&mut at.gauge, &self.observe.metrics) {
            (gauge, _) if matches!(state, State::Cancelled) => *gauge = None,
            (Some(gauge), _) => gauge.move_to(state.kind()),
            (gauge @ None, Some(metrics)) => *gauge = Some(metrics.listener(state.kind())),
            (None, None) => {}
        }
    }

    pub(super) fn publish(&self, event: impl telemetry::events::Body) {
        self.observe.telemetry.publish(None, event);
    }

    fn listening(&self) -> std::sync::MutexGuard<'_, Listening> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn http_status(reason: Reason) -> Option<u16> {
    match reason {
        Reason::StoppedByServer => Some(204),
        Reason::Unauthorized => Some(401),
        Reason::Forbidden => Some(403),
        Reason::NotFound => Some(404),
        Reason::Gone => Some(410),
        Reason::Http(status) => Some(status),
        _ => None,
    }
}
