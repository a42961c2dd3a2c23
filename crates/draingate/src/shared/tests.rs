use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex as StdMutex},
    task::Wake,
};

use super::*;

fn word(shared: &Shared) -> u64 {
    shared.word.load(Ordering::SeqCst)
}

#[test]
fn refused_admit_never_changes_the_word() {
    let shared = Shared::default();
    shared.admit().unwrap();
    shared.begin();
    let before = word(&shared);
    assert_eq!(shared.admit(), Err(Draining));
    assert_eq!(shared.admit_labelled(Label::from("x"), Instant::now()), Err(Draining));
    assert_eq!(word(&shared), before);
    assert!(lock(&shared.holders).inside.is_empty());
}

#[test]
fn too_many_passes_panic_and_change_nothing() {
    let shared = Shared::default();
    shared.word.store(MAX_INSIDE - 1, Ordering::SeqCst);
    shared.admit().unwrap();
    let full = word(&shared);
    let label = || Label::from("x");
    assert!(catch_unwind(AssertUnwindSafe(|| shared.admit())).is_err());
    let labelled = AssertUnwindSafe(|| shared.admit_labelled(label(), Instant::now()));
    assert!(catch_unwind(labelled).is_err());
    assert_eq!(word(&shared), full);

    // The panic left the table's lock poisoned, and nobody minds.
    shared.release();
    let key = shared.admit_labelled(label(), Instant::now()).unwrap();
    shared.release_labelled(key);
    shared.begin();
    assert_eq!(
        shared.admit(),
        Err(Draining),
        "a full gate that drains refuses, and does not panic"
    );
}

/// A task whose last waker holds a pass and a wait, as an executor's waker may.
struct Task {
    shared: Arc<Shared>,
    ticket: StdMutex<Option<u64>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(ticket) = lock(&self.ticket).take() {
            self.shared.for_drained.forget(ticket);
        }
        self.shared.release();
    }
}

#[test]
fn a_waker_that_drops_the_last_pass_and_a_wait_does_not_deadlock() {
    for how in ["replaced", "forgotten", "woken"] {
        let shared = Arc::new(Shared::default());
        shared.admit().unwrap();
        shared.admit().unwrap();

        let mut inner = None;
        shared.for_drained.register(&mut inner, Waker::noop());
        let task = Arc::new(Task { shared: shared.clone(), ticket: StdMutex::new(inner) });
        let mut outer = None;
        let waker = Waker::from(task);
        shared.for_drained.register(&mut outer, &waker);
        drop(waker);

        shared.begin();
        match how {
            "replaced" => shared.for_drained.register(&mut outer, Waker::noop()),
            "forgotten" => shared.for_drained.forget(outer.unwrap()),
            _ => shared.for_drained.wake_all(),
        }
        shared.release();
        assert!(shared.reached(Goal::Drained), "{how}");
        assert!(lock(&shared.for_drained.list).wakers.is_empty(), "{how}");
    }
}
