//! The gate on real threads: sixteen enter and leave while one of them begins the drain.
#![cfg(not(draingate_loom))]
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Instant,
};

use draingate::{Gate, Keeper, Label, OwnedPass, State};

const ROUNDS: u64 = 1000;
const THREADS: u64 = 16;
const ENTERS: u64 = 40;

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(out) => return out,
            Poll::Pending => thread::park(),
        }
    }
}

#[derive(Default)]
struct Tally {
    tickets: AtomicU64,
    /// Drawn by the one that began the drain, right after that returned.
    begun_at: AtomicU64,
    last_admitted: AtomicU64,
    admitted: AtomicU64,
    released: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    /// Draws a ticket and enters; holds an owned pass for a while. Gives the ticket.
    fn enter(&self, gate: &Gate, rng: &mut fastrand::Rng, held: &mut Vec<OwnedPass>) -> u64 {
        let ticket = self.tickets.fetch_add(1, SeqCst);
        match rng.u8(0..10) {
            0..=4 => {
                let pass = gate.enter();
                self.count(ticket, pass.is_ok());
                if pass.is_ok() {
                    self.leave(pass);
                }
            }
            5..=8 => {
                let pass = gate.enter_owned();
                self.count(ticket, pass.is_ok());
                held.extend(pass);
            }
            _ => {
                let pass = gate.enter_labelled(Label::from("stress"), Instant::now());
                self.count(ticket, pass.is_ok());
                held.extend(pass);
            }
        }
        if held.len() > rng.usize(0..4) {
            self.leave(held.swap_remove(rng.usize(0..held.len())));
        }
        ticket
    }

    fn count(&self, ticket: u64, admitted: bool) {
        if admitted {
            self.admitted.fetch_add(1, SeqCst);
            self.last_admitted.fetch_max(ticket, SeqCst);
        } else {
            self.refused.fetch_add(1, SeqCst);
        }
    }

    fn leave<P>(&self, pass: P) {
        self.released.fetch_add(1, SeqCst);
        drop(pass);
    }
}

/// Enters of one thread; the one that draws `begin_at` begins the drain amid those of the others.
fn work(tally: &Tally, keeper: &Keeper, begin_at: u64, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let gate = keeper.gate();
    let mut held = Vec::new();
    for _ in 0..ENTERS {
        if tally.enter(&gate, &mut rng, &mut held) == begin_at {
            assert!(keeper.begin_drain());
            tally.begun_at.store(tally.tickets.fetch_add(1, SeqCst), SeqCst);
        }
    }
    for pass in held {
        tally.leave(pass);
    }
}

fn round(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    // In the first half, so that there are enters to come for certain.
    let begin_at = rng.u64(0..THREADS * ENTERS / 2);
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let tally = Tally::default();
    let start = Barrier::new(THREADS as usize + 2);

    let seen = thread::scope(|scope| {
        for _ in 0..THREADS {
            let (tally, keeper, start, seed) = (&tally, &keeper, &start, rng.u64(..));
            scope.spawn(move || {
                start.wait();
                work(tally, keeper, begin_at, seed);
            });
        }
        // Waits that are given up half-way, for as long as there is something to wait for.
        scope.spawn(|| {
            start.wait();
            let context = &mut Context::from_waker(Waker::noop());
            while pin!(gate.drained()).poll(context).is_pending() {
                thread::yield_now();
            }
        });
        start.wait();
        block_on(gate.drained());
        (tally.admitted.load(SeqCst), tally.released.load(SeqCst))
    });

    let total = |count: &AtomicU64| count.load(SeqCst);
    let (admitted, released) = (total(&tally.admitted), total(&tally.released));
    assert_eq!(seen, (admitted, released), "seed {seed}: drained came before the last drop");
    assert_eq!(admitted, released, "seed {seed}: admitted and released differ");
    assert_eq!(admitted + total(&tally.refused), THREADS * ENTERS, "seed {seed}");
    assert!(
        total(&tally.last_admitted) < total(&tally.begun_at),
        "seed {seed}: ticket {} was let in, the drain had begun at {}",
        total(&tally.last_admitted),
        total(&tally.begun_at),
    );
    let report = keeper.report(Instant::now());
    assert_eq!((report.state, report.inside), (State::Drained, 0), "seed {seed}");
    assert!(report.holders.is_empty(), "seed {seed}");
    assert_eq!(report.refused, total(&tally.refused), "seed {seed}");
}

#[test]
fn every_enter_amid_a_drain_is_counted_or_refused() {
    let first = fastrand::u64(..);
    println!("rounds with the seeds {first} to {}", first.wrapping_add(ROUNDS - 1));
    for n in 0..ROUNDS {
        round(first.wrapping_add(n));
    }
}
