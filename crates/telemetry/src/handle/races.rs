//! Every order in which publishers, the writer and the end of the queue can meet.
//!
//! `RUSTFLAGS="--cfg lockkeeper_loom" cargo test -p telemetry --lib handle::races`
//!
//! The two ends of the queue are the real ones with the counters of the model checker; a call of
//! the channel between them is one step. Two threads are searched in full, three up to three forced
//! switches.

use std::time::SystemTime;

use loom::future::block_on;
use loom::sync::Arc as Shared;
use loom::sync::atomic::Ordering::SeqCst;
use loom::thread;

use super::*;
use crate::events::OomKill;
use crate::words::OomScope;

/// Counts as the metrics do.
#[derive(Default)]
struct Losses(AtomicU64);

impl LossCounter for Losses {
    fn lost(&self, _: Category, _: LossCause, events: u64) {
        self.0.fetch_add(events, SeqCst);
    }
}

struct World {
    intake: Arc<Intake>,
    outlet: Outlet,
    losses: Arc<Losses>,
}

fn world() -> World {
    let losses = Arc::new(Losses::default());
    let (intake, outlet) = queue(bit(Category::System), Arc::clone(&losses) as _);
    World { intake, outlet, losses }
}

/// An event that is known by its scope's count, as heavy as is said.
fn item(name: u64, weight: usize) -> Item {
    let event = OomKill { scope: OomScope::Renderer, killed: name }.into();
    Item { weight, ..Item::new(SystemTime::UNIX_EPOCH, None, event) }
}

fn name(item: &Item) -> u64 {
    match &item.event {
        Event::OomKill(kill) => kill.killed,
        other => panic!("nobody published {other:?}"),
    }
}

impl World {
    /// Takes what is inside after the queue was closed, and checks the books: each of `published`
    /// events is inside or lost, each loss was told by one event or waits to be, and no byte stays.
    fn settle(mut self, published: u64, mut items: Vec<Item>) -> Vec<Item> {
        self.outlet.close();
        while block_on(self.outlet.receive(&mut items, 8)) > 0 {}
        let lost = self.losses.0.load(SeqCst);
        let told: u64 = items.iter().map(|item| item.lost).sum();
        assert_eq!(items.len() as u64 + lost, published, "an event is neither inside nor lost");
        assert_eq!(told + self.intake.lost.load(SeqCst), lost, "a loss is told twice or never");
        assert_eq!(self.intake.taken(), items.len() as u64, "counted wrongly");
        assert_eq!((self.intake.queued(), self.intake.queued_bytes()), (0, 0), "room is gone");
        items
    }
}

fn model_of_three(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

#[test]
fn the_writer_is_woken_for_every_event() {
    model_of_three(|| {
        let mut world = world();
        let publishers = [1, 2].map(|name| {
            let intake = Arc::clone(&world.intake);
            thread::spawn(move || assert!(intake.take(item(name, 1))))
        });
        let mut items = Vec::new();
        while items.len() < 2 {
            // The model fails when nobody wakes it.
            block_on(world.outlet.receive(&mut items, 8));
        }
        for publisher in publishers {
            publisher.join().unwrap();
        }
        world.settle(2, items);
    });
}

/// Who ends the streams waits until as many events were handled as were taken by then.
#[test]
fn who_published_and_waits_for_what_was_taken_waits_for_its_own_event_too() {
    model_of_three(|| {
        let mut world = world();
        let (theirs, ours) = (Arc::clone(&world.intake), Arc::clone(&world.intake));
        let other = thread::spawn(move || assert!(theirs.take(item(1, 1))));
        let waiter = thread::spawn(move || {
            assert!(ours.take(item(2, 1)));
            ours.taken()
        });
        let mut items = Vec::new();
        while items.len() < 2 {
            block_on(world.outlet.receive(&mut items, 1));
        }
        other.join().unwrap();
        let waits_for = usize::try_from(waiter.join().unwrap()).unwrap();
        assert!(items[..waits_for].iter().any(|item| name(item) == 2), "waited for others only");
        world.settle(2, items);
    });
}

#[test]
fn an_event_that_meets_the_end_is_inside_or_lost() {
    loom::model(|| {
        let mut world = world();
        let intake = Arc::clone(&world.intake);
        let publisher = thread::spawn(move || [1, 2].map(|name| intake.take(item(name, 1))));
        let mut items = Vec::new();
        world.outlet.close();
        block_on(world.outlet.receive(&mut items, 8));
        let inside = publisher.join().unwrap();
        let items = world.settle(2, items);
        let names: Vec<u64> = items.iter().map(name).collect();
        let said: Vec<u64> =
            [1, 2].into_iter().zip(inside).filter(|(_, in_)| *in_).map(|(n, _)| n).collect();
        assert_eq!(names, said, "a publisher was told something else");
    });
}

#[test]
fn publishers_at_once_never_fill_the_queue_beyond_its_bytes() {
    model_of_three(|| {
        let world = world();
        let most = Shared::new(AtomicUsize::new(0));
        let publishers = [1, 2].map(|name| {
            let (intake, most) = (Arc::clone(&world.intake), most.clone());
            thread::spawn(move || {
                // Of two of them only one has room.
                if intake.take(item(name, QUEUE_BYTES / 2 + 1)) {
                    most.fetch_add(1, SeqCst);
                }
                // Has room beside it, and tells what was lost.
                intake.take(item(name + 2, 1));
            })
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        assert!(most.load(SeqCst) <= 1, "more bytes than the queue may hold");
        world.settle(4, Vec::new());
    });
}

#[test]
fn publishers_at_once_never_fill_the_queue_beyond_its_events() {
    model_of_three(|| {
        let world = world();
        // One place is left.
        let others = world.intake.sender.try_reserve_many(QUEUE_EVENTS - 1).unwrap();
        let publishers = [1, 2].map(|name| {
            let intake = Arc::clone(&world.intake);
            thread::spawn(move || intake.take(item(name, 1)))
        });
        let inside = publishers.map(|publisher| publisher.join().unwrap());
        assert_eq!(inside.iter().filter(|inside| **inside).count(), 1);
        drop(others);
        world.settle(2, Vec::new());
    });
}
