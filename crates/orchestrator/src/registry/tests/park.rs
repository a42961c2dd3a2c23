//! Facts about parked sandboxes.

use proptest::prelude::*;

use super::*;
use crate::driver::ProfileId;

impl World {
    /// Parks a running sandbox as far as its browser is closed and its profile saved.
    fn save(&mut self, lifecycle: &str) {
        self.apply(lifecycle, Event::Pause);
        self.apply(lifecycle, Event::ClosingBrowser);
        let id = LifecycleId::new(lifecycle);
        self.registry.note_closed(&id, &ProfileId::of(&id), secs(500), self.now);
        self.registry.note_saved(&id, true);
        self.apply(lifecycle, Event::Saved);
    }

    fn released(&mut self, lifecycle: &str) {
        self.start_ended(lifecycle);
        self.registry.released(&LifecycleId::new(lifecycle));
        self.registry.check();
    }

    fn resume(&mut self, id: &str, next: &str) -> Result<Vec<String>, AdmitRefusal> {
        let next = LifecycleId::new(next);
        let changes = self.registry.reenter(id, &next, (), WAITS, self.now)?;
        self.registry.check();
        Ok(show(&changes))
    }

    fn state(&self, id: &str) -> Option<&State> {
        self.registry.sandbox(id).map(|sandbox| &sandbox.state)
    }
}

#[test]
fn a_parked_sandbox_takes_no_place_once_its_rest_is_gone() {
    let mut world = World::new();
    world.run("a");
    world.save("a");
    assert_eq!(world.state("a"), Some(&State::Paused { save_pending: false }));
    assert_eq!(world.registry.tally().lifecycles, 1, "its folders are still being removed");
    world.released("a");
    assert_eq!(world.registry.tally().lifecycles, 0);
    assert_eq!(world.registry.tally().of(SandboxState::Paused), 1);
    let again = world.admit("a");
    assert!(matches!(again, Err(AdmitRefusal::Exists { .. })), "{again:?}");
}

#[test]
fn a_resumed_sandbox_is_another_incarnation_and_lives_anew() {
    let mut world = World::new();
    world.run("a");
    let execution = world.registry.sandbox("a").unwrap().record.execution.clone();
    world.pass(secs(60), false);
    world.save("a");
    world.released("a");
    world.pass(secs(400), false);
    assert_eq!(world.resume("a", "a2").unwrap(), ["a:resuming", "a:resuming"]);
    assert_eq!(world.apply("a", Event::Ready), [""; 0], "its old name means nothing any more");
    assert_eq!(world.apply("a2", Event::Ready), ["a:running"]);
    let record = &world.registry.sandbox("a").unwrap().record;
    assert_eq!(record.execution, execution);
    assert_eq!(record.lifecycle.as_str(), "a2");
    assert!(record.park.is_none());
    world.pass(secs(99), false);
    assert_eq!(world.state("a"), Some(&State::Running));
    assert_eq!(world.pass(secs(1), false), ["a:stopping(ttl)"]);
}

#[test]
fn a_sandbox_that_is_parked_for_too_long_ends() {
    let mut world = World::new();
    world.run("a");
    world.save("a");
    world.released("a");
    world.pass(secs(499), false);
    assert_eq!(world.state("a"), Some(&State::Paused { save_pending: false }));
    assert_eq!(world.pass(secs(1), false), ["a:stopping(ttl)"]);
    assert_eq!(world.apply("a", Event::CleanupEnded), ["a:stopped(ttl)"]);
    assert_eq!(world.registry.tombstone("a").unwrap().stop.reason, StopReason::Ttl);
}

#[test]
fn a_resume_needs_a_place_and_waits_for_a_slot() {
    let mut world = World::new();
    world.run("a");
    world.save("a");
    world.released("a");
    world.admit("b").unwrap();
    world.admit("c").unwrap();
    assert_eq!(world.resume("a", "a2").unwrap(), ["a:resuming"], "both slots are taken");
    assert_eq!(world.apply("b", Event::Ready), ["b:running", "a:resuming"]);
    assert_eq!(world.apply("a2", Event::StartFailed { detail: String::new() }), ["a:paused"]);
    world.released("a2");
    world.start_ended("c");
    for id in ["d", "e"] {
        world.admit(id).unwrap();
    }
    assert_eq!(world.registry.tally().lifecycles, 4);
    assert!(matches!(world.resume("a", "a3"), Err(AdmitRefusal::Full { .. })));
    let record = &world.registry.sandbox("a").unwrap().record;
    assert_eq!(record.lifecycle.as_str(), "a2", "a refusal changes nothing");
    assert!(record.expires.is_some(), "it still ends when it is parked for too long");
}

#[test]
fn a_restored_sandbox_keeps_its_deadline() {
    let mut world = World::new();
    world.run("a");
    world.save("a");
    let record = world.registry.sandbox("a").unwrap().record.clone();
    let mut next = World::new();
    next.now.instant = world.now.instant;
    // The daemon was away for 300 of the 500 s.
    next.now.wall = world.now.wall + secs(300);
    next.registry.restore(record, (), next.now);
    next.registry.check();
    assert_eq!(next.registry.tally().lifecycles, 0);
    next.pass(secs(199), false);
    assert_eq!(next.state("a"), Some(&State::Paused { save_pending: false }));
    assert_eq!(next.pass(secs(1), false), ["a:stopping(ttl)"]);
}

#[derive(Debug, Clone)]
enum Op {
    Create(usize),
    Event(usize, usize),
    Save(usize),
    Released(usize),
    Resume(usize),
    Renew(usize),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0_usize..4).prop_map(Op::Create),
        8 => (0_usize..4, 0_usize..9).prop_map(|(of, event)| Op::Event(of, event)),
        3 => (0_usize..4).prop_map(Op::Save),
        3 => (0_usize..4).prop_map(Op::Released),
        4 => (0_usize..4).prop_map(Op::Resume),
        1 => (0_usize..4).prop_map(Op::Renew),
        2 => (0_u64..40).prop_map(Op::Pass),
    ]
}

fn event(pick: usize) -> Event {
    match pick {
        0 | 1 => Event::Ready,
        2 => Event::StartFailed { detail: String::new() },
        3 => delete(),
        4 => Event::Force(Stop::new(StopReason::ForceStop, "")),
        5 => Event::Saved,
        6 => Event::SaveFailedRestored { detail: String::new() },
        7 => Event::SaveFailedGone { detail: String::new() },
        _ => Event::CleanupEnded,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever is parked, resumed and ended in whatever order: the indices agree, no place and no
    /// slot is lost or given twice.
    #[test]
    fn places_and_slots_survive_every_pause_and_resume(ops in prop::collection::vec(op(), 200)) {
        let mut world = World::new();
        let mut made = 0;
        for op in ops {
            let present = |world: &World, of: usize| {
                let sandbox = world.registry.sandbox(&format!("s{of}"))?;
                Some(sandbox.record.lifecycle.as_str().to_owned())
            };
            match op {
                Op::Create(of) => {
                    made += 1;
                    let _ = world.admit_new(World::new_sandbox(&format!("s{of}"), &format!("l{made}")));
                }
                Op::Event(of, pick) => {
                    if let Some(lifecycle) = present(&world, of) {
                        world.apply(&lifecycle, event(pick));
                    }
                }
                Op::Save(of) => {
                    if let Some(lifecycle) = present(&world, of) {
                        world.apply(&lifecycle, Event::Pause);
                        world.apply(&lifecycle, Event::ClosingBrowser);
                    }
                }
                // As its task does: only of one that is parked.
                Op::Released(of) => {
                    if let Some(lifecycle) = present(&world, of)
                        && matches!(world.state(&format!("s{of}")), Some(State::Paused { .. }))
                    {
                        world.released(&lifecycle);
                    }
                }
                Op::Resume(of) => {
                    made += 1;
                    if matches!(world.state(&format!("s{of}")), Some(State::Paused { .. })) {
                        let last = present(&world, of).unwrap();
                        let _ = world.resume(&format!("s{of}"), &format!("l{made}"));
                        // What was left of the last one is gone in the end, whoever is there now.
                        if present(&world, of) != Some(last.clone()) {
                            world.released(&last);
                        }
                    }
                }
                Op::Renew(of) => {
                    made += 1;
                    if let Some(last) = present(&world, of)
                        && matches!(world.state(&format!("s{of}")), Some(State::Pausing { closed: true }))
                    {
                        let next = LifecycleId::new(format!("l{made}"));
                        prop_assert!(world.registry.renew(&LifecycleId::new(last), &next, ()));
                    }
                }
                Op::Pass(time) => {
                    world.pass(secs(time), false);
                }
            }
            world.registry.check();
        }
    }
}
