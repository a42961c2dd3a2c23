//! Every order in which facts about the browser and those who wait for them can meet.
//!
//! `RUSTFLAGS="--cfg lockkeeper_loom" cargo test -p upstream --lib publish::races`
//!
//! Publisher and readers are the real ones; a call of theirs is one step. Two threads are searched
//! in full, three up to three forced switches. What waits for more than one change is
//! left out: the channel between spreads its waiters at random, and the checker needs the same
//! steps each time.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc as Shared;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;

use super::*;
use crate::testing::url;

const CRASH: Cause = Cause::Exited { code: 1 };

/// A publisher of which each call is a step that the model checker can put anywhere.
struct World {
    publisher: Publisher,
    steps: AtomicUsize,
}

/// The checker switches threads where they touch what it knows: this.
fn step_of(steps: &AtomicUsize) {
    steps.fetch_add(1, SeqCst);
}

fn ready(id: &str) -> Fact {
    Fact::Ready { url: url(9222, id) }
}

impl World {
    fn new() -> Shared<Self> {
        Shared::new(Self { publisher: Publisher::new(true), steps: AtomicUsize::new(0) })
    }

    fn apply(&self, fact: Fact) -> Applied {
        step_of(&self.steps);
        self.publisher.apply(fact)
    }

    fn apply_if(&self, seen: &UpstreamState, fact: Fact) -> Applied {
        step_of(&self.steps);
        self.publisher.apply_if(seen, fact)
    }

    fn look(&self) -> UpstreamState {
        step_of(&self.steps);
        self.publisher.current()
    }

    fn reader(world: &Shared<Self>) -> Reader {
        step_of(&world.steps);
        Reader { changes: world.publisher.upstream().changes(), world: world.clone(), last: 0 }
    }
}

struct Reader {
    changes: Changes,
    world: Shared<World>,
    last: u64,
}

impl Reader {
    fn current(&mut self) -> UpstreamState {
        step_of(&self.world.steps);
        let state = self.changes.current();
        assert!(state.generation >= self.last, "went back from {} to {state:?}", self.last);
        self.last = state.generation;
        state
    }

    /// A wait that its deadline ends after one look.
    fn wait_briefly(&mut self) -> Option<UpstreamState> {
        step_of(&self.world.steps);
        match pin!(self.changes.changed()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(state) => Some(state),
            Poll::Pending => None,
        }
    }
}

fn model_of_three(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

#[test]
fn a_wait_that_was_given_up_takes_no_state_along() {
    loom::model(|| {
        let world = World::new();
        let mut reader = World::reader(&world);
        assert_eq!(reader.current().generation, 0);
        let waiter = thread::spawn(move || {
            reader.wait_briefly().unwrap_or_else(|| {
                step_of(&reader.world.steps);
                // The model fails when the state came in between and was used up.
                block_on(reader.changes.changed())
            })
        });
        world.apply(ready("a"));
        assert!(waiter.join().unwrap().is_ready());
    });
}

#[test]
fn a_look_that_took_time_never_overwrites_a_newer_instance() {
    model_of_three(|| {
        let world = World::new();
        world.apply(ready("a"));
        let seen = world.look();
        let checker = {
            let world = world.clone();
            // What it found holds for the state that it looked at.
            thread::spawn(move || world.apply_if(&seen, Fact::Ended { cause: CRASH }))
        };
        let announcer = {
            let world = world.clone();
            thread::spawn(move || world.apply(ready("b")))
        };
        let (checked, announced) = (checker.join().unwrap(), announcer.join().unwrap());
        let now = world.look();
        assert!(now.is_ready() && now.generation == 2, "{checked:?}, {announced:?}: {now:?}");
        assert_eq!(announced, Applied::Published);
        assert!(matches!(checked, Applied::Published | Applied::Stale), "{checked:?}");
    });
}

#[test]
fn when_the_owner_goes_everybody_who_waits_is_told() {
    loom::model(|| {
        let world = World::new();
        let upstream = world.publisher.upstream();
        let steps = Shared::new(AtomicUsize::new(0));
        let theirs = steps.clone();
        let waiter = thread::spawn(move || {
            step_of(&theirs);
            let mut changes = upstream.changes();
            loop {
                step_of(&theirs);
                let state = changes.current();
                if state.is_gone() {
                    return state;
                }
                step_of(&theirs);
                block_on(changes.changed());
            }
        });
        step_of(&steps);
        drop(world);
        assert_eq!(waiter.join().unwrap().phase, Phase::Gone { cause: Cause::UnknownExit });
    });
}
