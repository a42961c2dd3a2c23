//! Every order in which wishes, ends and cancels of one session can meet.
//!
//! `RUSTFLAGS="--cfg lockkeeper_loom" cargo test -p between-run-listener --lib registry::model`
//!
//! The table, its keys and its tokens are the real ones, behind a lock of the model checker; a
//! listener is a thread that waits to be told to end. Searched up to three forced switches.

use std::time::{Duration, Instant};

use bytestring::ByteString;
use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::sync::{Arc, Mutex};
use loom::thread;
use tokio_util::sync::CancellationToken;

use crate::feed::{Batch, BoxFuture, Connection, Feed, FeedError, SessionKey};
use crate::http::{Headers, Target};
use crate::listener::{Board, Reason, Rules, Setup, Status};
use crate::sse::Limits;

use super::table::{Live, Next, Table};

/// Long past any re-arm.
const REARM: Duration = Duration::ZERO;

struct Deaf;

impl Feed for Deaf {
    fn accept<'a>(&'a self, _: Batch) -> BoxFuture<'a, Result<(), FeedError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn resume_id(&self) -> Option<ByteString> {
        None
    }

    fn cut(&self, _: Connection, _: &Reason) {}

    fn status(&self, _: &Status) {}
}

#[derive(Clone)]
struct World(Arc<Shared>);

struct Shared {
    key: SessionKey,
    setup: std::sync::Arc<Setup>,
    now: Instant,
    table: Mutex<Table>,
    /// Listeners that run: never two.
    running: AtomicUsize,
}

impl World {
    fn new() -> Self {
        let setup = Setup {
            target: Target { url: "http://r/".parse().unwrap(), headers: Headers::default() },
            rules: Rules::default(),
            limits: Limits::default(),
            feed: std::sync::Arc::new(Deaf),
        };
        Self(Arc::new(Shared {
            key: SessionKey::new("p", "s").unwrap(),
            setup: std::sync::Arc::new(setup),
            now: Instant::now(),
            table: Mutex::new(Table::default()),
            running: AtomicUsize::new(0),
        }))
    }

    /// The steps of the registry's `ensure`; the generation that it found or made.
    fn ensure(&self) -> Option<u64> {
        loop {
            let gone = {
                let mut table = self.0.table.lock().unwrap();
                match table.look(&self.0.key, self.0.now, REARM) {
                    Next::Closed => return None,
                    Next::TooSoon(wait) => panic!("nothing gave up, and it waits for {wait:?}"),
                    Next::Already(generation) => return Some(generation),
                    Next::Ending(gone) => gone,
                    Next::Free => {
                        let generation = table.generation();
                        self.start(&mut table, generation);
                        return Some(generation);
                    }
                }
            };
            block_on(gone.cancelled());
        }
    }

    fn start(&self, table: &mut Table, generation: u64) {
        let live = Live {
            generation,
            cancel: CancellationToken::new(),
            gone: CancellationToken::new(),
            board: std::sync::Arc::new(Board::new(generation, self.0.now)),
            setup: std::sync::Arc::clone(&self.0.setup),
            armed_at: self.0.now,
        };
        let (world, cancel, gone) = (self.clone(), live.cancel.clone(), live.gone.clone());
        table.put(&self.0.key, live, self.0.now);
        thread::spawn(move || {
            assert_eq!(world.0.running.fetch_add(1, SeqCst), 0, "two listeners of one session");
            block_on(cancel.cancelled());
            world.0.running.fetch_sub(1, SeqCst);
            // As the entry does when it is dropped.
            world.0.table.lock().unwrap().finished(&world.0.key, generation);
            gone.cancel();
        });
    }

    /// The steps of the registry's `cancel`.
    fn cancel(&self) -> bool {
        let gone = {
            let mut table = self.0.table.lock().unwrap();
            table.forget_end(&self.0.key);
            table.cancel(&self.0.key, None)
        };
        gone.map(|gone| block_on(gone.cancelled())).is_some()
    }

    /// Ends everything, and nothing is left.
    fn shut_down(&self) {
        let gone = {
            let mut table = self.0.table.lock().unwrap();
            table.close();
            table.cancel(&self.0.key, None)
        };
        if let Some(gone) = gone {
            block_on(gone.cancelled());
        }
        assert_eq!(self.ensure(), None, "started after the end");
        assert_eq!(self.0.running.load(SeqCst), 0, "one runs after the end");
        let table = self.0.table.lock().unwrap();
        assert_eq!((table.live(), table.rows().len()), (0, 0), "an entry is left");
    }
}

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

#[test]
fn of_two_wishes_at_once_one_starts_the_listener() {
    model(|| {
        let world = World::new();
        let theirs = world.clone();
        let other = thread::spawn(move || theirs.ensure());
        let ours = world.ensure();
        assert_eq!((ours, other.join().unwrap()), (Some(1), Some(1)));
        world.shut_down();
    });
}

#[test]
fn a_wish_during_a_cancel_gets_a_listener_that_lives_and_never_a_second_one() {
    model(|| {
        let world = World::new();
        assert_eq!(world.ensure(), Some(1));
        let theirs = world.clone();
        let other = thread::spawn(move || theirs.cancel());
        let got = world.ensure();
        assert!(other.join().unwrap(), "there was one to cancel");
        // The first, if the wish came first; else one that nobody has cancelled.
        let next = world.0.table.lock().unwrap().look(&world.0.key, world.0.now, REARM);
        match (got, next) {
            (Some(1), Next::Free) | (Some(2), Next::Already(2)) => {}
            (got, _) => panic!("a wish got {got:?}, and the table says something else"),
        }
        world.shut_down();
    });
}

#[test]
fn a_wish_during_the_end_is_refused_or_ends_with_it() {
    model(|| {
        let world = World::new();
        let theirs = world.clone();
        let other = thread::spawn(move || theirs.ensure());
        world.shut_down();
        assert!(matches!(other.join().unwrap(), None | Some(1)));
    });
}
