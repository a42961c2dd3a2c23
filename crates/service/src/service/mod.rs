//! A daemon's life: services start, it becomes ready, something ends it, it drains, it closes.

mod builder;
mod criticals;
mod handle;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub use builder::ServiceBuilder;
pub use handle::{ShutdownHandle, ShutdownState};

pub(crate) use criticals::{ABORT_BOUND, Criticals, failure_at_the_end};
pub(crate) use handle::Request;

use crate::readiness::Readiness;
use crate::shutdown::{
    Closer, DrainMetrics, DrainPhases, DrainProgress, Failure, Faults, ForceCause, Notice,
    Notifier, Shutdown, ShutdownObserver, ShutdownReport, ShutdownSettings, Trigger, Voice,
};
use crate::signals::{Heard, SignalSource};
use crate::{BoxFuture, panic_text};

type Task = BoxFuture<'static, Result<(), String>>;

/// A daemon, composed. See [`Service::builder`].
#[must_use = "nothing runs until `run` is awaited"]
pub struct Service {
    name: &'static str,
    settings: ShutdownSettings,
    readiness: Readiness,
    handle: ShutdownHandle,
    signals: Box<dyn SignalSource>,
    criticals: Vec<(&'static str, Task)>,
    closers: Vec<Closer>,
    last_rites: Vec<LastRite>,
    phases: Arc<dyn DrainPhases>,
    start_up: Option<Task>,
    when_ready: Option<Box<dyn FnOnce() + Send>>,
    metrics: DrainMetrics,
    notifier: Arc<dyn Notifier>,
    observers: Vec<Box<dyn ShutdownObserver>>,
}

pub(crate) struct LastRite {
    pub(crate) run: BoxFuture<'static, ()>,
}

impl Service {
    /// Begins to compose the daemon `name`.
    pub fn builder(name: &'static str) -> ServiceBuilder {
        ServiceBuilder::new(name)
    }

    /// Runs until a signal, a request or a failure, and then through the whole shutdown.
    ///
    /// # Cancel safety
    /// Dropping the future aborts the critical services and skips the shutdown; only the end of the
    /// process should do that.
    pub async fn run(self) -> ShutdownReport {
        let Self { name, settings, readiness, handle, mut signals, .. } = self;
        tracing::info!("{name}: a shutdown takes {}", settings.budget());
        let mut criticals = Criticals::default();
        for (name, service) in self.criticals {
            criticals.spawn(name, service);
        }
        let mut starting = JoinSet::new();
        let started = self.start_up.unwrap_or_else(|| Box::pin(std::future::ready(Ok(()))));
        starting.spawn(started);
        let mut running = Running {
            readiness: &readiness,
            criticals: &mut criticals,
            signals: &mut *signals,
            requests: handle.requests(),
            starting,
            when_ready: self.when_ready,
            notifier: &*self.notifier,
        };
        let (trigger, failure) = running.until_the_end_begins().await;
        let requests = running.requests;
        drop(running.starting);
        // Before anything else, so that nobody is told "ready" by a daemon that is going.
        readiness.ending();
        let mut voice = Voice {
            metrics: self.metrics,
            notifier: Arc::clone(&self.notifier),
            observers: self.observers,
            state: handle.voice(),
        };
        let shutdown = Shutdown {
            settings,
            phases: self.phases,
            closers: self.closers,
            last_rites: self.last_rites,
            criticals: &mut criticals,
            signals: &mut *signals,
            requests,
            voice: &mut voice,
            failures: failure.into_iter().collect(),
        };
        let report = shutdown.run(trigger).await;
        report.log();
        report
    }
}

/// The time between start and shutdown.
struct Running<'a> {
    readiness: &'a Readiness,
    criticals: &'a mut Criticals,
    signals: &'a mut dyn SignalSource,
    requests: watch::Receiver<Request>,
    starting: JoinSet<Result<(), String>>,
    when_ready: Option<Box<dyn FnOnce() + Send>>,
    notifier: &'a dyn Notifier,
}

impl Running<'_> {
    async fn until_the_end_begins(&mut self) -> (Trigger, Option<Failure>) {
        let every = self.notifier.watchdog().map(|every| every / 2);
        let mut alive = Instant::now();
        loop {
            tokio::select! {
                biased;
                heard = self.signals.next() => match heard {
                    Heard::Start | Heard::First | Heard::Second | Heard::Third => {
                        return (Trigger::Signal, None);
                    }
                    Heard::Repeat | Heard::Ignored => {}
                },
                Ok(request) = async { self.requests.wait_for(|have| *have != Request::None).await.map(|have| *have) } => {
                    if request == Request::Force {
                        // Seen again by the shutdown, which then does not wait.
                        self.requests.mark_changed();
                    }
                    return (Trigger::Api, None);
                }
                end = self.criticals.next() => {
                    let name = end.name;
                    return (Trigger::Failure { name }, Some(end.too_early()));
                }
                Some(started) = self.starting.join_next() => {
                    if let Some(text) = match started {
                        Ok(Ok(())) => None,
                        Ok(Err(text)) => Some(text),
                        Err(error) => Some(match error.try_into_panic() {
                            Ok(panic) => format!("panicked: {}", panic_text(&*panic)),
                            Err(error) => error.to_string(),
                        }),
                    } {
                        let name = "start-up";
                        return (Trigger::Failure { name }, Some(Failure { name, text }));
                    }
                    self.ready();
                }
                () = sleep_until(alive), if every.is_some() => {
                    alive = Instant::now() + every.unwrap_or(Duration::MAX);
                    self.notifier.notify(&[Notice::Alive]);
                }
            }
        }
    }

    fn ready(&mut self) {
        self.readiness.started();
        self.notifier.notify(&[Notice::Ready, Notice::Status("ready".to_owned())]);
        tracing::info!("ready");
        if let Some(call) = self.when_ready.take() {
            call();
        }
    }
}

/// A daemon that has nothing to wait for.
struct NothingToDrain;

impl DrainPhases for NothingToDrain {
    fn worth_announcing(&self) -> bool {
        false
    }

    fn close_server_gate(&self, _: Option<Instant>) {}

    fn wait_admitted(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn wait_live(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn force_stop(&self, _: ForceCause, _: Faults) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn kill_all(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn progress(&self) -> DrainProgress {
        DrainProgress::default()
    }
}
