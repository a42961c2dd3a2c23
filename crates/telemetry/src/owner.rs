//! The owner of telemetry: starts its tasks, gives out its routes, ends it within a bound.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use eventlog::{Log, Recovery};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::Api;
use crate::config::Switch;
use crate::envelope;
use crate::events::LogRecovered;
use crate::feed::Feed;
use crate::handle::{self, Intake, Telemetry};
use crate::metrics::{ClassMetrics, EventMetrics, LogMetrics, Registry, SinkMetrics};
use crate::settings::Settings;
use crate::sinks::{Parts, Sinks};
use crate::store::ConfigStore;
use crate::stream::StreamSettings;
use crate::value::clip;
use crate::writer::Writer;

#[cfg(test)]
mod tests;

/// What telemetry counts about itself.
#[derive(Clone, Debug)]
pub struct TelemetryMetrics {
    /// The way of events.
    pub events: EventMetrics,
    /// The log that they go to.
    pub log: ClassMetrics,
    /// Where they are sent from there.
    pub sinks: SinkMetrics,
}

impl TelemetryMetrics {
    /// Adds them to a registry. `backend` names the store of the log.
    pub fn register(registry: &mut Registry, backend: &'static str) -> Self {
        let log = LogMetrics::register(registry).class("telemetry", backend);
        let events = EventMetrics::register(registry);
        Self { events, log, sinks: SinkMetrics::register(registry) }
    }
}

impl Telemetry {
    /// Starts telemetry on a log that nobody else appends to.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        settings: Settings,
        log: Arc<dyn Log>,
        metrics: TelemetryMetrics,
    ) -> (Self, TelemetryOwner) {
        let losses = Arc::new(metrics.events.clone());
        let (intake, outlet) = handle::queue(settings.config.bits(), losses);
        let telemetry = Self::connected(Arc::clone(&intake));
        let feed = Arc::new(Feed::new(log));
        let (stop, stopped) = watch::channel(None);
        let writer = Writer {
            node: clip(&settings.node).to_owned(),
            outlet,
            intake: Arc::clone(&intake),
            telemetry: telemetry.clone(),
            feed: Arc::clone(&feed),
            events: metrics.events.clone(),
            log: metrics.log,
            render: envelope::render,
            stop: stopped,
            lost: 0,
            refused_since: None,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        let mut config = settings.config;
        let sinks = settings.sinks.iter().flat_map(Sinks::switches);
        config.sinks = sinks.map(|(name, enabled)| (name.into(), Switch { enabled })).collect();
        let config = ConfigStore::new(config, Arc::clone(&intake), telemetry.clone());
        let (stop_sinks, sinks_stopped) = watch::channel(None);
        let mut sink_tasks = JoinSet::new();
        if let Some(sinks) = settings.sinks {
            let parts = Parts {
                feed: Arc::clone(&feed),
                telemetry: telemetry.clone(),
                metrics: metrics.sinks,
                enabled: config.sinks(),
                stop: sinks_stopped,
            };
            sinks.start(&parts, &mut sink_tasks);
        }
        let api = Arc::new(Api {
            feed: Arc::clone(&feed),
            intake: Arc::clone(&intake),
            config,
            metrics: metrics.events,
            stream: StreamSettings { keep_alive: settings.keep_alive, stall: settings.stall },
        });
        let streams = Streams { feed, intake };
        tell_recovery(&telemetry, &*streams.feed.log);
        let flush = settings.flush;
        (telemetry, TelemetryOwner { api, streams, stop, tasks, stop_sinks, sink_tasks, flush })
    }
}

/// Says what had to be done to open the log, if that cost records.
fn tell_recovery(telemetry: &Telemetry, log: &dyn Log) {
    let (lost_from, lost_to) = match log.status().recovery {
        None => return,
        Some(Recovery::Jumped { from, to }) => (Some(from), Some(to)),
        Some(Recovery::Replaced { lost_from, lost_to }) => (lost_from, lost_to),
    };
    let log = log.name().as_str().into();
    telemetry.publish(None, LogRecovered { log, down_ms: None, lost_from, lost_to });
}

/// Owns telemetry: its tasks end with it.
#[must_use = "dropping it ends telemetry at once; what is in the queue is lost"]
pub struct TelemetryOwner {
    api: Arc<Api>,
    streams: Streams,
    stop: watch::Sender<Option<Instant>>,
    tasks: JoinSet<u64>,
    stop_sinks: watch::Sender<Option<Instant>>,
    sink_tasks: JoinSet<()>,
    flush: Duration,
}

/// How telemetry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseReport {
    /// Events that were in the queue and could not be stored in time.
    pub left: u64,
    /// Whether the writer ended by itself; if not, it hung or panicked.
    pub clean: bool,
}

impl TelemetryOwner {
    /// The routes below `/v1/telemetry`, without any check of who asks.
    pub fn router(&self) -> Router {
        Arc::clone(&self.api).router()
    }

    /// The open streams, for whoever ends them before the servers close.
    #[must_use]
    pub fn streams(&self) -> Streams {
        self.streams.clone()
    }

    /// Takes no further event, stores what is in the queue, ends every stream, lets the sinks send
    /// what there is, and waits for the tasks. Storing takes at most [`Settings::flush`], sending at
    /// most [`SINK_FLUSH`], and both together not more than `within`.
    ///
    /// The log itself is not closed: it belongs to whoever opened it.
    ///
    /// # Cancel safety
    /// Dropping it ends the tasks at once.
    pub async fn close(mut self, within: Duration) -> CloseReport {
        let end = Instant::now() + within;
        let deadline = end.min(Instant::now() + self.flush);
        self.stop.send_replace(Some(deadline));
        // The writer gives up by itself at the deadline; a little more tells a hang from that.
        let ended = tokio::time::timeout_at(deadline + GRACE, self.tasks.join_next()).await;
        self.streams.feed.end();
        let report = match ended {
            Ok(Some(Ok(left))) => CloseReport { left, clean: true },
            Ok(Some(Err(_)) | None) | Err(_) => {
                let left = self.streams.intake.queued() as u64;
                tracing::error!(events = left, "the writer of events did not end by itself");
                self.tasks.shutdown().await;
                CloseReport { left, clean: false }
            }
        };
        let deadline = end.min(Instant::now() + SINK_FLUSH);
        self.stop_sinks.send_replace(Some(deadline));
        let sinks = async { while self.sink_tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline + GRACE, sinks).await.is_err() {
            tracing::error!("a sink did not end by itself");
            self.sink_tasks.shutdown().await;
        }
        report
    }
}

/// How long the sinks may take to send what there is when telemetry ends.
pub const SINK_FLUSH: Duration = Duration::from_secs(10);
/// How long after its deadline a task may still need to say that it gave up.
const GRACE: Duration = Duration::from_millis(250);

/// The open streams of events. Clones are the same streams.
#[derive(Clone)]
pub struct Streams {
    feed: Arc<Feed>,
    intake: Arc<Intake>,
}

impl Streams {
    /// Lets every stream send all events published so far, waiting for the log at most so long, and
    /// then say that it is over and end. Streams opened later end too, behind what there is.
    ///
    /// # Cancel safety
    /// Dropping it before it is done leaves the streams open.
    pub async fn end(&self, within: Duration) {
        // Too slow: what is stored later is not in these streams.
        let _in_time = self.handled(within).await;
        self.feed.end();
    }

    /// Waits until everything published so far is stored or lost, and says whether it came to that.
    pub(crate) async fn handled(&self, within: Duration) -> bool {
        let published = self.intake.taken();
        let mut news = self.feed.watch();
        let handled = news.wait_for(|news| news.handled >= published);
        tokio::time::timeout(within, handled).await.is_ok()
    }

    #[cfg(test)]
    pub(crate) fn watch(&self) -> watch::Receiver<crate::feed::News> {
        self.feed.watch()
    }
}
