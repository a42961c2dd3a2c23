//! The async service around the pure parts.
//!
//! Every change goes through [`Shared::change`]: one lock, no await inside. What a change means for
//! others (events, session gates, waiters, the timer) follows inside the same lock, so that all see
//! the same order.

mod blockers;
mod checkpoint;
mod create;
mod delete;
mod drain;
mod drain_watch;
mod events;
mod force;
mod handles;
mod lookup;
mod member;
mod operations;
mod park;
mod pause;
mod pool;
mod quiet;
mod records;
mod refused;
mod repeats;
mod requests;
mod restart;
mod resume;
mod runner;
mod snapshot;
mod snapshots;
mod start;
mod status;
mod stop;
mod task;
mod timers;
mod update;
mod watching;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use draingate::{Gate, Keeper};
use telemetry::{Telemetry, fields};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::blockers::{Blocker, DrainCounts};
pub use self::checkpoint::{CheckpointError, Checkpointed};
pub use self::create::CreateError;
pub use self::delete::{DeleteError, DeleteOptions};
use self::drain::DrainState;
pub use self::drain::{DrainTotals, OperatorDrain};
pub use self::drain_watch::DrainWatch;
pub use self::force::{ForceError, ForceReason, ForceReport, Stuck};
use self::handles::Handles;
pub use self::handles::LifeStep;
pub use self::lookup::{LiveSandbox, LookupError};
use self::operations::Operations;
pub use self::pause::{PauseError, PauseOptions, RoomRefused};
pub use self::refused::OperationRefused;
use self::repeats::Repeats;
use self::requests::Requests;
pub use self::restart::RestartError;
pub use self::resume::ResumeError;
pub(crate) use self::snapshot::millis;
pub use self::snapshot::{ListFilter, Page, Snapshot};
pub use self::snapshots::SnapshotError;
pub use self::update::ChangeError;
pub use self::watching::{Watch, Watched};
use crate::config::Config;
use crate::driver::{Capabilities, Driver, ReclaimError, ReclaimReport};
use crate::ids::{LifecycleId, random_epoch};
use crate::lifecycle::{Event, State};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::pool::Pool;
use crate::records::Records;
use crate::registry::{Change, Moment, Registry, Tally};
use crate::watch::Journal;

/// Runs the sandboxes of one node. Clones are handles to the same node.
#[derive(Clone)]
pub struct Orchestrator {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    config: Config,
    capabilities: Capabilities,
    driver: Arc<dyn Driver>,
    telemetry: Telemetry,
    metrics: Option<Metrics>,
    core: Mutex<Core>,
    /// Users' requests; its passes live until a start is ready or has failed.
    server: Keeper,
    /// Starts of lifecycles, inside the server's passes.
    factory: Keeper,
    server_gate: Gate,
    factory_gate: Gate,
    records: Arc<Records>,
    tally: watch::Sender<Tally>,
    /// The number of the newest change in the journal.
    news: watch::Sender<u64>,
    drain_news: watch::Sender<()>,
    /// Ends those who watch.
    watches_end: CancellationToken,
    timer: Notify,
    /// Something was put into the store of snapshots.
    stored: Notify,
    tasks: TaskTracker,
    /// Ends every task that still waits for something, once the processes are dead.
    abandon: CancellationToken,
}

/// What the one lock protects.
struct Core {
    node: Node,
    status_changed: Moment,
    registry: Registry<Arc<Handles>>,
    requests: Requests,
    operations: Operations,
    pauses: Repeats<Result<Snapshot, PauseError>>,
    resumes: Repeats<Result<Snapshot, ResumeError>>,
    checkpoints: Repeats<Result<Checkpointed, CheckpointError>>,
    restarts: Repeats<Result<Snapshot, RestartError>>,
    drain: DrainState,
    /// What watchers are told.
    journal: Journal<Arc<Snapshot>>,
    /// Browsers that wait for a create.
    pool: pool::Members,
    /// The pool is not to have any more members, for good.
    pool_ends: bool,
}

impl Orchestrator {
    /// A node that admits nothing before [`Self::reclaim`] has succeeded.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(config: Config, driver: Arc<dyn Driver>, telemetry: Telemetry) -> Self {
        Self::build(config, driver, telemetry, None)
    }

    /// The same with numbers for a scrape.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_metrics(
        config: Config,
        driver: Arc<dyn Driver>,
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> Self {
        Self::build(config, driver, telemetry, Some(metrics))
    }

    fn build(
        config: Config,
        driver: Arc<dyn Driver>,
        telemetry: Telemetry,
        metrics: Option<Metrics>,
    ) -> Self {
        let (server, factory) = (Keeper::new(), Keeper::new());
        let registry = Registry::new(config.bounds());
        let capabilities = driver.capabilities();
        let pool = Pool::new(pool::targets(&config, &capabilities));
        let core = Core {
            node: Node::new(),
            status_changed: now(),
            registry,
            requests: Requests::default(),
            operations: Operations::default(),
            pauses: Repeats::default(),
            resumes: Repeats::default(),
            checkpoints: Repeats::default(),
            restarts: Repeats::default(),
            drain: DrainState::default(),
            journal: Journal::new(random_epoch(), watching::KEPT),
            pool,
            pool_ends: false,
        };
        let shared = Arc::new(Shared {
            capabilities,
            records: Records::new(config.records.clone()),
            config,
            driver,
            telemetry,
            metrics,
            core: Mutex::new(core),
            server_gate: server.gate(),
            factory_gate: factory.gate(),
            server,
            factory,
            tally: watch::Sender::new(Tally::default()),
            news: watch::Sender::new(0),
            drain_news: watch::Sender::new(()),
            watches_end: CancellationToken::new(),
            timer: Notify::new(),
            stored: Notify::new(),
            tasks: TaskTracker::new(),
            abandon: CancellationToken::new(),
        });
        shared.tasks.spawn(timers::run(Arc::clone(&shared)));
        shared.tasks.spawn(Arc::clone(&shared).keep_store());
        // Ends after everyone else: the last changes are written too.
        shared.tasks.spawn(Arc::clone(&shared.records).run(shared.abandon.clone()));
        Self { shared }
    }

    /// What the node was told at start.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// What its driver can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    /// Ends what an earlier daemon left, takes over the sandboxes that it had parked, and then opens
    /// the door. Creates are refused as not ready until it has succeeded.
    ///
    /// # Errors
    /// When what was left cannot be listed; the node is then unhealthy and stays closed.
    ///
    /// # Cancel safety
    /// Not cancel safe: the door stays closed until it is called again.
    pub async fn reclaim(&self) -> Result<ReclaimReport, ReclaimError> {
        self.shared.judge(|node| node.starting("reclaiming"));
        let outcome = self.shared.take_over().await;
        match &outcome {
            Ok(report) => {
                tracing::info!(
                    reclaim.lifecycles = report.ended.len(),
                    reclaim.processes = report.killed,
                    "what an earlier daemon left has been cleared"
                );
                self.shared.judge(|node| node.judge(Ok(())));
            }
            Err(error) => {
                tracing::error!(error = %error, "what an earlier daemon left is still there");
                self.shared.judge(|node| node.judge(Err(error.to_string())));
            }
        }
        outcome
    }

    /// Ends every task and the driver; sandboxes should have ended before. What still hangs is
    /// left behind without being waited for, its processes having been killed by the force stop.
    pub async fn close(&self) {
        self.tell_stuck_ends();
        self.shared.abandon.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.driver.close().await;
    }
}

impl fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = *self.shared.tally.borrow();
        f.debug_struct("Orchestrator").field("tally", &tally).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` on the registry and tells everyone what changed.
    fn change(
        &self,
        f: impl FnOnce(&mut Registry<Arc<Handles>>, Moment) -> Vec<Change<Arc<Handles>>>,
    ) {
        let mut core = self.lock();
        let changes = f(&mut core.registry, now());
        self.tell(&mut core, &changes);
    }

    /// Tells one incarnation that something happened.
    fn apply(&self, lifecycle: &LifecycleId, event: &Event) {
        self.change(|registry, now| registry.apply(lifecycle, event, now));
    }

    /// What changes mean for others, in the order in which they happened. The caller holds the lock.
    fn tell(&self, core: &mut Core, changes: &[Change<Arc<Handles>>]) {
        for change in changes {
            tracing::info!(
                { fields::SANDBOX_ID } = %change.record.id,
                { fields::LIFECYCLE_ID } = %change.record.lifecycle,
                { fields::SANDBOX_STATE } = change.to.word().as_str(),
                from = change.from.word().as_str(),
                { fields::STOP_REASON } = change.to.stop().map(|stop| stop.reason.as_str()),
                detail = change.to.stop().map(|stop| stop.detail.as_str()),
                "sandbox state"
            );
            match &change.to {
                State::Stopping(stop) => change.handle.end_sessions(stop),
                State::Stopped(stop) => {
                    change.handle.end_sessions(stop);
                    core.drain.totals.stopped += 1;
                    core.drain.totals.sessions_closed += change.handle.sessions_cut();
                }
                State::Requested
                | State::Starting
                | State::Running
                | State::Paused { .. }
                | State::Resuming { .. } => {}
                State::Pausing { .. } | State::Checkpointing { .. } => {
                    change.handle.part_sessions();
                }
            }
            events::changed(self, change);
            self.journal_step(core, change);
            self.record(change);
            change.handle.count(&change.to);
            change.handle.progress.send_modify(|progress| progress.state = change.to.clone());
            core.operations.handle(change);
        }
        self.settled(core);
    }

    fn told_tally(&self, core: &Core) {
        let tally = core.registry.tally();
        self.tally.send_if_modified(|old| std::mem::replace(old, tally) != tally);
    }

    /// Wakes those who wait for numbers or deadlines. The caller holds the lock.
    fn settled(&self, core: &mut Core) {
        self.told_tally(core);
        self.timer.notify_one();
        self.operator_finished(core);
        self.tell_drain();
    }
}

/// The present on both clocks; paused time is followed.
fn now() -> Moment {
    Moment { instant: tokio::time::Instant::now().into_std(), wall: std::time::SystemTime::now() }
}
