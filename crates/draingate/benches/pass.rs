//! Enter and leave, against the two obvious alternatives, on one gate and from 1, 2 and 8 threads.
//!
//! `cargo bench -p draingate`. What is compared has to come from the same run.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    hint::black_box,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use draingate::{Keeper, Label};
use tokio_util::task::TaskTracker;

/// What one writes without this crate: a flag and a counter behind a lock.
#[derive(Default)]
struct MutexGate(Mutex<(bool, u64)>);

struct MutexPass<'a>(&'a MutexGate);

impl MutexGate {
    fn enter(&self) -> Option<MutexPass<'_>> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return None;
        }
        state.1 += 1;
        Some(MutexPass(self))
    }
}

impl Drop for MutexPass<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().1 -= 1;
    }
}

fn uncontended(c: &mut Criterion) {
    let mut group = c.benchmark_group("uncontended");
    let keeper = Keeper::new();
    let gate = keeper.gate();
    let tracker = TaskTracker::new();
    let mutex = MutexGate::default();
    let label = Label::from("a sandbox");
    let since = Instant::now();

    group.bench_function("borrowed", |b| b.iter(|| drop(black_box(gate.enter()))));
    group.bench_function("owned", |b| b.iter(|| drop(black_box(gate.enter_owned()))));
    group.bench_function("task_tracker", |b| b.iter(|| drop(black_box(tracker.token()))));
    group.bench_function("mutex_counter", |b| b.iter(|| drop(black_box(mutex.enter()))));
    group.bench_function("labelled", |b| {
        b.iter(|| drop(black_box(gate.enter_labelled(label.clone(), since))));
    });
    keeper.begin_drain();
    group.bench_function("refused", |b| b.iter(|| black_box(gate.enter().is_err())));
    group.finish();
}

/// The time that `threads` take for `each` passes apiece, all at once on one gate.
fn together(threads: usize, each: u64, pass: &(dyn Fn() + Sync)) -> Duration {
    let start = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..each {
                        pass();
                    }
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        for worker in workers {
            worker.join().unwrap();
        }
        began.elapsed()
    })
}

fn contended(c: &mut Criterion) {
    for threads in [2, 8] {
        let mut group = c.benchmark_group(format!("{threads}_threads"));
        let keeper = Keeper::new();
        let gate = keeper.gate();
        let tracker = Arc::new(TaskTracker::new());
        let mutex = MutexGate::default();
        let passes: [(&str, &(dyn Fn() + Sync)); 4] = [
            ("borrowed", &|| drop(black_box(gate.enter()))),
            ("owned", &|| drop(black_box(gate.enter_owned()))),
            ("task_tracker", &|| drop(black_box(tracker.token()))),
            ("mutex_counter", &|| drop(black_box(mutex.enter()))),
        ];
        for (name, pass) in passes {
            group.bench_function(name, |b| b.iter_custom(|each| together(threads, each, pass)));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2));
    targets = uncontended, contended
}
criterion_main!(benches);
