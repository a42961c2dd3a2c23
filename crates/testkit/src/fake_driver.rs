//! A driver without processes: every await point can hold, hang, fail, panic or lose its browser.
//!
//! It keeps count of what it has made, so that a test can prove that nothing is left. Time passes
//! only in tokio's clock. Which behaviour applies is decided by a script that sees the point and
//! the launch switches, so that a test can treat single sandboxes differently.

mod calls;
mod profiles;
mod restart;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orchestrator::driver::{
    Driver, DriverEvent, EventSink, GoneWhy, LaunchSpec, LifecycleId, OnExit, ProfileId,
    ReclaimError, ReclaimReport,
};
use upstream::{Cause, WsUrl};

pub use self::script::{Act, At, Hold, Point};

/// Everything the driver has done and still has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `start`.
    pub starts: u64,
    /// Those that returned `Ok`.
    pub started: u64,
    /// Calls of `stop`.
    pub stops: u64,
    /// Calls of `kill`.
    pub kills: u64,
    /// Calls of `probe`.
    pub probes: u64,
    /// Browsers that are alive.
    pub processes: usize,
    /// Most browsers that were alive at once.
    pub most_processes: usize,
    /// Directories that exist.
    pub directories: usize,
    /// Profiles that are kept.
    pub profiles: usize,
    /// Calls that have not returned.
    pub calls: usize,
}

#[derive(Debug)]
struct Instance {
    spec: LaunchSpec,
    events: EventSink,
    generation: u64,
    alive: bool,
    stopped: bool,
    crashes: u32,
}

#[derive(Default)]
struct State {
    instances: BTreeMap<LifecycleId, Instance>,
    counts: Counts,
    next_port: u16,
    profiles: BTreeSet<ProfileId>,
    free_disk: Option<u64>,
}

type Script = Box<dyn Fn(&At<'_>) -> Act + Send + Sync>;

/// See the module.
pub struct FakeDriver {
    state: Mutex<State>,
    script: Mutex<Option<Script>>,
    start_time: Duration,
    reclaim: Mutex<Result<ReclaimReport, ReclaimError>>,
}

impl Default for FakeDriver {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeDriver {
    /// Starts in 100 ms, stops at once, nothing fails.
    pub fn new() -> Self {
        Self::with_start_time(Duration::from_millis(100))
    }

    /// The same with another time from spawn to ready.
    pub fn with_start_time(start_time: Duration) -> Self {
        Self {
            state: Mutex::default(),
            script: Mutex::new(None),
            start_time,
            reclaim: Mutex::new(Ok(ReclaimReport::default())),
        }
    }

    /// Decides what happens at each point from now on.
    pub fn script(&self, script: impl Fn(&At<'_>) -> Act + Send + Sync + 'static) {
        *lock(&self.script) = Some(Box::new(script));
    }

    /// What the next `reclaim` finds.
    pub fn set_reclaim(&self, outcome: Result<ReclaimReport, ReclaimError>) {
        *lock(&self.reclaim) = outcome;
    }

    /// What it has done and still has.
    pub fn counts(&self) -> Counts {
        let state = lock(&self.state);
        let processes = state.instances.values().filter(|instance| instance.alive).count();
        let (directories, profiles) = (state.instances.len(), state.profiles.len());
        Counts { processes, directories, profiles, ..state.counts }
    }

    /// Instances that exist.
    pub fn instances(&self) -> Vec<LifecycleId> {
        lock(&self.state).instances.keys().cloned().collect()
    }

    /// The browser of an instance ends by itself. What follows is decided as a driver decides it:
    /// by the policies and the crash limit of its launch.
    pub async fn end_browser(&self, lifecycle: &LifecycleId, cause: Cause) {
        let Some((events, told)) = self.note_end(lifecycle, cause) else { return };
        let relaunch = matches!(told[0], DriverEvent::BrowserExited { relaunch_in: Some(_), .. });
        for event in told {
            // Nobody listens any more: then nobody needs to know.
            let _ = events.send(event).await;
        }
        if relaunch && let Some(events) = self.spawn(lifecycle) {
            let generation = self.generation(lifecycle);
            let _ = events.send(DriverEvent::Starting { generation }).await;
            tokio::time::sleep(self.start_time).await;
            if self.is_alive(lifecycle) {
                let _ = events.send(self.ready(lifecycle)).await;
            }
        }
    }

    /// Loses an instance: its browser is gone, and so is whoever would report that.
    pub fn lose(&self, lifecycle: &LifecycleId) {
        lock(&self.state).instances.remove(lifecycle);
    }

    /// Sends a report as it is, true or not: late, twice, out of order.
    pub async fn report(&self, lifecycle: &LifecycleId, event: DriverEvent) {
        let events = lock(&self.state).instances.get(lifecycle).map(|i| i.events.clone());
        if let Some(events) = events {
            let _ = events.send(event).await;
        }
    }

    fn note_end(
        &self,
        lifecycle: &LifecycleId,
        cause: Cause,
    ) -> Option<(EventSink, Vec<DriverEvent>)> {
        let mut state = lock(&self.state);
        let instance = state.instances.get_mut(lifecycle).filter(|i| i.alive && !i.stopped)?;
        instance.alive = false;
        let closed = cause == Cause::Exited { code: 0 };
        let policy = if closed { instance.spec.on_close } else { instance.spec.on_crash };
        instance.crashes += u32::from(!closed);
        let why = match policy {
            OnExit::Relaunch if instance.crashes >= instance.spec.crash_max => {
                Some(GoneWhy::GaveUp(vec![cause; instance.crashes as usize]))
            }
            OnExit::Relaunch => None,
            OnExit::Stop if closed => Some(GoneWhy::Closed),
            OnExit::Stop => Some(GoneWhy::Crashed),
        };
        let mut told = vec![DriverEvent::BrowserExited {
            generation: instance.generation,
            cause,
            expected: false,
            uptime: Duration::from_secs(1),
            relaunch_in: why.is_none().then_some(Duration::ZERO),
        }];
        told.extend(why.map(|why| DriverEvent::Gone { cause, why }));
        Some((instance.events.clone(), told))
    }

    /// The next generation of an instance that exists.
    fn spawn(&self, lifecycle: &LifecycleId) -> Option<EventSink> {
        let mut state = lock(&self.state);
        let instance = state.instances.get_mut(lifecycle).filter(|i| !i.stopped)?;
        instance.generation += 1;
        instance.alive = true;
        let events = instance.events.clone();
        let alive = state.instances.values().filter(|instance| instance.alive).count();
        state.counts.most_processes = state.counts.most_processes.max(alive);
        Some(events)
    }

    fn forget_browser(&self, lifecycle: &LifecycleId) {
        if let Some(instance) = lock(&self.state).instances.get_mut(lifecycle) {
            instance.alive = false;
        }
    }

    fn generation(&self, lifecycle: &LifecycleId) -> u64 {
        lock(&self.state).instances.get(lifecycle).map_or(0, |instance| instance.generation)
    }

    fn is_alive(&self, lifecycle: &LifecycleId) -> bool {
        lock(&self.state).instances.get(lifecycle).is_some_and(|i| i.alive && !i.stopped)
    }

    fn ready(&self, lifecycle: &LifecycleId) -> DriverEvent {
        let mut state = lock(&self.state);
        state.next_port = state.next_port % 20_000 + 1;
        let port = 20_000 + state.next_port;
        let guid = format!("00000000-0000-4000-8000-0000000{port}");
        let url = WsUrl::from_parts("127.0.0.1", port, &guid).expect("a fake address is valid");
        let generation = state.instances.get(lifecycle).map_or(0, |i| i.generation);
        DriverEvent::Ready {
            generation,
            url,
            product: "FakeChrome/156.0".to_owned(),
            pid: None,
            start_time: self.start_time,
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For tests that share it with an orchestrator.
impl FakeDriver {
    /// The same driver as the trait object that an orchestrator takes.
    pub fn shared(self: &Arc<Self>) -> Arc<dyn Driver> {
        Arc::clone(self) as Arc<dyn Driver>
    }
}
