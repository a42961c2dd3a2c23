//! Many followers at once, on any backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eventlog::{Batch, Follower, Log, LogName, NewRecord, ReadLimit, Step, Store};
use tokio::task::JoinSet;

use crate::suite::{NOW, options};

/// Records that those who join have to see.
const EVENTS: u64 = 100_000;
/// Records in one append.
const AT_ONCE: u64 = 100;
/// Those who join while it is appended.
const JOINERS: u64 = 50;
/// Those who wait at the end of a log.
const FOLLOWERS: u64 = 10_000;

async fn log(store: &Arc<dyn Store>) -> Arc<dyn Log> {
    store.open(&LogName::new("crowd").unwrap(), options()).await.unwrap()
}

/// Records that say which they are.
fn numbered(from: u64, count: u64) -> Batch {
    let record = |number: u64| NewRecord { ts: NOW, payload: number.to_le_bytes().to_vec().into() };
    Batch::new((from..from + count).map(record).collect()).unwrap()
}

/// Follows from an offset to another; each record has to be the next one, and what was written.
async fn follow(log: Arc<dyn Log>, from: u64, last: u64) {
    let mut follower = Follower::new(log, from, ReadLimit::default());
    let mut next = from;
    while next <= last {
        let Some(Step::Records(records)) = follower.next().await.unwrap() else {
            panic!("nothing was trimmed, so there is no gap and no end at {next}");
        };
        for record in records {
            assert_eq!(record.offset, next);
            assert_eq!(&record.payload[..], next.to_le_bytes());
            next += 1;
        }
    }
}

/// Fifty join at random moments and random places: each sees every event from there on, once.
pub(crate) async fn joiners_miss_nothing(store: Arc<dyn Store>) {
    let log = log(&store).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let written = Arc::new(AtomicU64::new(0));
    let mut joiners = JoinSet::new();
    for _ in 0..JOINERS {
        let (log, written) = (Arc::clone(&log), Arc::clone(&written));
        let (moment, back) = (random.u64(0..EVENTS), random.f64());
        joiners.spawn(async move {
            let mut head = log.head();
            head.wait_for(|head| head.next > moment).await.unwrap();
            let now = written.load(Ordering::SeqCst);
            follow(log, 1 + (now as f64 * back) as u64, EVENTS).await;
        });
    }
    for from in (1..=EVENTS).step_by(AT_ONCE as usize) {
        log.append(numbered(from, AT_ONCE)).await.unwrap();
        written.store(from + AT_ONCE - 1, Ordering::SeqCst);
    }
    while let Some(joined) = joiners.join_next().await {
        joined.unwrap();
    }
}

/// Ten thousand wait at the end of one log: each hears of every append.
pub(crate) async fn a_crowd_hears_of_every_append(store: Arc<dyn Store>) {
    let log = log(&store).await;
    let mut followers = JoinSet::new();
    for _ in 0..FOLLOWERS {
        followers.spawn(follow(Arc::clone(&log), 1, 20));
    }
    for number in 1..=20 {
        log.append(numbered(number, 1)).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut heard = 0;
    while let Some(follower) = followers.join_next().await {
        follower.unwrap();
        heard += 1;
    }
    assert_eq!(heard, FOLLOWERS);
}
