//! Followers.

use std::sync::Arc;
use std::time::Duration;

use eventlog::{Follower, Log, ReadLimit, Step};
use tokio::task::JoinSet;

use super::{Backend, batch, open};

/// Follows until an offset was seen, and gives every offset met, seen or in a gap.
async fn follow_to(log: Arc<dyn Log>, from: u64, last: u64) -> Vec<u64> {
    let mut follower = Follower::new(log, from, ReadLimit { records: 7, bytes: 100 });
    let mut met = Vec::new();
    while met.last() != Some(&last) {
        match follower.next().await.unwrap() {
            Some(Step::Records(records)) => met.extend(records.iter().map(|r| r.offset)),
            Some(Step::Gap(gap)) => met.extend(gap.from..=gap.to),
            None => panic!("ended after {:?}", met.last()),
        }
    }
    met
}

pub(crate) async fn a_follower_goes_from_stored_to_live_without_a_seam(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    for _ in 0..100 {
        log.append(batch(&["x"])).await.unwrap();
    }
    let mut followers = JoinSet::new();
    for from in [1, 50, 101] {
        let log = Arc::clone(&log);
        followers.spawn(async move { (from, follow_to(log, from, 300).await) });
    }
    for _ in 0..200 {
        log.append(batch(&["x"])).await.unwrap();
    }
    while let Some(met) = followers.join_next().await {
        let (from, met) = met.unwrap();
        assert_eq!(met, (from..=300).collect::<Vec<_>>());
    }
}

pub(crate) async fn a_follower_under_concurrent_append_and_trim_sees_each_offset_once(
    backend: &mut dyn Backend,
) {
    let log = open(&backend.start().await, "a").await;
    let mut followers = JoinSet::new();
    for from in [1, 1, 300, 700] {
        let log = Arc::clone(&log);
        followers.spawn(async move {
            let mut log_has = log.head();
            log_has.wait_for(|head| head.next >= from).await.unwrap();
            (from, follow_to(log, from, 1_000).await)
        });
    }
    for turn in 1..=500_u64 {
        log.append(batch(&["x", "y"])).await.unwrap();
        if turn % 50 == 0 {
            log.trim(turn * 2 - fastrand::u64(0..100)).await.unwrap();
        }
    }
    while let Some(met) = followers.join_next().await {
        let (from, met) = met.unwrap();
        assert_eq!(met, (from..=1_000).collect::<Vec<_>>());
    }
}

pub(crate) async fn an_idle_follower_can_be_dropped_and_started_again(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    let mut follower = Follower::new(Arc::clone(&log), 1, ReadLimit::default());
    for _ in 0..3 {
        let idle = tokio::time::timeout(Duration::from_millis(1), follower.next()).await;
        assert!(idle.is_err(), "there is nothing yet");
    }
    log.append(batch(&["a"])).await.unwrap();
    let met = follower.next().await.unwrap();
    assert!(matches!(met, Some(Step::Records(records)) if records.len() == 1));
    assert_eq!(follower.next_offset(), 2);
}
