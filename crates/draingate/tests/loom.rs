//! Every interleaving of the races that the promises rest on.
//!
//! `RUSTFLAGS="--cfg draingate_loom" cargo test -p draingate --release --test loom`
//!
//! Models of two threads are searched in full, those of three up to four forced switches: a race
//! that needs more than that is unknown in practice, and the full search takes hours.
#![cfg(draingate_loom)]
#![allow(missing_docs, clippy::unwrap_used)]

use std::{future::Future, pin::pin, task::Context, time::Instant};

use draingate::{Draining, Gate, Keeper, Label, State};
use loom::{
    cell::UnsafeCell,
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// A model of three threads.
fn model_of_three(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(run);
}

fn inside(keeper: &Keeper) -> u64 {
    keeper.report(Instant::now()).inside
}

#[test]
fn enter_against_begin_is_counted_or_refused() {
    loom::model(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        // Written by a holder and read after "drained": the model fails on a race between the two.
        let work = Arc::new(UnsafeCell::new(0));
        let left = work.clone();
        let begun = Arc::new(AtomicBool::new(false));
        let seen = begun.clone();

        let worker = thread::spawn(move || {
            let after_begin = seen.load(loom::sync::atomic::Ordering::Acquire);
            let pass = gate.enter();
            assert!(!(after_begin && pass.is_ok()), "an enter after begin returned was let in");
            if pass.is_err() {
                assert_eq!(gate.enter().map(drop), Err(Draining), "refused, then let in");
                return false;
            }
            left.with_mut(checked_add);
            true
        });

        let outside = keeper.gate();
        assert!(keeper.begin_drain());
        begun.store(true, loom::sync::atomic::Ordering::Release);
        block_on(outside.drained());
        let done = work.with(read);
        assert_eq!(inside(&keeper), 0);
        assert_eq!(usize::from(worker.join().unwrap()), done, "admitted and not waited for");
    });
}

// The model's cells hand out raw pointers, as the standard ones do; a test may look through them.
#[allow(unsafe_code)]
fn checked_add(n: *mut usize) {
    // SAFETY: the model itself fails the test if anybody else accesses the cell meanwhile.
    unsafe { *n += 1 }
}

#[allow(unsafe_code)]
fn read(n: *const usize) -> usize {
    // SAFETY: as above.
    unsafe { *n }
}

#[test]
fn what_two_holders_did_is_visible_to_who_sees_drained() {
    model_of_three(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let work = [0, 1].map(|_| Arc::new(UnsafeCell::new(0)));
        let workers = work.clone().map(|cell| {
            let pass = gate.enter_owned().unwrap();
            thread::spawn(move || {
                cell.with_mut(checked_add);
                drop(pass);
            })
        });
        keeper.begin_drain();
        block_on(gate.drained());
        for cell in &work {
            assert_eq!(cell.with(read), 1);
        }
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn last_drop_against_wait_loses_no_wakeup() {
    loom::model(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let pass = gate.enter_owned().unwrap();
        keeper.begin_drain();
        let worker = thread::spawn(move || drop(pass));
        block_on(gate.drained());
        worker.join().unwrap();
    });
}

#[test]
fn labelled_last_drop_against_wait_and_report() {
    loom::model(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let pass = gate.enter_labelled(Label::from("a"), Instant::now()).unwrap();
        keeper.begin_drain();
        let worker = thread::spawn(move || drop(pass));
        let report = keeper.report(Instant::now());
        assert_eq!(report.inside, report.holders.len() as u64 + report.unlabelled);
        assert_eq!(report.unlabelled, 0, "a labelled pass was counted and not named");
        block_on(gate.drained());
        assert_eq!(keeper.report(Instant::now()).state, State::Drained);
        worker.join().unwrap();
    });
}

#[test]
fn begin_on_an_empty_gate_against_wait_loses_no_wakeup() {
    loom::model(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let waiter = thread::spawn(move || {
            block_on(gate.drained());
            block_on(gate.draining());
        });
        keeper.begin_drain();
        waiter.join().unwrap();
    });
}

#[test]
fn last_drop_against_begin_against_wait() {
    model_of_three(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let pass = gate.enter_owned().unwrap();
        let worker = thread::spawn(move || drop(pass));
        let beginner = thread::spawn(move || {
            keeper.begin_drain();
            keeper
        });
        block_on(gate.drained());
        worker.join().unwrap();
        drop(beginner.join().unwrap());
    });
}

/// Polls once and drops the wait, wherever it is by then.
fn poll_once_and_drop(gate: &Gate) -> bool {
    let mut wait = pin!(gate.drained());
    wait.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
}

#[test]
fn one_of_two_waits_dropped_while_it_registers_the_other_wakes() {
    model_of_three(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let pass = gate.enter_owned().unwrap();
        keeper.begin_drain();
        let other = keeper.gate();
        let quitter = thread::spawn(move || poll_once_and_drop(&other));
        let worker = thread::spawn(move || drop(pass));
        block_on(gate.drained());
        worker.join().unwrap();
        quitter.join().unwrap();
        assert!(poll_once_and_drop(&gate), "drained was not final");
    });
}

#[test]
fn of_two_begins_one_is_true() {
    loom::model(|| {
        let keeper = Arc::new(Keeper::new());
        let firsts = Arc::new(AtomicUsize::new(0));
        let (other, count) = (keeper.clone(), firsts.clone());
        let second = thread::spawn(move || {
            count.fetch_add(usize::from(other.begin_drain()), Relaxed);
        });
        firsts.fetch_add(usize::from(keeper.begin_drain()), Relaxed);
        assert!(keeper.gate().enter().is_err());
        second.join().unwrap();
        assert_eq!(firsts.load(Relaxed), 1);
    });
}

#[test]
fn keeper_drop_against_enter_is_refused_or_counted() {
    loom::model(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let worker_gate = gate.clone();
        let work = Arc::new(UnsafeCell::new(0));
        let left = work.clone();
        let worker = thread::spawn(move || {
            let Ok(_pass) = worker_gate.enter_owned() else { return 0 };
            left.with_mut(checked_add);
            1
        });
        drop(keeper);
        assert!(gate.enter().is_err());
        block_on(gate.drained());
        let done = work.with(read);
        assert_eq!(worker.join().unwrap(), done);
    });
}

#[test]
fn last_gate_against_last_pass_frees_once() {
    // The model counts what is allocated: it fails on a leak as well as on a second free.
    loom::model(|| {
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let pass = gate.enter_owned().unwrap();
        drop(keeper);
        let worker = thread::spawn(move || drop(pass));
        drop(gate);
        worker.join().unwrap();
    });
}
