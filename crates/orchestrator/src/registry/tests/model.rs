//! The registry against a plain list that does the same in the most obvious way.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Create { id: usize, wait: u64, ttl: u64 },
    Event { of: usize, event: Kind },
    StartEnded { of: usize },
    Pass { secs: u64 },
    Update { of: usize, ttl: u64, only_later: bool },
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Ready,
    StartFailed,
    Gone,
    Delete,
    Abandoned,
    Force,
    CleanupEnded,
}

fn kind_event(kind: Kind) -> Event {
    match kind {
        Kind::Ready => Event::Ready,
        Kind::StartFailed => Event::StartFailed { detail: String::new() },
        Kind::Gone => Event::BrowserGone(Stop::new(StopReason::BrowserCrashed, "")),
        Kind::Delete => delete(),
        Kind::Abandoned => Event::Abandoned,
        Kind::Force => Event::Force(Stop::new(StopReason::ForceStop, "")),
        Kind::CleanupEnded => Event::CleanupEnded,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Requested,
    Starting,
    Running,
    Stopping,
}

#[derive(Debug, Clone)]
struct One {
    name: String,
    lifecycle: String,
    phase: Phase,
    slot: bool,
    queue_ends: u64,
    start_ends: u64,
    ttl: u64,
    ready: u64,
    expires: Option<u64>,
}

/// All that has not ended, in the order of admission.
#[derive(Debug, Default)]
struct Plain {
    all: Vec<One>,
    ended: BTreeSet<String>,
    now: u64,
}

impl Plain {
    fn slots(&self) -> usize {
        self.all.iter().filter(|one| one.slot).count()
    }

    fn waiting(&self) -> usize {
        self.all.iter().filter(|one| one.phase == Phase::Requested).count()
    }

    fn create(&mut self, name: &str, lifecycle: &str, wait: u64, ttl: u64) -> &'static str {
        let bounds = bounds();
        if self.all.iter().any(|one| one.name == name) {
            return "exists";
        }
        if self.all.len() >= bounds.max_sandboxes {
            return "full";
        }
        let slot = self.waiting() == 0 && self.slots() < bounds.start_slots;
        if !slot && (wait == 0 || self.waiting() >= bounds.queue_len) {
            return "busy";
        }
        self.ended.remove(name);
        self.all.push(One {
            name: name.to_owned(),
            lifecycle: lifecycle.to_owned(),
            phase: if slot { Phase::Starting } else { Phase::Requested },
            slot,
            queue_ends: self.now + wait.min(60),
            start_ends: self.now + 60,
            ttl,
            ready: 0,
            expires: None,
        });
        if slot { "starting" } else { "queued" }
    }

    fn event(&mut self, lifecycle: &str, kind: Kind) {
        let now = self.now;
        let Some(place) = self.all.iter().position(|one| one.lifecycle == lifecycle) else {
            return;
        };
        let one = &mut self.all[place];
        let mut gone = false;
        match (one.phase, kind) {
            (Phase::Requested, Kind::Delete | Kind::Abandoned | Kind::Force) => gone = true,
            (Phase::Starting, Kind::Ready) => {
                one.phase = Phase::Running;
                one.slot = false;
                one.ready = now;
                one.expires = (one.ttl > 0).then_some(now + one.ttl);
            }
            (Phase::Starting, Kind::StartFailed) => one.phase = Phase::Stopping,
            (
                Phase::Starting | Phase::Running,
                Kind::Gone | Kind::Delete | Kind::Abandoned | Kind::Force,
            ) => one.phase = Phase::Stopping,
            (Phase::Stopping, Kind::CleanupEnded) => gone = true,
            _ => {}
        }
        if gone {
            let one = self.all.remove(place);
            self.ended.insert(one.name);
        }
        self.grant();
    }

    fn grant(&mut self) {
        while self.slots() < bounds().start_slots
            && let Some(next) = self.all.iter_mut().find(|one| one.phase == Phase::Requested)
        {
            next.phase = Phase::Starting;
            next.slot = true;
        }
    }

    /// One second at a time, which is as fine as any deadline here.
    fn pass(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now += 1;
            let now = self.now;
            for one in &mut self.all {
                match one.phase {
                    Phase::Starting if one.start_ends <= now => one.phase = Phase::Stopping,
                    Phase::Running if one.expires.is_some_and(|at| at <= now) => {
                        one.phase = Phase::Stopping;
                    }
                    _ => {}
                }
            }
            let late = |one: &One| one.phase == Phase::Requested && one.queue_ends <= now;
            for one in self.all.extract_if(.., |one| late(one)) {
                self.ended.insert(one.name);
            }
            self.grant();
        }
    }

    fn update(&mut self, name: &str, ttl: u64, only_later: bool) -> bool {
        let now = self.now;
        let Some(one) = self.all.iter_mut().find(|one| one.name == name) else { return false };
        if one.phase == Phase::Stopping {
            return false;
        }
        if one.phase == Phase::Running {
            let expires = (ttl > 0).then(|| (now + ttl).min(one.ready + 3600));
            if only_later && expires.is_some_and(|new| one.expires.is_some_and(|old| new < old)) {
                return false;
            }
            one.expires = expires;
        } else if only_later && ttl > 0 && ttl < one.ttl {
            return false;
        }
        one.ttl = ttl;
        true
    }
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![
        6 => Just(Kind::Ready),
        2 => Just(Kind::StartFailed),
        2 => Just(Kind::Gone),
        3 => Just(Kind::Delete),
        1 => Just(Kind::Abandoned),
        1 => Just(Kind::Force),
        5 => Just(Kind::CleanupEnded),
    ];
    prop_oneof![
        5 => (0_usize..6, prop::sample::select(vec![0_u64, 5, 30, 90]), 0_u64..60)
            .prop_map(|(id, wait, ttl)| Op::Create { id, wait, ttl }),
        9 => (0_usize..8, kind).prop_map(|(of, event)| Op::Event { of, event }),
        4 => (0_usize..8).prop_map(|of| Op::StartEnded { of }),
        3 => (0_u64..40).prop_map(|secs| Op::Pass { secs }),
        1 => (0_usize..6, 0_u64..60, any::<bool>())
            .prop_map(|(of, ttl, only_later)| Op::Update { of, ttl, only_later }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// 100,000 steps: the same answers, the same states, the same slots, and the indices agree.
    #[test]
    fn the_registry_does_what_a_plain_list_does(ops in prop::collection::vec(op(), 200)) {
        let mut world = World::with(Bounds { tombstone_ttl: secs(1_000_000), ..bounds() });
        world.registry.tombs = Tombs::new(secs(1_000_000), 1000);
        let mut plain = Plain::default();
        let mut made: Vec<String> = Vec::new();
        for op in ops {
            match op {
                Op::Create { id, wait, ttl } => {
                    let (name, lifecycle) = (format!("s{id}"), format!("l{}", made.len()));
                    let new = NewSandbox {
                        waits: Waits { queue: secs(wait), ..WAITS },
                        ttl: secs(ttl),
                        ..World::new_sandbox(&name, &lifecycle)
                    };
                    let word = match world.admit_new(new) {
                        Ok(Admission::Starting) => "starting",
                        Ok(Admission::Queued) => "queued",
                        Err(AdmitRefusal::Exists { .. }) => "exists",
                        Err(AdmitRefusal::Full { .. }) => "full",
                        Err(AdmitRefusal::Busy { .. }) => "busy",
                    };
                    prop_assert_eq!(word, plain.create(&name, &lifecycle, wait, ttl));
                    made.push(lifecycle);
                }
                // Mostly those that were made last: the others have ended.
                Op::Event { of, event } => {
                    let Some(lifecycle) = made.iter().rev().nth(of) else { continue };
                    world.apply(lifecycle, kind_event(event));
                    plain.event(lifecycle, event);
                }
                Op::StartEnded { of } => {
                    let Some(lifecycle) = made.iter().rev().nth(of) else { continue };
                    // The driver's call returns once the sandbox is ready or is being ended.
                    let starting = |one: &&mut One| one.lifecycle == *lifecycle
                        && one.phase != Phase::Starting && one.phase != Phase::Requested;
                    if let Some(one) = plain.all.iter_mut().find(starting) {
                        one.slot = false;
                        world.start_ended(lifecycle);
                        plain.grant();
                    }
                }
                Op::Pass { secs: time } => {
                    for _ in 0..time {
                        world.pass(secs(1), false);
                    }
                    plain.pass(time);
                }
                Op::Update { of, ttl, only_later } => {
                    let name = format!("s{of}");
                    let update = Update { ttl: Some(secs(ttl)), only_later, ..Update::default() };
                    let done = world.registry.update(&name, update, world.now).is_ok();
                    prop_assert_eq!(done, plain.update(&name, ttl, only_later));
                }
            }
            world.registry.check();
            let mut mine: Vec<String> = world.registry.sandboxes()
                .map(|s| format!("{} {} {}", s.record.id, s.record.lifecycle, s.state.word().as_str()))
                .collect();
            let mut theirs: Vec<String> = plain.all.iter()
                .map(|one| format!("{} {} {:?}", one.name, one.lifecycle, one.phase).to_lowercase())
                .collect();
            mine.sort();
            theirs.sort();
            prop_assert_eq!(mine, theirs);
            prop_assert_eq!(world.registry.tally().slots as usize, plain.slots());
            let tombs: BTreeSet<String> =
                world.registry.tombstones().map(|tomb| tomb.record.id.to_string()).collect();
            prop_assert_eq!(&tombs, &plain.ended);
        }
    }
}
