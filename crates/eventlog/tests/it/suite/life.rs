//! Opening, closing, deleting, restarting, and what retention leaves.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eventlog::{
    AppendError, Batch, DedupeId, Follower, Log, LogName, LogOptions, ReadError, ReadLimit,
    Retention, Step, micros,
};

use super::{Backend, NOW, batch, open, options, read_all};

/// Waits, at most 10 s, until a log keeps no record before an offset.
async fn first_becomes(log: &Arc<dyn Log>, first: u64) {
    let kept = async {
        while log.status().first != first {
            log.read_from(log.status().next, ReadLimit::default()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(10), kept).await;
    assert!(done.is_ok(), "first should become {first}: {:?}", log.status());
}

pub(crate) async fn retention_by_bytes_drops_the_oldest_and_never_the_newest(
    backend: &mut dyn Backend,
) {
    let store = backend.start().await;
    let retention = Retention { max_bytes: 10_000, ..Retention::default() };
    let options = LogOptions { retention, ..LogOptions::default() };
    let log = store.open(&LogName::new("a").unwrap(), options).await.unwrap();
    for _ in 0..100 {
        log.append(Batch::one(NOW, vec![b'x'; 968]).unwrap()).await.unwrap();
    }
    first_becomes(&log, 91).await;
    assert!(log.status().bytes <= 10_500, "{:?}", log.status());
    log.append(Batch::one(NOW, vec![b'x'; 50_000]).unwrap()).await.unwrap();
    first_becomes(&log, 101).await;
    assert_eq!(read_all(&log, 101).await, (vec![101], vec![]));
}

pub(crate) async fn retention_by_age_goes_by_the_newest_time_seen(backend: &mut dyn Backend) {
    let store = backend.start().await;
    let retention = Retention { max_age: Duration::from_secs(60), ..Retention::default() };
    let options = LogOptions { retention, ..LogOptions::default() };
    let log = store.open(&LogName::new("a").unwrap(), options).await.unwrap();
    let minute = 60_000_000;
    let append = async |ts| log.append(Batch::one(ts, "x").unwrap()).await.unwrap();
    append(micros(SystemTime::now()) - 2 * minute).await;
    append(NOW - minute - 1).await;
    append(NOW - minute).await;
    append(NOW).await;
    // The clock was set back: this one is older than a minute before the newest.
    append(NOW - 2 * minute).await;
    first_becomes(&log, 3).await;
    append(NOW + 1).await;
    first_becomes(&log, 4).await;
}

pub(crate) async fn an_open_log_is_shared_and_logs_are_listed(backend: &mut dyn Backend) {
    let store = backend.start().await;
    let (one, other) = (open(&store, "b").await, open(&store, "b").await);
    one.append(batch(&["a"])).await.unwrap();
    assert_eq!(other.append(batch(&["b"])).await.unwrap().first, 2);
    assert_eq!(one.epoch(), other.epoch());
    open(&store, "a.c").await;
    let names = store.list().await.unwrap();
    assert_eq!(names.iter().map(LogName::as_str).collect::<Vec<_>>(), ["a.c", "b"]);
}

pub(crate) async fn a_deleted_log_is_gone_and_its_name_is_free(backend: &mut dyn Backend) {
    let store = backend.start().await;
    let log = open(&store, "a").await;
    log.append(batch(&["a"])).await.unwrap();
    let mut follower = Follower::new(Arc::clone(&log), 2, ReadLimit::default());
    let name = LogName::new("a").unwrap();
    let (ended, deleted) = tokio::join!(follower.next(), store.delete(&name));
    assert_eq!((ended, deleted), (Err(ReadError::Closed), Ok(true)));
    assert_eq!(log.append(batch(&["b"])).await, Err(AppendError::Closed));
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(store.delete(&name).await, Ok(false));
    let again = open(&store, "a").await;
    assert_ne!(again.epoch(), log.epoch());
    assert_eq!(again.append(batch(&["c"])).await.unwrap().first, 1);
}

pub(crate) async fn a_closed_log_takes_nothing_and_its_followers_end(backend: &mut dyn Backend) {
    let store = backend.start().await;
    let log = open(&store, "a").await;
    log.append(batch(&["a"])).await.unwrap();
    let mut follower = Follower::new(Arc::clone(&log), 1, ReadLimit::default());
    let (last, closed) = tokio::join!(
        async {
            assert!(matches!(follower.next().await, Ok(Some(Step::Records(_)))));
            follower.next().await
        },
        log.close(),
    );
    assert_eq!((last, closed), (Ok(None), Ok(())));
    assert_eq!(log.append(batch(&["b"])).await, Err(AppendError::Closed));
    assert_eq!(read_all(&log, 1).await.0, [1], "it can still be read");
    let again = open(&store, "a").await;
    assert_eq!(again.epoch(), log.epoch());
    assert_eq!(again.append(batch(&["b"])).await.unwrap().first, 2);
}

pub(crate) async fn a_closed_store_answers_closed(backend: &mut dyn Backend) {
    let store = backend.start().await;
    let log = open(&store, "a").await;
    store.close().await.unwrap();
    assert_eq!(log.append(batch(&["b"])).await, Err(AppendError::Closed));
    assert_eq!(log.read_from(1, ReadLimit::default()).await, Err(ReadError::Closed));
    let name = LogName::new("a").unwrap();
    assert_eq!(store.open(&name, options()).await.err().map(|e| e.kind()), Some("closed"));
    assert_eq!(store.list().await.err().map(|e| e.kind()), Some("closed"));
}

pub(crate) async fn a_restart_keeps_everything_or_makes_a_new_epoch(backend: &mut dyn Backend) {
    let store = backend.start().await;
    let log = open(&store, "a").await;
    let named = batch(&["a", "b"]).named(DedupeId::random());
    log.append(named.clone()).await.unwrap();
    log.trim(2).await.unwrap();
    let epoch = log.epoch().clone();
    store.close().await.unwrap();
    drop((log, store));

    let log = open(&backend.start().await, "a").await;
    if backend.survives() {
        assert_eq!(*log.epoch(), epoch);
        assert_eq!(read_all(&log, 2).await, (vec![2], vec![]));
        assert_eq!(log.append(named).await.unwrap().first, 1, "its name is remembered");
        assert_eq!(log.append(batch(&["c"])).await.unwrap().first, 3);
    } else {
        assert_ne!(*log.epoch(), epoch);
        assert_eq!(log.status().next, 1);
    }
}
