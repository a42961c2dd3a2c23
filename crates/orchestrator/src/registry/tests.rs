//! Facts about admission, slots, deadlines and tombstones.

mod model;
mod park;

use telemetry::words::StopReason;

use super::*;
use crate::lifecycle::Stop;

impl<H: Clone> Registry<H> {
    /// Panics unless the indices agree with each other.
    pub(crate) fn check(&self) {
        assert!(self.occupied() <= self.bounds.max_sandboxes, "over capacity");
        let parked = self.lifecycles.values().filter(|occupant| occupant.parked).count();
        assert_eq!(self.parked, parked, "parked ones are counted wrong");
        for (lifecycle, _) in self.lifecycles.iter().filter(|(_, occupant)| occupant.parked) {
            let sandbox = self.by_lifecycle(lifecycle).expect("a parked name is somebody's");
            let state = sandbox.state.word();
            assert!(matches!(state, SandboxState::Paused | SandboxState::Stopping), "{state:?}");
        }
        let slots = self.lifecycles.values().filter(|occupant| occupant.slot).count();
        assert_eq!(self.tally.slots as usize, slots, "slots are counted wrong");
        assert!(slots <= self.bounds.start_slots, "too many starts");
        assert!(self.queue.len() <= self.bounds.queue_len, "the queue is too long");
        assert!(self.queue.is_empty() || slots == self.bounds.start_slots, "a slot lies idle");
        for (id, lifecycle) in &self.live {
            let occupant = self.lifecycles.get(lifecycle).expect("live is within lifecycles");
            assert_eq!(&occupant.sandbox, id);
            assert_eq!(self.sandboxes[id].state, State::Running);
        }
        for sandbox in self.sandboxes.values() {
            let queued = self.queue.contains(&sandbox.record.lifecycle);
            let waits = [State::Requested, State::Resuming { queued: true }];
            assert_eq!(queued, waits.contains(&sandbox.state), "{:?}", sandbox.state);
            let live = self.live.contains_key(&sandbox.record.id);
            assert_eq!(live, sandbox.state == State::Running);
        }
        for state in SandboxState::ALL {
            let found = self.sandboxes.values().filter(|s| s.state.word() == state).count();
            assert_eq!(self.tally.of(state) as usize, found, "{state:?} is counted wrong");
        }
        assert_eq!(self.tally.live as usize, self.live.len());
        assert_eq!(self.tally.lifecycles as usize, self.occupied());
        assert_eq!(self.tally.queued as usize, self.queue.len());
    }
}

fn bounds() -> Bounds {
    Bounds {
        max_sandboxes: 4,
        start_slots: 2,
        queue_len: 2,
        max_ttl: secs(3600),
        tombstone_ttl: secs(600),
        tombstones: 3,
    }
}

const WAITS: Waits = Waits { queue: Duration::from_secs(30), ready: Duration::from_secs(60) };

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A registry with a clock that only moves when told to.
struct World {
    registry: Registry<()>,
    now: Moment,
}

impl World {
    fn new() -> Self {
        Self::with(bounds())
    }

    fn with(bounds: Bounds) -> Self {
        let now = Moment { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH };
        Self { registry: Registry::new(bounds), now }
    }

    fn new_sandbox(id: &str, lifecycle: &str) -> NewSandbox {
        NewSandbox {
            id: id.parse().unwrap(),
            lifecycle: LifecycleId::new(lifecycle),
            execution: ExecutionId::random(),
            template: "default".into(),
            flavour: Flavour::Chromium,
            labels: BTreeMap::new(),
            ttl: secs(100),
            idle: Duration::ZERO,
            policies: Policies::default(),
            waits: WAITS,
        }
    }

    /// Admits `id` with the lifecycle `id` and defaults.
    fn admit(&mut self, id: &str) -> Result<Admission, AdmitRefusal> {
        self.admit_new(Self::new_sandbox(id, id))
    }

    fn admit_new(&mut self, new: NewSandbox) -> Result<Admission, AdmitRefusal> {
        let admission = self.registry.admit(new, (), self.now);
        self.registry.check();
        admission
    }

    /// Applies and shows each change as `id:to`.
    fn apply(&mut self, lifecycle: &str, event: Event) -> Vec<String> {
        let changes = self.registry.apply(&LifecycleId::new(lifecycle), &event, self.now);
        self.registry.check();
        show(&changes)
    }

    fn start_ended(&mut self, lifecycle: &str) -> Vec<String> {
        let changes = self.registry.start_ended(&LifecycleId::new(lifecycle), self.now);
        self.registry.check();
        show(&changes)
    }

    /// Moves the clock and shows what became due; `in_use` answers questions about use.
    fn pass(&mut self, time: Duration, in_use: bool) -> Vec<String> {
        self.now.instant += time;
        self.now.wall += time;
        let mut shown = Vec::new();
        while let Some(due) = self.registry.pop_due(self.now) {
            let changes = match due {
                Due::Changed(changes) => changes,
                Due::CheckIdle(lifecycle, ()) => {
                    match self.registry.idle_checked(&lifecycle, in_use, self.now) {
                        Due::Changed(changes) => changes,
                        other => panic!("{other:?}"),
                    }
                }
                Due::Park(lifecycle, _) => self.registry.apply(&lifecycle, &Event::Pause, self.now),
            };
            self.registry.check();
            shown.extend(show(&changes));
        }
        shown
    }

    fn run(&mut self, id: &str) {
        assert_eq!(self.admit(id), Ok(Admission::Starting));
        self.apply(id, Event::Ready);
        self.start_ended(id);
    }

    fn end(&mut self, id: &str) {
        self.apply(id, delete());
        self.start_ended(id);
        self.apply(id, Event::CleanupEnded);
    }
}

fn show(changes: &[Change<()>]) -> Vec<String> {
    changes
        .iter()
        .map(|change| match &change.to {
            State::Stopping(stop) | State::Stopped(stop) => {
                let word = change.to.word().as_str();
                format!("{}:{word}({})", change.record.id, stop.reason.as_str())
            }
            other => format!("{}:{}", change.record.id, other.word().as_str()),
        })
        .collect()
}

fn delete() -> Event {
    Event::Delete { detail: "api".to_owned() }
}

#[test]
fn a_create_gets_a_slot_then_a_place_in_the_queue_then_a_refusal() {
    let mut world = World::with(Bounds { max_sandboxes: 9, ..bounds() });
    assert_eq!(world.admit("a"), Ok(Admission::Starting));
    assert_eq!(world.admit("b"), Ok(Admission::Starting));
    assert_eq!(world.admit("c"), Ok(Admission::Queued));
    assert_eq!(world.admit("d"), Ok(Admission::Queued));
    assert_eq!(
        world.admit("e"),
        Err(AdmitRefusal::Busy { queued: 2, retry: secs(2) - secs(1) / 2 })
    );
    assert_eq!(world.apply("a", Event::Ready), ["a:running", "c:starting"]);
    assert_eq!(world.admit("e"), Ok(Admission::Queued));
}

#[test]
fn a_create_that_does_not_want_to_wait_is_refused_at_once() {
    let mut world = World::new();
    world.admit("a").unwrap();
    world.admit("b").unwrap();
    let impatient = NewSandbox {
        waits: Waits { queue: Duration::ZERO, ..WAITS },
        ..World::new_sandbox("c", "c")
    };
    assert!(matches!(world.admit_new(impatient), Err(AdmitRefusal::Busy { .. })));
}

#[test]
fn capacity_counts_what_is_still_being_cleaned_up() {
    let mut world = World::new();
    for id in ["a", "b", "c", "d"] {
        world.run(id);
    }
    world.apply("a", delete());
    let full = AdmitRefusal::Full { max: 4, retry: secs(60) };
    assert_eq!(world.admit("e"), Err(full));
    world.apply("a", Event::CleanupEnded);
    assert_eq!(world.admit("e"), Ok(Admission::Starting));
}

#[test]
fn a_full_node_hints_at_the_next_end_of_a_time_to_live() {
    let mut world = World::new();
    for id in ["a", "b", "c", "d"] {
        world.run(id);
    }
    world.pass(secs(70), false);
    assert_eq!(world.admit("e"), Err(AdmitRefusal::Full { max: 4, retry: secs(30) }));
}

#[test]
fn an_id_is_taken_until_its_sandbox_has_stopped() {
    let mut world = World::new();
    let state_of = |world: &World| world.registry.sandbox("a").unwrap().state.word();
    let exists = |world: &mut World| {
        let state = state_of(world);
        let again = World::new_sandbox("a", "again");
        let refused = world.admit_new(again);
        assert_eq!(refused, Err(AdmitRefusal::Exists { id: "a".parse().unwrap(), state }));
    };
    world.admit("x").unwrap();
    world.admit("y").unwrap();
    world.admit("a").unwrap();
    exists(&mut world);
    world.apply("x", Event::Ready);
    exists(&mut world);
    world.apply("a", Event::Ready);
    exists(&mut world);
    world.apply("a", delete());
    exists(&mut world);
    world.start_ended("a");
    world.apply("a", Event::CleanupEnded);
    assert!(world.registry.tombstone("a").is_some());
    assert_eq!(world.admit_new(World::new_sandbox("a", "again")), Ok(Admission::Starting));
    assert!(world.registry.tombstone("a").is_none(), "a living sandbox has a tombstone");
}

#[test]
fn a_late_event_of_an_older_incarnation_changes_nothing() {
    let mut world = World::new();
    world.run("a");
    world.end("a");
    world.admit_new(World::new_sandbox("a", "newer")).unwrap();
    assert!(world.apply("a", Event::Ready).is_empty());
    assert!(world.apply("a", delete()).is_empty());
    assert!(world.start_ended("a").is_empty());
    assert_eq!(world.registry.sandbox("a").unwrap().state, State::Starting);
    assert_eq!(world.registry.tally().slots, 1);
}

#[test]
fn a_cancelled_waiter_leaves_at_once_and_takes_no_slot() {
    let mut world = World::new();
    for id in ["a", "b", "c", "d"] {
        world.admit(id).unwrap();
    }
    assert_eq!(world.apply("c", Event::Abandoned), ["c:stopped(start_cancelled)"]);
    assert_eq!(world.apply("a", Event::Ready), ["a:running", "d:starting"]);
}

#[test]
fn a_waiter_gives_up_at_its_deadline() {
    let mut world = World::new();
    for id in ["a", "b", "c"] {
        world.admit(id).unwrap();
    }
    assert!(world.pass(secs(29), false).is_empty());
    assert_eq!(world.pass(secs(1), false), ["c:stopped(start_cancelled)"]);
}

#[test]
fn a_start_that_is_not_ready_in_time_is_ended_the_queue_included() {
    let mut world = World::new();
    for id in ["a", "b", "c"] {
        world.admit(id).unwrap();
    }
    world.pass(secs(20), false);
    world.apply("a", Event::Ready);
    assert_eq!(
        world.pass(secs(40), false),
        ["b:stopping(start_timeout)", "c:stopping(start_timeout)"]
    );
}

#[test]
fn the_slot_of_a_failed_start_is_free_when_its_driver_call_has_returned() {
    let mut world = World::new();
    for id in ["a", "b", "c"] {
        world.admit(id).unwrap();
    }
    assert_eq!(world.apply("a", delete()), ["a:stopping(request)"]);
    assert_eq!(world.start_ended("a"), ["c:starting"]);
    assert!(world.start_ended("a").is_empty(), "a slot was given back twice");
    assert_eq!(world.registry.tally().slots, 2);
}

#[test]
fn time_to_live_counts_from_ready() {
    let mut world = World::new();
    world.admit("a").unwrap();
    world.pass(secs(50), false);
    world.apply("a", Event::Ready);
    assert!(world.pass(secs(99), true).is_empty());
    assert_eq!(world.pass(secs(1), true), ["a:stopping(ttl)"]);
}

#[test]
fn an_unused_sandbox_ends_and_a_used_one_does_not() {
    let mut world = World::new();
    let idle = NewSandbox { idle: secs(16), ttl: Duration::ZERO, ..World::new_sandbox("a", "a") };
    world.admit_new(idle).unwrap();
    world.apply("a", Event::Ready);
    world.pass(secs(15), false);
    world.registry.touch("a", world.now);
    for _ in 0..30 {
        assert!(world.pass(secs(2), true).is_empty());
    }
    for _ in 0..8 {
        assert!(world.pass(secs(2), false).is_empty());
    }
    assert_eq!(world.pass(secs(2), false), ["a:stopping(idle)"]);
}

#[test]
fn a_changed_time_to_live_counts_from_now_up_to_the_longest() {
    let mut world = World::new();
    world.run("a");
    world.pass(secs(90), false);
    let ttl = |secs| Update { ttl: Some(Duration::from_secs(secs)), ..Update::default() };
    assert_eq!(world.registry.update("a", ttl(50), world.now), Ok(vec!["ttl"]));
    assert!(world.pass(secs(49), false).is_empty());
    let shorter = Update { only_later: true, ..ttl(0) };
    let shorter = Update { ttl: Some(Duration::from_millis(500)), ..shorter };
    let refused = world.registry.update("a", shorter, world.now);
    assert_eq!(refused, Err(UpdateError::Earlier { by: Duration::from_millis(500) }));
    world.registry.update("a", ttl(3600), world.now).unwrap();
    let expires = world.registry.sandbox("a").unwrap().record.expires.unwrap();
    assert_eq!(expires - world.now.instant, secs(3600 - 139), "beyond ready + the longest");
    world.apply("a", delete());
    let late = world.registry.update("a", ttl(5), world.now);
    assert!(matches!(late, Err(UpdateError::Ending { .. })), "{late:?}");
}

#[test]
fn a_refused_change_changes_nothing() {
    let mut world = World::new();
    world.run("a");
    let update = Update {
        ttl: Some(secs(1)),
        only_later: true,
        idle: Some(secs(9)),
        labels: BTreeMap::from([("k".into(), Some("v".into()))]),
        ..Update::default()
    };
    world.registry.update("a", update, world.now).unwrap_err();
    let record = &world.registry.sandbox("a").unwrap().record;
    assert_eq!((record.idle, record.labels.len(), record.ttl), (Duration::ZERO, 0, secs(100)));
}

#[test]
fn a_tombstone_tells_why_and_when_for_its_time() {
    let mut world = World::new();
    world.run("a");
    world.pass(secs(7), false);
    world.end("a");
    let tomb = world.registry.tombstone("a").unwrap();
    assert_eq!(tomb.stop, Stop::new(StopReason::Request, "api"));
    assert_eq!(tomb.at.wall, SystemTime::UNIX_EPOCH + secs(7));
    world.pass(secs(599), false);
    assert!(world.registry.tombstone("a").is_some());
    world.pass(secs(1), false);
    assert!(world.registry.tombstone("a").is_none());
}

#[test]
fn tombstones_are_limited_in_number() {
    let mut world = World::new();
    for id in ["a", "b", "c", "d", "e"] {
        world.run(id);
        world.end(id);
    }
    let left: Vec<_> = ["a", "b", "c", "d", "e"]
        .into_iter()
        .filter(|id| world.registry.tombstone(id).is_some())
        .collect();
    assert_eq!(left, ["c", "d", "e"]);
}
