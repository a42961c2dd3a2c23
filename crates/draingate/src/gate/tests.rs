use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::report::State;

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future polled by hand, and its wake-ups.
struct Hand<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

impl<F: Future> Hand<F> {
    fn new(future: F) -> Self {
        Self { future: Box::pin(future), wakes: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }
}

fn inside(keeper: &Keeper) -> u64 {
    keeper.report(Instant::now()).inside
}

#[test]
fn second_begin_is_false() {
    let keeper = Keeper::new();
    assert!(keeper.begin_drain());
    assert!(!keeper.begin_drain());
}

#[test]
fn begin_is_true_to_one_of_many_threads() {
    for _ in 0..100 {
        let keeper = Keeper::new();
        let firsts = thread::scope(|scope| {
            let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| keeper.begin_drain())).collect();
            callers.into_iter().map(|c| usize::from(c.join().unwrap())).sum()
        });
        assert_eq!(1usize, firsts);
    }
}

#[test]
fn refuses_on_every_clone_after_drain_begins() {
    let keeper = Keeper::new();
    let early = keeper.gate();
    let clone = early.clone();
    keeper.begin_drain();
    let late = keeper.gate();
    for gate in [early, clone, late] {
        assert_eq!(gate.enter().map(drop), Err(Draining));
        assert_eq!(gate.enter_owned().map(drop), Err(Draining));
        assert_eq!(
            gate.enter_labelled(Label::from("late"), Instant::now()).map(drop),
            Err(Draining)
        );
        assert!(gate.is_draining());
    }
    let report = keeper.report(Instant::now());
    assert_eq!((report.state, report.inside, report.refused), (State::Drained, 0, 9));
}

#[test]
fn each_kind_of_pass_counts_until_its_drop() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let borrowed = gate.enter().unwrap();
    let owned = gate.enter_owned().unwrap();
    let labelled = gate.enter_labelled(Label::from("a"), Instant::now()).unwrap();
    assert_eq!(inside(&keeper), 3);
    drop(borrowed);
    assert_eq!(inside(&keeper), 2);
    drop(labelled);
    assert_eq!(inside(&keeper), 1);
    drop(owned);
    assert_eq!(inside(&keeper), 0);
}

#[test]
fn passes_outlive_every_handle() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let pass = gate.enter_owned().unwrap();
    let mut drained = Hand::new(gate.drained());
    drop(gate);
    drop(keeper);
    assert!(drained.poll().is_pending());
    drop(pass);
    assert!(drained.poll().is_ready());
}

#[test]
fn panic_releases() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    for kind in ["borrowed", "owned", "labelled"] {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _borrowed = (kind == "borrowed").then(|| gate.enter().unwrap());
            let _owned = (kind == "owned").then(|| gate.enter_owned().unwrap());
            let _labelled = (kind == "labelled")
                .then(|| gate.enter_labelled(Label::from("p"), Instant::now()).unwrap());
            assert_eq!(inside(&keeper), 1);
            std::panic::resume_unwind(Box::new("the work failed"));
        }));
        assert!(caught.is_err());
        assert_eq!(inside(&keeper), 0, "{kind}");
    }
}

#[tokio::test]
async fn release_once_when_future_is_cancelled() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let mut work = Hand::new(async {
        let _borrowed = gate.enter().unwrap();
        let _owned = gate.enter_owned().unwrap();
        std::future::pending::<()>().await;
    });
    assert!(work.poll().is_pending());
    assert_eq!(inside(&keeper), 2);
    drop(work);
    assert_eq!(inside(&keeper), 0);

    // The same for a task that is aborted, before and after it first ran.
    for runs_first in [false, true] {
        let pass = gate.enter_owned().unwrap();
        let task = tokio::task::LocalSet::new();
        let handle = task.spawn_local(async move {
            let _pass = pass;
            std::future::pending::<()>().await;
        });
        if runs_first {
            task.run_until(tokio::task::yield_now()).await;
        }
        assert_eq!(inside(&keeper), 1);
        handle.abort();
        task.await;
        assert!(handle.await.unwrap_err().is_cancelled());
        assert_eq!(inside(&keeper), 0);
    }
}

#[test]
fn wait_before_drain_does_not_refuse() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let mut drained = Hand::new(gate.drained());
    assert!(drained.poll().is_pending(), "an open gate is not drained, though nobody is inside");

    let pass = gate.enter().unwrap();
    drop(gate.enter_owned().unwrap());
    assert!(drained.poll().is_pending());
    drop(pass);
    assert!(drained.poll().is_pending());
    assert_eq!(drained.wakes(), 0, "an open gate wakes nobody");

    let last = gate.enter().unwrap();
    keeper.begin_drain();
    assert!(drained.poll().is_pending());
    assert_eq!(drained.wakes(), 0, "a beginning with somebody inside wakes no wait for the end");
    drop(last);
    assert_eq!(drained.wakes(), 1);
    assert!(drained.poll().is_ready());
}

#[test]
fn begin_on_an_empty_gate_wakes_both_kinds_of_wait() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let mut drained = Hand::new(gate.drained());
    let mut draining = Hand::new(gate.draining());
    assert!(drained.poll().is_pending());
    assert!(draining.poll().is_pending());
    keeper.begin_drain();
    assert_eq!((drained.wakes(), draining.wakes()), (1, 1));
    assert!(drained.poll().is_ready());
    assert!(draining.poll().is_ready());
}

#[test]
fn draining_comes_with_the_beginning_not_the_end() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let pass = gate.enter().unwrap();
    let mut draining = Hand::new(gate.draining());
    assert!(draining.poll().is_pending());
    keeper.begin_drain();
    assert_eq!(draining.wakes(), 1);
    assert!(draining.poll().is_ready());
    drop(pass);
    assert!(Hand::new(gate.draining()).poll().is_ready());
}

#[test]
fn all_waits_wake_and_a_dropped_one_takes_nothing_along() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let pass = gate.enter().unwrap();
    let mut waits: Vec<_> = (0..10).map(|_| Hand::new(gate.drained())).collect();
    for wait in &mut waits {
        assert!(wait.poll().is_pending());
    }
    keeper.begin_drain();
    let gone: Vec<_> = waits.drain(3..6).map(|wait| wait.wakes.clone()).collect();
    drop(pass);
    for wait in &mut waits {
        assert_eq!(wait.wakes(), 1);
        assert!(wait.poll().is_ready());
    }
    for wakes in gone {
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        assert_eq!(Arc::strong_count(&wakes), 1, "a dropped wait leaves no waker behind");
    }
}

#[test]
fn a_wait_wakes_the_task_that_polled_it_last() {
    let keeper = Keeper::new();
    let mut drained = keeper.gate().drained();
    let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    for wakes in [&first, &second] {
        let waker = Waker::from(wakes.clone());
        assert!(Pin::new(&mut drained).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&first), 1);
    keeper.begin_drain();
    assert_eq!(first.0.load(Ordering::SeqCst), 0);
    assert_eq!(second.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn done_beats_deadline() {
    for _ in 0..1000 {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let pass = gate.enter_owned().unwrap();
        keeper.begin_drain();
        let deadline = tokio::time::sleep(Duration::from_secs(1));
        let mut wait = Hand::new(gate.drained_or(deadline));
        assert!(wait.poll().is_pending());
        // Both become ready before the task runs again.
        tokio::time::advance(Duration::from_secs(2)).await;
        drop(pass);
        assert_eq!(wait.poll(), Poll::Ready(Ok(())));
    }
}

#[test]
fn done_during_the_deadline_beats_it() {
    for _ in 0..1000 {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let mut pass = Some(gate.enter_owned().unwrap());
        keeper.begin_drain();
        // The last pass goes while the deadline is asked, after the wait looked.
        let stop = poll_fn(|_| {
            pass.take();
            Poll::Ready("late")
        });
        assert_eq!(Hand::new(gate.drained_or(stop)).poll(), Poll::Ready(Ok(())));
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_the_wait_and_not_the_drain() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let pass = gate.enter_owned().unwrap();
    keeper.begin_drain();
    let before = tokio::time::Instant::now();
    let deadline = tokio::time::sleep(Duration::from_secs(3));
    assert_eq!(gate.drained_or(deadline).await, Err(()));
    assert_eq!(before.elapsed(), Duration::from_secs(3));
    assert_eq!(gate.enter().map(drop), Err(Draining), "a wait that was given up reopens nothing");
    drop(pass);
    gate.drained().await;
}

#[test]
fn keeper_drop_begins_drain() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let pass = gate.enter().unwrap();
    let mut draining = Hand::new(gate.draining());
    let mut drained = Hand::new(gate.drained());
    assert!(draining.poll().is_pending());
    assert!(drained.poll().is_pending());
    drop(keeper);
    assert_eq!(gate.enter().map(drop), Err(Draining));
    assert_eq!((draining.wakes(), drained.wakes()), (1, 0));
    drop(pass);
    assert_eq!(drained.wakes(), 1);
    assert!(drained.poll().is_ready());
}

#[test]
fn report_names_who_is_left() {
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let now = Instant::now();
    let young = gate.enter_labelled(Label::from("young"), now + Duration::from_secs(8)).unwrap();
    let old = gate.enter_labelled("old".to_owned().into(), now).unwrap();
    let unnamed = gate.enter().unwrap();
    keeper.begin_drain();
    assert!(gate.enter().is_err());

    let report = keeper.report(now + Duration::from_secs(10));
    assert_eq!(report.state, State::Draining);
    assert_eq!((report.inside, report.unlabelled, report.refused), (3, 1, 1));
    let left: Vec<_> = report.holders.iter().map(|h| (h.label.as_str(), h.age.as_secs())).collect();
    assert_eq!(left, [("old", 10), ("young", 2)]);

    drop(old);
    drop(unnamed);
    let report = keeper.report(now);
    assert_eq!((report.inside, report.unlabelled), (1, 0));
    assert_eq!(report.holders[0].age, Duration::ZERO, "a start in the future is no age");
    drop(young);
    assert_eq!(keeper.report(now).state, State::Drained);
}

#[test]
fn handles_and_passes_cross_threads() {
    fn everywhere<T: Send + Sync + 'static>() {}
    fn sent<T: Send>(_: &T) {}
    everywhere::<Keeper>();
    everywhere::<Gate>();
    everywhere::<OwnedPass>();
    everywhere::<Draining>();
    let gate = Keeper::new().gate();
    sent(&gate.enter());
    sent(&gate.drained_or(std::future::ready(())));
    let spawnable: Box<dyn Future<Output = ()> + Send + Sync + Unpin + 'static> =
        Box::new(gate.drained());
    drop(gate);
    drop(spawnable);
}
