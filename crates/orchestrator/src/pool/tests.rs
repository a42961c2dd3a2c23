use super::*;
use crate::driver::{Flavour, LaunchLimits, OnExit};

fn launch(flag: &str) -> LaunchSpec {
    LaunchSpec {
        profile: None,
        lifecycle: LifecycleId::new("template"),
        flavour: Flavour::HeadlessShell,
        browser: None,
        limits: LaunchLimits::default(),
        fixed: Vec::new(),
        flags: vec![flag.to_owned()],
        env: Vec::new(),
        on_crash: OnExit::Relaunch,
        on_close: OnExit::Stop,
        start_timeout: secs(60),
        crash_max: 5,
        runner: None,
        crash_window: secs(60),
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const NOBODY: [u32; 0] = [];

/// A pool that fills, and a clock.
struct World {
    pool: Pool<u32>,
    now: Instant,
    last: u32,
}

impl World {
    fn new(sizes: &[(&str, usize)]) -> Self {
        let target = |(name, size): &(&str, usize)| Target {
            template: (*name).into(),
            size: *size,
            launch: launch(name),
        };
        let mut pool = Pool::new(sizes.iter().map(target).collect());
        assert_eq!(pool.wants_start(Instant::now()).map(|t| t.size), None, "before it is told to");
        assert_eq!(pool.set_mode(Mode::Fill), NOBODY);
        Self { pool, now: Instant::now(), last: 0 }
    }

    /// Begins the next start that is wanted.
    fn start(&mut self) -> Option<LifecycleId> {
        let template = self.pool.wants_start(self.now)?.template.clone();
        self.last += 1;
        let lifecycle = LifecycleId::new(format!("lc{}", self.last));
        self.pool.started(&template, lifecycle.clone(), self.last);
        Some(lifecycle)
    }

    fn fill(&mut self) {
        while let Some(lifecycle) = self.start() {
            assert!(self.pool.ready(&lifecycle, self.now));
            self.now += secs(1);
        }
    }

    fn take(&mut self, name: &str) -> Option<u32> {
        self.pool.take(name, &launch(name)).map(|(_, handle)| handle)
    }
}

#[test]
fn each_template_starts_one_member_at_a_time_until_it_has_enough() {
    let mut world = World::new(&[("a", 2), ("b", 1), ("none", 0)]);
    let first = world.start().unwrap();
    let second = world.start().unwrap();
    assert_eq!(world.start(), None, "one is starting for each");
    assert!(world.pool.ready(&first, world.now) && world.pool.ready(&second, world.now));
    let third = world.start().unwrap();
    assert!(world.pool.ready(&third, world.now));
    assert_eq!(world.start(), None);
    let stocks: Vec<_> = world.pool.stocks().map(|(name, s)| (name, s.idle, s.size)).collect();
    assert_eq!(stocks, [("a", 2, 2), ("b", 1, 1)]);
}

#[test]
fn the_longest_waiting_member_of_the_same_launch_is_handed_out_once() {
    let mut world = World::new(&[("a", 2)]);
    world.fill();
    assert!(world.pool.take("a", &launch("other")).is_none(), "another launch misses");
    assert!(world.pool.take("b", &launch("a")).is_none(), "another template misses");
    assert_eq!((world.take("a"), world.take("a"), world.take("a")), (Some(1), Some(2), None));
    assert!(world.start().is_some(), "what was handed out is replaced");
}

#[test]
fn a_browser_that_always_fails_is_tried_at_most_ten_times_in_the_first_minute() {
    let mut world = World::new(&[("a", 3), ("b", 1)]);
    let begin = world.now;
    let mut tries = Vec::new();
    while world.now < begin + secs(300) {
        while let Some(lifecycle) = world.start() {
            let failing = world.pool.handles().count();
            assert!(failing <= 2, "one of each template at a time");
            tries.push((world.now - begin).as_secs());
            assert!(world.pool.failed(&lifecycle, world.now));
            assert!(!world.pool.failed(&lifecycle, world.now), "counted once");
            world.pool.gone(&lifecycle);
        }
        world.now = world.pool.next_deadline(world.now).unwrap();
    }
    let first_minute = tries.iter().filter(|at| **at < 60).count();
    assert_eq!(first_minute, 2 * 6, "six of each template: {tries:?}");
    assert_eq!(&tries[tries.len() - 2..], [243, 243], "a minute apart in the end: {tries:?}");
}

#[test]
fn a_browser_that_dies_as_soon_as_it_is_ready_is_slowed_down_like_one_that_never_starts() {
    let mut world = World::new(&[("a", 1)]);
    let begin = world.now;
    let mut tries = 0;
    while world.now < begin + secs(60) {
        let lifecycle = world.start().unwrap();
        tries += 1;
        assert!(world.pool.ready(&lifecycle, world.now));
        assert!(world.pool.failed(&lifecycle, world.now));
        world.pool.gone(&lifecycle);
        world.now = world.pool.next_deadline(world.now).unwrap();
    }
    assert_eq!(tries, 6);
    // One that stays long enough to be asked ends the slowness.
    world.now += secs(60);
    let lifecycle = world.start().unwrap();
    world.pool.ready(&lifecycle, world.now);
    world.pool.answered(&lifecycle);
    world.pool.failed(&lifecycle, world.now);
    assert_eq!(world.pool.next_deadline(world.now), Some(world.now + secs(1)));
}

#[test]
fn members_are_asked_every_ten_seconds_and_one_that_fails_is_not_handed_out() {
    let mut world = World::new(&[("a", 1)]);
    let lifecycle = world.start().unwrap();
    world.pool.ready(&lifecycle, world.now);
    assert_eq!(world.pool.due_probes(world.now), NOBODY);
    assert_eq!(world.pool.next_deadline(world.now), Some(world.now + PROBE_EVERY));
    world.now += PROBE_EVERY;
    assert_eq!(world.pool.due_probes(world.now), [1]);
    assert_eq!(world.pool.due_probes(world.now), NOBODY, "once");
    assert!(world.pool.failed(&lifecycle, world.now));
    assert_eq!(world.take("a"), None);
}

#[test]
fn an_old_member_is_replaced_one_at_a_time_and_handed_out_until_then() {
    let mut world = World::new(&[("a", 2)]);
    world.fill();
    world.now += OLDEST;
    assert_eq!(world.pool.due_retirements(world.now), [1]);
    assert_eq!(world.pool.due_retirements(world.now), NOBODY, "not before it is replaced");
    let replacement = world.start().unwrap();
    assert_eq!(world.pool.due_retirements(world.now), NOBODY);
    world.pool.ready(&replacement, world.now);
    assert_eq!(world.pool.due_retirements(world.now), [2]);
    assert_eq!(world.take("a"), Some(3));
}

#[test]
fn a_create_that_needs_a_place_gets_it_from_one_that_waits_before_one_that_starts() {
    let mut world = World::new(&[("a", 2)]);
    let first = world.start().unwrap();
    world.pool.ready(&first, world.now);
    world.start().unwrap();
    world.pool.wait_begins();
    assert_eq!(
        [(); 3].map(|()| world.pool.evict().map(|(_, handle)| handle)),
        [Some(1), Some(2), None]
    );
    assert!(world.pool.is_ending());
    assert_eq!(world.start(), None, "the places are for the creates");
    world.pool.wait_ends();
    assert!(world.start().is_some());
}

#[test]
fn a_drain_stops_starts_first_and_idle_members_last() {
    let mut world = World::new(&[("a", 2)]);
    let first = world.start().unwrap();
    world.pool.ready(&first, world.now);
    let second = world.start().unwrap();
    assert_eq!(world.pool.set_mode(Mode::Keep), [2], "a start in flight is cancelled");
    assert!(!world.pool.ready(&second, world.now), "also if it wins the race");
    assert_eq!(world.start(), None);
    assert_eq!(world.pool.set_mode(Mode::Empty), [1]);
    assert_eq!(world.take("a"), None);
    assert_eq!(world.pool.handles().count(), 2, "until they are cleaned up");
    world.pool.gone(&first);
    world.pool.gone(&second);
    assert_eq!(world.pool.set_mode(Mode::Fill), NOBODY);
    assert!(world.start().is_some(), "an undone drain fills it again");
}
