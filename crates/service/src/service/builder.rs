//! Composing a daemon out of what it runs, what it drains and what it closes.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use telemetry::{TelemetryOwner, fields};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handle::ShutdownHandle;
use super::{LastRite, NothingToDrain, Service};
use crate::BoxFuture;
use crate::http::{BindError, HttpServer, bind};
use crate::readiness::Readiness;
use crate::reload;
use crate::settings::Values;
use crate::settings::shared::{ADMIN_LISTEN, Files, http_limits};
use crate::shutdown::{
    Closer, DrainMetrics, DrainPhases, Notifier, ShutdownObserver, ShutdownSettings, Systemd,
};
use crate::signals::SignalSource;

/// Time a server keeps of its bound to cut what did not end and join it.
const CUT_TIME: Duration = Duration::from_millis(250);

/// Time for the last events to reach the store and the sinks.
const EVENTS_BOUND: Duration = Duration::from_secs(10);

/// Collects the parts of a [`Service`].
#[must_use = "nothing runs until it is built and run"]
pub struct ServiceBuilder(Service);

impl ServiceBuilder {
    pub(super) fn new(name: &'static str) -> Self {
        Self(Service {
            name,
            settings: ShutdownSettings::default(),
            readiness: Readiness::starting("services"),
            handle: ShutdownHandle::new(),
            signals: Box::new(NoSignals),
            criticals: Vec::new(),
            closers: Vec::new(),
            last_rites: Vec::new(),
            phases: Arc::new(NothingToDrain),
            start_up: None,
            when_ready: None,
            metrics: DrainMetrics::default(),
            notifier: Arc::new(Systemd),
            observers: Vec::new(),
        })
    }

    /// How long each part of the shutdown may take.
    pub fn shutdown(mut self, settings: ShutdownSettings) -> Self {
        self.0.settings = settings;
        self
    }

    /// The readiness to set when start-up has ended and when the end begins.
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.0.readiness = readiness;
        self
    }

    /// The handle that others got to begin the shutdown with.
    pub fn handle(mut self, handle: ShutdownHandle) -> Self {
        self.0.handle = handle;
        self
    }

    /// The signals that end it. Without them none does.
    pub fn signals(mut self, signals: impl SignalSource) -> Self {
        self.0.signals = Box::new(signals);
        self
    }

    /// A service without which the daemon is none. When it ends before the closers run, with whatever
    /// result, the daemon shuts down and fails; afterwards only an error or a panic is a failure.
    pub fn critical<F, E>(mut self, name: &'static str, service: F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let service = async move { service.await.map_err(|error| error.to_string()) };
        self.0.criticals.push((name, Box::pin(service)));
        self
    }

    /// Something to close at the end. Closers run in the reverse order of their registration, each
    /// at most for `bound` and all of them within their shared time; `close` is told when its time is
    /// over and dropped then.
    pub fn closer<C, F, E>(mut self, name: &'static str, bound: Duration, close: C) -> Self
    where
        C: FnOnce(Instant) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let close = move |until| -> BoxFuture<'static, Result<(), String>> {
            let closing = close(until);
            Box::pin(async move { closing.await.map_err(|error| error.to_string()) })
        };
        self.0.closers.push(Closer { name, bound, close: Box::new(close) });
        self
    }

    /// An HTTP server, as a critical service with its closer: open requests get `grace` to end.
    pub fn http(self, name: &'static str, server: HttpServer, grace: Duration) -> Self {
        let stop = server.stop_handle();
        let serve = async move {
            let report = server.run().await;
            if report.panicked > 0 {
                return Err(format!("{} connections panicked", report.panicked));
            }
            if report.cut > 0 {
                tracing::warn!({ fields::PART } = name, "{name}: {} requests were cut", report.cut);
            }
            tracing::debug!({ fields::PART } = name, "{name}: {report}");
            Ok(())
        };
        self.critical(name, serve).closer(name, grace + CUT_TIME, move |until| async move {
            stop.finish(until - CUT_TIME).await;
            Ok::<(), String>(())
        })
    }

    /// The admin routes: on a listener of their own when `ADMIN_LISTEN` is set, else beside `routes`,
    /// which are returned with or without them.
    ///
    /// # Errors
    /// When that listener cannot be bound.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing bound.
    pub async fn admin(
        self,
        values: &Values,
        admin: Router,
        routes: Router,
    ) -> Result<(Self, Router), BindError> {
        let Some(at) = values.find(&ADMIN_LISTEN) else { return Ok((self, routes.merge(admin))) };
        let listener = bind(at, "LOCKKEEPER_ADMIN_LISTEN").await?;
        let server = HttpServer::new(listener, admin, http_limits(values));
        Ok((self.http("admin routes", server, Duration::ZERO), routes))
    }

    /// Watches the files that settings name, and takes them again when they change.
    pub fn files(self, files: Files) -> Self {
        let watched = files.into_watched();
        if watched.is_empty() {
            return self;
        }
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let watch = async move {
            stopped.run_until_cancelled(reload::watch(watched)).await;
            Ok::<(), String>(())
        };
        self.critical("files", watch).closer("files", CUT_TIME, move |_| async move {
            stop.cancel();
            Ok::<(), String>(())
        })
    }

    /// The store of telemetry events, closed within its bound. What could not be stored is a failure.
    pub fn events(self, events: TelemetryOwner) -> Self {
        self.closer("events", EVENTS_BOUND, move |until| async move {
            let report = events.close(until.saturating_duration_since(Instant::now())).await;
            if report.clean && report.left == 0 {
                return Ok(());
            }
            Err(format!("{} events could not be stored", report.left))
        })
    }

    /// What must still happen when a third signal ends the process without closing anything, within
    /// a second and a half and in no order: making the log of events durable, for example.
    pub fn last_rite<F>(mut self, name: &'static str, rite: F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let run = async move {
            rite.await;
            tracing::info!("{name}: done before the end");
        };
        self.0.last_rites.push(LastRite { run: Box::pin(run) });
        self
    }

    /// What the daemon drains. Without it there is nothing to wait for.
    pub fn drain(mut self, phases: Arc<dyn DrainPhases>) -> Self {
        self.0.phases = phases;
        self
    }

    /// The rest of start-up, which runs beside the services: the daemon is ready when it has ended
    /// well, and shuts down as failed when it has not. Dropped if the end begins first.
    pub fn start_up<F, E>(mut self, start: F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let start = async move { start.await.map_err(|error| error.to_string()) };
        self.0.start_up = Some(Box::pin(start));
        self
    }

    /// Called once, right after the daemon became ready.
    pub fn when_ready(mut self, call: impl FnOnce() + Send + 'static) -> Self {
        self.0.when_ready = Some(Box::new(call));
        self
    }

    /// Where the drain is counted.
    pub fn metrics(mut self, metrics: DrainMetrics) -> Self {
        self.0.metrics = metrics;
        self
    }

    /// Who is told as the supervisor; systemd unless set.
    pub fn notifier(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.0.notifier = notifier;
        self
    }

    /// Somebody else to tell how the shutdown goes.
    pub fn observer(mut self, observer: impl ShutdownObserver) -> Self {
        self.0.observers.push(Box::new(observer));
        self
    }

    /// The service, ready to run.
    pub fn build(self) -> Service {
        self.0
    }
}

struct NoSignals;

impl SignalSource for NoSignals {
    fn next(&mut self) -> BoxFuture<'_, crate::Heard> {
        Box::pin(std::future::pending())
    }
}
