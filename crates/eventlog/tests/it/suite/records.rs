//! Appending and reading.

use std::sync::Arc;
use std::time::Duration;

use eventlog::{AppendError, Batch, DedupeId, Gap, GapCause, NewRecord, ReadError, ReadLimit};
use tokio::task::JoinSet;

use super::{Backend, NOW, batch, open, payloads, read_all};

pub(crate) async fn offsets_start_at_one_and_grow_by_one(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    let head = log.head();
    assert_eq!((log.status().first, log.status().next, head.borrow().next), (1, 1, 1));
    let appended = log.append(batch(&["a", "b"])).await.unwrap();
    assert_eq!((appended.first, appended.last), (1, 2));
    let appended = log.append(batch(&["c"])).await.unwrap();
    assert_eq!((appended.first, appended.last), (3, 3));
    assert_eq!(head.borrow().next, 4);
    let page = log.read_from(0, ReadLimit::default()).await.unwrap();
    assert_eq!(payloads(&page.records), ["a", "b", "c"]);
    assert!(page.records.iter().all(|record| record.ts == NOW));
}

pub(crate) async fn a_batch_over_the_limit_is_refused_whole(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    let record = NewRecord { ts: NOW, payload: vec![b'x'; 900_000].into() };
    let batch = Batch::new(vec![record; log.max_batch() / 900_000 + 1]).unwrap();
    let bytes = batch.bytes();
    let refused = log.append(batch).await;
    assert_eq!(refused, Err(AppendError::TooLarge { bytes, limit: log.max_batch() }));
    assert_eq!(log.status().next, 1);
}

pub(crate) async fn concurrent_appends_get_each_offset_once(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    let mut tasks = JoinSet::new();
    for writer in 0..8 {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            let mut mine = Vec::new();
            for turn in 0..50 {
                let words = [format!("{writer}-{turn}-a"), format!("{writer}-{turn}-b")];
                let batch = batch(&[words[0].as_str(), words[1].as_str()]);
                let appended = log.append(batch).await.unwrap();
                assert_eq!(appended.last, appended.first + 1, "a batch stays together");
                mine.extend([
                    (appended.first, words[0].clone()),
                    (appended.last, words[1].clone()),
                ]);
            }
            assert!(mine.is_sorted(), "acknowledged in the order of offsets");
            mine
        });
    }
    let mut told: Vec<_> = tasks.join_all().await.concat();
    told.sort();
    let page = log.read_from(1, ReadLimit { records: 1_000, bytes: 1 << 20 }).await.unwrap();
    let stored: Vec<_> =
        page.records.iter().map(|r| r.offset).zip(payloads(&page.records)).collect();
    assert_eq!(stored, told);
    assert_eq!(stored.len(), 800);
}

pub(crate) async fn pages_keep_their_limits_and_have_at_least_one_record(
    backend: &mut dyn Backend,
) {
    let log = open(&backend.start().await, "a").await;
    log.append(batch(&["aaaa", "bb", "cc", "dddddd"])).await.unwrap();
    let read = async |from, records, bytes| {
        let page = log.read_from(from, ReadLimit { records, bytes }).await.unwrap();
        assert_eq!(page.head, 5);
        (payloads(&page.records).join(" "), page.next)
    };
    assert_eq!(read(1, 2, 100).await, ("aaaa bb".into(), 3));
    assert_eq!(read(1, 9, 6).await, ("aaaa bb".into(), 3));
    assert_eq!(read(1, 9, 5).await, ("aaaa".into(), 2));
    assert_eq!(read(4, 0, 0).await, ("dddddd".into(), 5));
}

pub(crate) async fn reading_before_the_first_record_tells_the_gap(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    log.append(batch(&["a", "b", "c", "d"])).await.unwrap();
    assert_eq!(log.trim(3).await, Ok(3));
    assert_eq!(log.status().trimmed, 2);
    let gap = |from| Gap { from, to: 2, cause: GapCause::Retention };
    assert_eq!(read_all(&log, 1).await, (vec![3, 4], vec![gap(1)]));
    assert_eq!(read_all(&log, 2).await, (vec![3, 4], vec![gap(2)]));
    assert_eq!(read_all(&log, 3).await, (vec![3, 4], vec![]));
}

pub(crate) async fn reading_at_the_end_is_empty_and_beyond_it_is_refused(
    backend: &mut dyn Backend,
) {
    let log = open(&backend.start().await, "a").await;
    assert_eq!(log.read_from(1, ReadLimit::default()).await.unwrap().records, []);
    let ahead = |next| Err(ReadError::Ahead { next });
    assert_eq!(log.read_from(2, ReadLimit::default()).await, ahead(1));
    log.append(batch(&["a"])).await.unwrap();
    let page = log.read_from(2, ReadLimit::default()).await.unwrap();
    assert_eq!((page.records, page.gap, page.next, page.head), (vec![], None, 2, 2));
    assert_eq!(log.read_from(3, ReadLimit::default()).await, ahead(2));
}

pub(crate) async fn numbers_go_on_after_everything_was_trimmed(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    log.append(batch(&["a", "b"])).await.unwrap();
    assert_eq!(log.trim(99).await, Ok(3));
    assert_eq!((log.status().first, log.status().next, log.status().bytes), (3, 3, 0));
    assert_eq!(log.append(batch(&["c"])).await.unwrap().first, 3);
    let gap = Gap { from: 1, to: 2, cause: GapCause::Retention };
    assert_eq!(read_all(&log, 1).await, (vec![3], vec![gap]));
}

pub(crate) async fn a_named_batch_is_stored_once(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    let named = batch(&["a", "b"]).named(DedupeId::random());
    let first = log.append(named.clone()).await.unwrap();
    log.append(batch(&["c"]).named(DedupeId::random())).await.unwrap();
    assert_eq!(log.append(named).await.unwrap(), first);
    assert_eq!(log.status().next, 4);
}

pub(crate) async fn a_dropped_append_can_be_repeated_under_its_name(backend: &mut dyn Backend) {
    let log = open(&backend.start().await, "a").await;
    for turn in 0..50_u64 {
        let named = batch(&["x"]).named(DedupeId::random());
        let wait = Duration::from_micros(fastrand::u64(0..200));
        let _outcome_open = tokio::time::timeout(wait, log.append(named.clone())).await;
        let appended = log.append(named).await.unwrap();
        assert_eq!((appended.first, log.status().next), (turn + 1, turn + 2));
    }
}
