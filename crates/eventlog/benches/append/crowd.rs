//! What ten thousand followers of one log cost its writer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlog::{Batch, Follower, Log, ReadLimit};
use tokio::task::JoinSet;

use crate::{Latencies, event};

const FOLLOWERS: usize = 10_000;
/// Two cores wake all followers well within it.
const PACE: Duration = Duration::from_millis(100);
/// With and without the followers in turns, so that a disturbance meets both.
const ROUNDS: usize = 4;

pub(crate) async fn measure(log: &Arc<dyn Log>, what: &str, lasting: Duration) {
    let (mut alone, mut followed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        pace(log, lasting, &mut alone).await;
        let crowd = follow(log).await;
        pace(log, lasting, &mut followed).await;
        drop(crowd);
    }
    for (case, latencies) in [("followed by none", alone), ("followed by 10,000", followed)] {
        Latencies(latencies).print(&format!("{what}, {case}"), "append");
    }
}

/// Followers that wait at the end of the log when this returns.
async fn follow(log: &Arc<dyn Log>) -> JoinSet<()> {
    let next = log.status().next;
    let mut crowd = JoinSet::new();
    for _ in 0..FOLLOWERS {
        let mut follower = Follower::new(Arc::clone(log), next, ReadLimit::default());
        crowd.spawn(async move { while let Some(_step) = follower.next().await.unwrap() {} });
    }
    // They take their places before anything is timed.
    tokio::time::sleep(PACE).await;
    crowd
}

async fn pace(log: &Arc<dyn Log>, lasting: Duration, latencies: &mut Vec<u64>) {
    let mut ticks = tokio::time::interval(PACE);
    let started = Instant::now();
    while started.elapsed() < lasting {
        ticks.tick().await;
        let asked = Instant::now();
        log.append(Batch::new(vec![event()]).unwrap()).await.unwrap();
        latencies.push(u64::try_from(asked.elapsed().as_nanos()).unwrap());
    }
}
