//! A daemon made of what tests hold in their hands.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::service::{Service, ServiceBuilder};
use crate::shutdown::{
    Blocker, DrainPhases, DrainProgress, Faults, ForceCause, Notice, Notifier, ShutdownSettings,
    Step,
};
use crate::{BoxFuture, Heard, SignalSource};

pub(super) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Signals by hand.
pub(super) struct Keys(mpsc::Receiver<Heard>);

impl SignalSource for Keys {
    fn next(&mut self) -> BoxFuture<'_, Heard> {
        Box::pin(async {
            match self.0.recv().await {
                Some(heard) => heard,
                None => std::future::pending().await,
            }
        })
    }
}

pub(super) fn keys() -> (mpsc::Sender<Heard>, Keys) {
    let (press, pressed) = mpsc::channel(8);
    (press, Keys(pressed))
}

/// What a test daemon runs: each wait can be held, hung or made to panic.
#[derive(Default)]
pub(super) struct Fake {
    calls: Mutex<Vec<String>>,
    held: Mutex<Vec<Step>>,
    pub(super) panics: Mutex<Vec<Step>>,
    changed: Notify,
    pub(super) live_for: Mutex<Option<Duration>>,
    pub(super) hung_cleanup: AtomicBool,
    pub(super) left: Mutex<Vec<String>>,
    pub(super) killed: AtomicUsize,
    pub(super) announces: bool,
}

impl Fake {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { announces: true, ..Self::default() })
    }

    pub(super) fn hold(&self, step: Step) {
        self.held.lock().unwrap().push(step);
    }

    pub(super) fn release(&self, step: Step) {
        self.held.lock().unwrap().retain(|held| *held != step);
        self.changed.notify_waiters();
    }

    fn note(&self, what: impl Into<String>) {
        self.calls.lock().unwrap().push(what.into());
        self.changed.notify_waiters();
    }

    /// Waits until a call was made.
    pub(super) async fn reached(&self, call: &str) {
        loop {
            let changed = self.changed.notified();
            if self.calls().iter().any(|have| have == call) {
                return;
            }
            tokio::time::timeout(secs(100_000), changed)
                .await
                .unwrap_or_else(|_| panic!("{call} was never called: {:?}", self.calls()));
        }
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    async fn wait(&self, step: Step) {
        self.note(step.as_str());
        assert!(!self.panics.lock().unwrap().contains(&step), "{step} was told to panic");
        loop {
            let released = self.changed.notified();
            if !self.held.lock().unwrap().contains(&step) {
                return;
            }
            released.await;
        }
    }
}

impl DrainPhases for Fake {
    fn worth_announcing(&self) -> bool {
        self.announces
    }

    fn announce(&self, _: Instant) {
        self.note("announce");
    }

    fn close_server_gate(&self, _: Option<Instant>) {
        self.note("server_gate");
    }

    fn wait_admitted(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.wait(Step::WaitAdmitted))
    }

    fn close_factory_gate(&self) {
        self.note("factory_gate");
    }

    fn wait_starts(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.wait(Step::WaitStarts))
    }

    fn end_pool(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.wait(Step::Pool))
    }

    fn wait_live(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.wait(Step::WaitLive).await;
            let live_for = *self.live_for.lock().unwrap();
            if let Some(live_for) = live_for {
                tokio::time::sleep(live_for).await;
            }
        })
    }

    fn wait_cleanup(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.wait(Step::WaitCleanup))
    }

    fn force_stop(&self, cause: ForceCause, faults: Faults) -> BoxFuture<'_, ()> {
        self.note(format!("force_stop({cause})"));
        Box::pin(async move {
            for id in self.left.lock().unwrap().iter() {
                faults.add(id, "folders", "busy");
            }
            if self.hung_cleanup.load(Ordering::SeqCst) {
                std::future::pending().await
            }
        })
    }

    fn kill_all(&self) -> BoxFuture<'_, ()> {
        self.note("kill_all");
        self.killed.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }

    fn progress(&self) -> DrainProgress {
        let left = self.left.lock().unwrap();
        let blocker = |id: &String| Blocker {
            id: id.clone(),
            state: "stopping: folders".to_owned(),
            age: secs(1),
            sessions: 0,
            expires_in: None,
        };
        DrainProgress {
            live: left.len() as u64,
            blockers: left.iter().map(blocker).collect(),
            ..DrainProgress::default()
        }
    }
}

/// Hears what the supervisor is told.
#[derive(Default)]
pub(super) struct Supervisor(Mutex<Vec<(Duration, Notice)>>, Mutex<Option<Instant>>);

impl Supervisor {
    pub(super) fn told(&self) -> Vec<(Duration, Notice)> {
        self.0.lock().unwrap().clone()
    }
}

impl Notifier for Supervisor {
    fn notify(&self, notices: &[Notice]) {
        let began = *self.1.lock().unwrap().get_or_insert_with(Instant::now);
        let mut told = self.0.lock().unwrap();
        told.extend(notices.iter().map(|notice| (began.elapsed(), notice.clone())));
    }

    fn watchdog(&self) -> Option<Duration> {
        Some(secs(20))
    }
}

pub(super) fn settings() -> ShutdownSettings {
    ShutdownSettings { drain: Some(secs(60)), only_loopback: true, ..ShutdownSettings::default() }
}

/// A critical service that ends when it is told to, and the closer that tells it.
pub(super) fn obedient(builder: ServiceBuilder, name: &'static str) -> ServiceBuilder {
    let (stop, mut stopped) = watch::channel(false);
    builder
        .critical(name, async move {
            let _ = stopped.wait_for(|stop| *stop).await;
            Ok::<(), String>(())
        })
        .closer(name, secs(5), move |_| async move {
            stop.send_replace(true);
            Ok::<(), String>(())
        })
}

pub(super) fn service(fake: &Arc<Fake>, keys: Keys) -> ServiceBuilder {
    let builder = Service::builder("test").shutdown(settings()).signals(keys);
    obedient(builder, "api").drain(fake.clone()).notifier(Arc::new(Supervisor::default()))
}
