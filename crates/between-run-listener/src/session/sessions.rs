//! All sessions: made, changed, deleted, and found again at the next start.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use draingate::{Gate, Keeper, OwnedPass};
use eventlog::{Store, micros};
use telemetry::events::SessionDeleted;
use telemetry::words::ListenerStop;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::names::{bases_of, log_of};
use super::pile;
use super::settings::Checked;
use super::{Observe, Session, Setup};
use crate::http::Client;
use crate::registry::{self, Ensured, Pin, Registry, ShutdownReport};
use crate::sse::{Budget, Limits};
use crate::{SessionKey, listener};

mod error;
mod held;
mod kept;
mod post;
mod tend;

pub use error::SessionsError;
pub use held::Held;
pub use post::{Accepted, PostError, RunInput};

/// Folds of all sessions that run at once; others wait. Each may hold a whole base in memory.
const FOLDS: usize = 2;

/// What all sessions have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How listeners are kept.
    pub registry: registry::Settings,
    /// How large an event may be.
    pub limits: Limits,
    /// How much of a session is kept, and when closed runs are folded.
    pub kept: pile::Limits,
    /// How long a session is kept that nobody uses and whose runner says nothing.
    pub idle: Duration,
}

impl Default for Options {
    /// 256 MiB a session; 30 days.
    fn default() -> Self {
        Self {
            registry: registry::Settings::default(),
            limits: Limits::default(),
            kept: pile::Limits::default(),
            idle: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// What became of settings that were put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The session is new.
    Created,
    /// It had other settings, or the same.
    Kept,
}

/// All sessions of a process. It has one owner, who drains it and shuts it down.
pub struct Sessions {
    store: Arc<dyn Store>,
    client: Client,
    options: Options,
    registry: Registry,
    keeper: Keeper,
    gate: Gate,
    table: Mutex<BTreeMap<SessionKey, Arc<Held>>>,
    /// One change of the table at a time, so that a session is never made twice.
    changes: tokio::sync::Mutex<()>,
    runs: AtomicU64,
    budget: Budget,
    tasks: TaskTracker,
    /// Runs are cut, and stay open in their logs.
    ending: CancellationToken,
    /// Subscribers are to go.
    leaving: CancellationToken,
    /// Woken when a run of any session has finished.
    finished: Arc<Notify>,
    /// Folds that may run at once.
    folds: Arc<Semaphore>,
    observe: Observe,
}

impl Sessions {
    /// Opens all sessions of a store. No listener runs yet: see [`Sessions::run`].
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn open(
        store: Arc<dyn Store>,
        client: Client,
        options: Options,
    ) -> Result<Arc<Self>, SessionsError> {
        Self::open_observed(store, client, options, Observe::default()).await
    }

    /// The same, with somebody who is told what they do.
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn open_observed(
        store: Arc<dyn Store>,
        client: Client,
        options: Options,
        observe: Observe,
    ) -> Result<Arc<Self>, SessionsError> {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let registry = Registry::new(client.clone(), options.registry, gate.clone());
        let this = Arc::new(Self {
            // One for the streams of listeners and of runs.
            budget: registry.budget(),
            registry,
            store,
            client,
            options,
            keeper,
            gate,
            table: Mutex::default(),
            changes: tokio::sync::Mutex::default(),
            runs: AtomicU64::new(u64::try_from(micros(SystemTime::now())).unwrap_or_default()),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
            leaving: CancellationToken::new(),
            finished: Arc::default(),
            folds: Arc::new(Semaphore::new(FOLDS)),
            observe,
        });
        for (kept, put_ms) in this.stored().await? {
            let Ok(key) = SessionKey::new(&kept.project, &kept.session) else { continue };
            let Some(Ok(checked)) = kept.settings.map(Checked::new) else { continue };
            let held = this.open_session(&key, checked).await?;
            held.stopped.store(kept.stopped, Ordering::Relaxed);
            held.put_ms.store(put_ms, Ordering::Relaxed);
            this.table().insert(key, held);
        }
        Ok(this)
    }

    /// A session.
    pub fn find(&self, key: &SessionKey) -> Option<Arc<Held>> {
        self.table().get(key).cloned()
    }

    /// The sessions of a project by name, behind one of them, at most so many.
    pub fn list(&self, project: &str, after: Option<&str>, most: usize) -> Vec<Arc<Held>> {
        let table = self.table();
        let of_project = table.iter().filter(|(key, _)| key.project() == project);
        let behind = of_project.filter(|(key, _)| after.is_none_or(|after| key.session() > after));
        behind.take(most).map(|(_, held)| Arc::clone(held)).collect()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many posted runs are being read.
    pub fn open_runs(&self) -> u64 {
        self.keeper.report(Instant::now()).inside
    }

    /// Its listeners.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Who asks runners.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a session, or gives it other settings. A runner at another place replaces the listener.
    ///
    /// # Errors
    /// [`SessionsError`].
    ///
    /// # Cancel safety
    /// The settings may be stored and the listener not started; the next trigger starts it.
    pub async fn put(&self, key: &SessionKey, checked: Checked) -> Result<Put, SessionsError> {
        if self.gate.is_draining() {
            return Err(SessionsError::Draining);
        }
        self.client.check(checked.base()).await?;
        let _one = self.changes.lock().await;
        let Some(held) = self.find(key) else {
            self.keep(key, Some(checked.settings()), false).await?;
            let held = self.open_session(key, checked).await?;
            self.table().insert(key.clone(), Arc::clone(&held));
            self.ensure(&held).await;
            return Ok(Put::Created);
        };
        let before = held.settings();
        if before != checked || held.is_stopped() {
            self.keep(key, Some(checked.settings()), false).await?;
            held.stopped.store(false, Ordering::Relaxed);
            held.put_ms.store(micros(SystemTime::now()) / 1_000, Ordering::Relaxed);
            let thread = checked.settings().thread_id.clone();
            held.session.configure(thread, checked.lane_rules()).await;
            let target = |checked: &Checked| {
                (checked.target(key, &held.thread()).ok(), checked.listener_rules())
            };
            let moved = target(&before) != target(&checked);
            *held.settings.lock().unwrap_or_else(PoisonError::into_inner) = checked;
            if let Some(setup) = self.setup(&held).filter(|_| moved) {
                held.session.teller().set_cause(ListenerStop::Superseded);
                self.registry.replace(key, setup).await;
            }
        }
        self.ensure(&held).await;
        Ok(Put::Kept)
    }

    /// Deletes a session: its listener is cancelled and joined, its run closed, its subscribers end.
    /// False if there is none.
    ///
    /// # Errors
    /// [`SessionsError`]; the session is then still there or gone, and can be deleted again.
    ///
    /// # Cancel safety
    /// As after an error.
    pub async fn delete(&self, key: &SessionKey, keep_log: bool) -> Result<bool, SessionsError> {
        self.delete_for(key, keep_log, "request").await
    }

    async fn delete_for(
        &self,
        key: &SessionKey,
        keep_log: bool,
        cause: &'static str,
    ) -> Result<bool, SessionsError> {
        let _one = self.changes.lock().await;
        let Some(held) = self.find(key) else { return Ok(false) };
        held.session.teller().set_cause(ListenerStop::SessionDeleted);
        self.registry.cancel(key).await;
        self.keep(key, None, false).await?;
        self.table().remove(key);
        held.session.close().await;
        if !keep_log {
            self.store.delete(&bases_of(key)).await?;
            self.store.delete(&log_of(key)).await?;
        }
        let teller = held.session.teller();
        teller.publish(SessionDeleted { session: teller.session.clone(), cause: cause.into() });
        Ok(true)
    }

    /// Sees to it that a session has a listener, unless a finished run has stopped it.
    pub async fn ensure(&self, held: &Held) -> Option<Ensured> {
        if held.is_stopped() {
            return None;
        }
        Some(self.registry.ensure(held.session.key(), self.setup(held)?).await)
    }

    /// Holds a session as used while the pin lives.
    pub fn pin(&self, key: &SessionKey) -> Pin {
        self.registry.pin(key)
    }

    /// Whether new work is refused.
    pub fn is_draining(&self) -> bool {
        self.gate.is_draining()
    }

    /// Cancelled when subscribers are to go.
    pub fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// Refuses new work from now on.
    pub fn begin_drain(&self) {
        self.keeper.begin_drain();
    }

    /// Waits until every posted run has ended. Two conditions: a drain has begun, none is open.
    ///
    /// # Cancel safety
    /// Cancel safe: the drain goes on.
    pub async fn drained(&self) {
        self.gate.drained().await;
    }

    /// Cuts posted runs; they stay open in their logs, and the next start goes on with them.
    pub fn cut_runs(&self) {
        self.ending.cancel();
    }

    /// Ends everything: listeners first, then subscribers, then the writers of the logs. Waits until
    /// the deadline.
    pub async fn shutdown(&self, deadline: Instant) -> ShutdownReport {
        self.begin_drain();
        self.cut_runs();
        for held in self.table().values() {
            held.session.teller().set_cause(ListenerStop::Drain);
        }
        let report = self.registry.shutdown(deadline).await;
        self.leaving.cancel();
        for held in self.table().values() {
            held.session.stop();
        }
        self.tasks.close();
        let _ = tokio::time::timeout_at(deadline.into(), self.tasks.wait()).await;
        report
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<SessionKey, Arc<Held>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn setup(&self, held: &Held) -> Option<listener::Setup> {
        let checked = held.settings();
        let host = checked.base().host_str().unwrap_or_default();
        let port = checked.base().port_or_known_default().unwrap_or_default();
        held.session.teller().set_runner(&format!("{host}:{port}"));
        Some(listener::Setup {
            target: checked.target(held.session.key(), &held.thread()).ok()?,
            rules: checked.listener_rules(),
            limits: self.options.limits,
            feed: Arc::new(held.session.clone()),
        })
    }

    async fn open_session(
        &self,
        key: &SessionKey,
        checked: Checked,
    ) -> Result<Arc<Held>, SessionsError> {
        let setup = Setup {
            key: key.clone(),
            store: Arc::clone(&self.store),
            thread: checked.settings().thread_id.clone(),
            rules: checked.lane_rules(),
            limits: self.options.kept,
            finished: Arc::clone(&self.finished),
            folds: Arc::clone(&self.folds),
            observe: self.observe.clone(),
        };
        let session = Session::open(setup, &self.tasks).await?;
        let stopped = AtomicBool::new(false);
        Ok(Arc::new(Held {
            session,
            settings: checked.into(),
            stopped,
            put_ms: AtomicI64::new(micros(SystemTime::now()) / 1_000),
            capabilities: Mutex::default(),
        }))
    }

    fn pass(&self) -> Result<OwnedPass, SessionsError> {
        self.gate.enter_owned().map_err(|_| SessionsError::Draining)
    }
}

#[cfg(test)]
mod tests;
