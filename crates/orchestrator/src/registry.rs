//! Pure: which sandboxes exist, who may start next, and when what ends.
//!
//! One value under one lock. Four indices: `sandboxes` (by id, all that have not ended),
//! `lifecycles` (every incarnation from its reservation until its cleanup has ended; this is what
//! capacity counts, but for the last ones of parked sandboxes), `live` (those that clients may use, always a subset of `lifecycles`) and the
//! tombstones. A reservation of capacity and start slot is one step, and each is given back at one
//! place, so concurrent creates cannot overshoot and nothing is given back twice.

mod admit;
mod apply;
mod idle;
mod members;
mod park;
mod timers;
mod tombs;
mod update;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lockkeeper_api::SandboxState;
use upstream::Cause;

pub use self::admit::{Admission, AdmitRefusal, NewSandbox, Waits};
pub use self::idle::IdleClock;
pub use self::park::{Park, Policies};
pub use self::timers::Timers;
use self::tombs::Tombs;
pub use self::tombs::Tombstone;
pub use self::update::{Update, UpdateError};
use crate::driver::{Flavour, ProfileId};
use crate::ids::{ExecutionId, LifecycleId, SandboxId};
use crate::lifecycle::{Event, State};

/// One instant on both clocks: the first to count with, the second to show.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The steady clock.
    pub instant: Instant,
    /// The clock on the wall.
    pub wall: SystemTime,
}

/// The bounds of a node.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Lifecycles at once, starting and stopping ones too.
    pub max_sandboxes: usize,
    /// Starts at once.
    pub start_slots: usize,
    /// Creates that may wait for a start slot.
    pub queue_len: usize,
    /// The longest time to live; zero = no limit.
    pub max_ttl: Duration,
    /// How long an ended sandbox is remembered.
    pub tombstone_ttl: Duration,
    /// How many ended sandboxes are remembered.
    pub tombstones: usize,
}

/// What is kept of a sandbox.
#[derive(Debug, Clone)]
pub struct Record {
    /// Rises with every sandbox of this daemon.
    pub seq: u64,
    /// Its name.
    pub id: SandboxId,
    /// Its present incarnation.
    pub lifecycle: LifecycleId,
    /// Stays the same over pause and checkpoint.
    pub execution: ExecutionId,
    /// The template it was made from.
    pub template: Arc<str>,
    /// Its browser family.
    pub flavour: Flavour,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Time to live, from ready; zero = no limit.
    pub ttl: Duration,
    /// How long it may be unused; zero = for ever.
    pub idle: Duration,
    /// When it was admitted.
    pub created: Moment,
    /// When it got its start slot.
    pub started: Option<Moment>,
    /// When it became ready.
    pub ready: Option<Moment>,
    /// When its time to live ends; while it is parked, when that does.
    pub expires: Option<Instant>,
    /// When it is parked and who brings it back.
    pub policies: Policies,
    /// The kept profile that it runs on, or will.
    pub profile: Option<ProfileId>,
    /// Whether its browser was closed to be kept, and since when.
    pub park: Option<Park>,
    /// Whether it was handed out from the pool.
    pub warm: bool,
    /// Its browser.
    pub browser: BrowserRecord,
}

/// What is kept of the browser of a sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrowserRecord {
    /// The newest generation, 0 before the first.
    pub generation: u64,
    /// `Browser.getVersion`'s product.
    pub product: Option<String>,
    /// Generations that ended without being told to.
    pub crashes: u64,
    /// Those that have ended, the newest last; at most [`ENDS`].
    pub ended: VecDeque<EndedBrowser>,
}

impl BrowserRecord {
    /// Whether a watch tells of the difference: how the last one ended is looked up by who wants it.
    pub fn shows_other_than(&self, other: &Self) -> bool {
        let Self { generation, product, crashes, ended: _ } = self;
        (generation, product, crashes) != (&other.generation, &other.product, &other.crashes)
    }
}

/// How many browsers that have ended are remembered of a sandbox.
pub const ENDS: usize = 16;

/// A browser that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedBrowser {
    /// Its number.
    pub generation: u64,
    /// How.
    pub cause: Cause,
    /// Whether we ordered it.
    pub expected: bool,
    /// From spawn to end.
    pub uptime: Duration,
}

/// A sandbox that has not ended.
#[derive(Debug)]
pub struct Sandbox<H> {
    /// What it is.
    pub record: Record,
    /// Where it stands.
    pub state: State,
    /// Why its cleanup is being tried again; empty if it is not.
    pub cleanup_errors: Vec<String>,
    /// What the shell needs to reach it.
    pub handle: H,
    idle: IdleClock,
}

/// One step of one sandbox.
#[derive(Debug)]
pub struct Change<H> {
    /// Who.
    pub record: Record,
    /// From where.
    pub from: State,
    /// To where.
    pub to: State,
    /// What happened.
    pub cause: Event,
    /// Its handle.
    pub handle: H,
}

/// A deadline that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Timer {
    Queue(LifecycleId),
    Start(LifecycleId),
    Ttl(LifecycleId),
    Idle(LifecycleId),
    Tombs,
}

/// Something whose time has come.
#[derive(Debug)]
pub enum Due<H> {
    /// A sandbox has changed.
    Changed(Vec<Change<H>>),
    /// Whether this one is in use has to be found out: see [`Registry::idle_checked`].
    CheckIdle(LifecycleId, H),
    /// Its time is over and it is to be parked; what happens if that is refused.
    Park(LifecycleId, Event),
}

/// How many there are, for waits and gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    by_state: [u64; SandboxState::ALL.len()],
    /// Incarnations whose cleanup has not ended, members of the pool too.
    pub lifecycles: u64,
    /// Those that clients may use.
    pub live: u64,
    /// Start slots that are taken.
    pub slots: u64,
    /// Creates that wait for one.
    pub queued: u64,
    /// Incarnations without a process or a sandbox, of which files are left that are being removed.
    pub remains: u64,
}

impl Tally {
    /// Sandboxes in a state.
    pub fn of(&self, state: SandboxState) -> u64 {
        self.by_state[state as usize]
    }

    /// Starts in flight, those that wait for a slot included.
    pub fn starting(&self) -> u64 {
        self.of(SandboxState::Requested)
            + self.of(SandboxState::Starting)
            + self.of(SandboxState::Resuming)
    }
}

#[derive(Debug)]
struct Occupant {
    sandbox: SandboxId,
    slot: bool,
    /// Nothing of it is left: it only gives its sandbox a name, and takes no place.
    parked: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Registry<H> {
    bounds: Bounds,
    sandboxes: HashMap<SandboxId, Sandbox<H>>,
    lifecycles: HashMap<LifecycleId, Occupant>,
    /// How many of them take no place.
    parked: usize,
    /// Incarnations without a sandbox, and whether each has a start slot.
    members: HashMap<LifecycleId, bool>,
    /// Members whose place has been given away and whose processes may still run; as above.
    replaced: HashMap<LifecycleId, bool>,
    live: HashMap<SandboxId, LifecycleId>,
    tombs: Tombs,
    queue: VecDeque<LifecycleId>,
    timers: Timers<Timer>,
    mean_start: Option<Duration>,
    tally: Tally,
    next_seq: u64,
}

impl<H: Clone> Registry<H> {
    /// An empty registry.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            tombs: Tombs::new(bounds.tombstone_ttl, bounds.tombstones),
            bounds,
            sandboxes: HashMap::new(),
            lifecycles: HashMap::new(),
            parked: 0,
            members: HashMap::new(),
            replaced: HashMap::new(),
            live: HashMap::new(),
            queue: VecDeque::new(),
            timers: Timers::new(),
            mean_start: None,
            tally: Tally::default(),
            next_seq: 1,
        }
    }

    /// The bounds.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Incarnations that take a place.
    fn occupied(&self) -> usize {
        self.lifecycles.len() - self.parked + self.members.len()
    }

    /// Whether one more may be started: whoever waits in the queue has a place and no process.
    fn room_to_start(&self) -> bool {
        let started = self.occupied() - self.queue.len();
        started + self.replaced.len() < self.bounds.max_sandboxes
    }

    fn recount(&mut self) {
        self.tally.live = self.live.len() as u64;
        self.tally.lifecycles = self.occupied() as u64;
        self.tally.queued = self.queue.len() as u64;
    }

    /// How many there are.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The sandbox of that id, if it has not ended.
    pub fn sandbox(&self, id: &str) -> Option<&Sandbox<H>> {
        self.sandboxes.get(id)
    }

    /// The sandbox whose present incarnation this is.
    pub fn by_lifecycle(&self, lifecycle: &LifecycleId) -> Option<&Sandbox<H>> {
        let occupant = self.lifecycles.get(lifecycle)?;
        self.sandboxes.get(&occupant.sandbox).filter(|s| s.record.lifecycle == *lifecycle)
    }

    fn by_lifecycle_mut(&mut self, lifecycle: &LifecycleId) -> Option<&mut Sandbox<H>> {
        let occupant = self.lifecycles.get(lifecycle)?;
        self.sandboxes.get_mut(&occupant.sandbox).filter(|s| s.record.lifecycle == *lifecycle)
    }

    /// What is remembered of the last sandbox of that id that has ended.
    pub fn tombstone(&self, id: &str) -> Option<&Tombstone> {
        self.tombs.find(id)
    }

    /// Every sandbox that has not ended, in no order.
    pub fn sandboxes(&self) -> impl Iterator<Item = &Sandbox<H>> {
        self.sandboxes.values()
    }

    /// Every remembered sandbox that has ended, in no order.
    pub fn tombstones(&self) -> impl Iterator<Item = &Tombstone> {
        self.tombs.all()
    }

    /// The incarnation of that id that clients may use.
    pub fn live(&self, id: &str) -> Option<&LifecycleId> {
        self.live.get(id)
    }

    /// The driver call that started this incarnation has returned: its start slot is free.
    pub fn start_ended(&mut self, lifecycle: &LifecycleId, now: Moment) -> Vec<Change<H>> {
        let mut changes = Vec::new();
        self.free_slot(lifecycle);
        self.grant(now, &mut changes);
        changes
    }

    /// Notes what is known of the browser.
    pub fn note_browser(&mut self, lifecycle: &LifecycleId, browser: BrowserRecord) {
        if let Some(sandbox) = self.by_lifecycle_mut(lifecycle) {
            sandbox.record.browser = browser;
        }
    }

    /// Notes what a cleanup could not remove.
    pub fn note_cleanup_errors(&mut self, lifecycle: &LifecycleId, errors: Vec<String>) {
        if let Some(sandbox) = self.by_lifecycle_mut(lifecycle) {
            sandbox.cleanup_errors = errors;
        }
    }
}

#[cfg(test)]
mod tests;
