//! Random sequences of calls against a model that a reader can check at a glance.
#![cfg(not(draingate_loom))]
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
    time::{Duration, Instant},
};

use draingate::{Keeper, Label, OwnedPass, State};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Enter,
    EnterLabelled,
    /// Drops the pass at this place, of those that are held.
    Leave(usize),
    Wait,
    WaitForBegin,
    /// Drops the wait at this place.
    GiveUp(usize),
    Begin,
    DropKeeper,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => Just(Op::Enter),
        4 => Just(Op::EnterLabelled),
        10 => any::<usize>().prop_map(Op::Leave),
        3 => Just(Op::Wait),
        2 => Just(Op::WaitForBegin),
        2 => any::<usize>().prop_map(Op::GiveUp),
        1 => Just(Op::Begin),
        1 => Just(Op::DropKeeper),
    ];
    prop::collection::vec(op, 1..80)
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

struct Wait {
    future: Pin<Box<dyn Future<Output = ()>>>,
    wakes: Arc<Wakes>,
    /// Polled as pending at least once; ready from its first poll otherwise.
    waited: bool,
    for_begin: bool,
}

impl Wait {
    fn new(future: impl Future<Output = ()> + 'static, for_begin: bool, done: bool) -> Self {
        let mut wait =
            Self { future: Box::pin(future), wakes: Arc::default(), waited: false, for_begin };
        wait.waited = !wait.poll();
        assert_eq!(wait.waited, !done);
        wait
    }

    fn poll(&mut self) -> bool {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

/// The whole specification.
#[derive(Default)]
struct Model {
    begun: bool,
    inside: Vec<(bool, OwnedPass)>,
    refused: u64,
}

impl Model {
    fn drained(&self) -> bool {
        self.begun && self.inside.is_empty()
    }

    fn done(&self, for_begin: bool) -> bool {
        if for_begin { self.begun } else { self.drained() }
    }
}

fn run(ops: Vec<Op>) {
    let start = Instant::now();
    let mut keeper = Some(Keeper::new());
    let gate = keeper.as_ref().unwrap().gate();
    let mut model = Model::default();
    let mut waits: Vec<Wait> = Vec::new();

    for op in ops {
        match op {
            Op::Enter | Op::EnterLabelled => {
                let labelled = matches!(op, Op::EnterLabelled);
                let pass = if labelled {
                    gate.enter_labelled(Label::from("a"), start)
                } else {
                    gate.enter().map(drop).and_then(|()| gate.enter_owned())
                };
                assert_eq!(pass.is_err(), model.begun);
                match pass {
                    Ok(pass) => model.inside.push((labelled, pass)),
                    Err(_) => model.refused += 1,
                }
            }
            Op::Leave(place) if !model.inside.is_empty() => {
                let place = place % model.inside.len();
                drop(model.inside.swap_remove(place));
            }
            Op::Wait => waits.push(Wait::new(gate.drained(), false, model.drained())),
            Op::WaitForBegin => waits.push(Wait::new(gate.draining(), true, model.begun)),
            Op::GiveUp(place) if !waits.is_empty() => {
                let place = place % waits.len();
                waits.swap_remove(place);
            }
            Op::Begin => {
                if let Some(keeper) = &keeper {
                    assert_eq!(keeper.begin_drain(), !model.begun);
                    model.begun = true;
                }
            }
            Op::DropKeeper => {
                keeper = None;
                model.begun = true;
            }
            Op::Leave(_) | Op::GiveUp(_) => {}
        }

        assert_eq!(gate.is_draining(), model.begun);
        for wait in &mut waits {
            let done = model.done(wait.for_begin);
            let woken = wait.wakes.0.load(SeqCst);
            assert_eq!(woken, usize::from(done && wait.waited), "woken once, and when it is true");
            assert_eq!(wait.poll(), done);
        }
        if let Some(keeper) = &keeper {
            let report = keeper.report(start + Duration::from_secs(1));
            let labelled = model.inside.iter().filter(|(labelled, _)| *labelled).count();
            assert_eq!(report.inside, model.inside.len() as u64);
            assert_eq!(report.holders.len(), labelled);
            assert_eq!(report.unlabelled, report.inside - labelled as u64);
            assert_eq!(report.refused, model.refused);
            let state = match (model.begun, model.inside.is_empty()) {
                (false, _) => State::Open,
                (true, false) => State::Draining,
                (true, true) => State::Drained,
            };
            assert_eq!(report.state, state);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model_after_every_call(ops in ops()) {
        run(ops);
    }
}
