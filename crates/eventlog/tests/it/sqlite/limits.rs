//! A full disk, a bounded file, and records that go in steps.

use std::time::Duration;

use eventlog::sqlite::{SqliteOptions, SqliteStore};
use eventlog::{
    AppendError, Durability, Follower, Health, LogName, LogOptions, ReadLimit, Retention, Step,
    Store,
};
use tempfile::TempDir;

use super::{content, database, log, numbered};

#[tokio::test]
async fn a_full_disk_refuses_whole_batches_and_readers_go_on() {
    let dir = TempDir::new().unwrap();
    let options = SqliteOptions { max_file_bytes: Some(2 * 1024 * 1024) };
    let store = SqliteStore::open(dir.path(), options).await.unwrap();
    let log = log(&store, "a").await;
    let mut next = 1;
    let refused = loop {
        match log.append(numbered(next..=next + 9, 10_000)).await {
            Ok(appended) => next = appended.last + 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::Full { .. }), "{refused:?}");
    assert!(next > 100, "room for {next} records of 10,000 bytes in 2 MiB");
    assert!(matches!(log.status().health, Health::Degraded { .. }));
    assert_eq!((log.status().next, log.head().borrow().next), (next, next));
    let page = log.read_from(next - 1, ReadLimit::default()).await.unwrap();
    assert_eq!(page.records[0].payload, content(next - 1, 10_000));

    log.trim(next - 20).await.unwrap();
    let resumed = async {
        loop {
            match log.append(numbered(next..=next + 9, 10_000)).await {
                Ok(appended) => break appended,
                Err(error) => assert_eq!(error.kind(), "full"),
            }
        }
    };
    let resumed = tokio::time::timeout(Duration::from_secs(20), resumed).await.unwrap();
    assert_eq!((resumed.first, log.status().health), (next, Health::Good));
    let page = log.read_from(next - 20, ReadLimit { records: 99, bytes: 1 << 20 }).await.unwrap();
    assert_eq!((page.gap, page.records.len(), page.next), (None, 30, next + 10));
}

/// The file may grow page by page, so each place at which a batch can run out of room is met.
#[tokio::test]
async fn a_batch_that_fails_at_any_page_leaves_nothing() {
    const PAGE: u64 = 8_192;
    let dir = TempDir::new().unwrap();
    SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap().close().await.unwrap();
    let empty = std::fs::metadata(database(dir.path())).unwrap().len();
    for pages in 1..200 {
        let options = SqliteOptions { max_file_bytes: Some(empty + pages * PAGE) };
        let store = SqliteStore::open(dir.path(), options).await.unwrap();
        // Another level of the log, so that both kinds of commit take their turn.
        let durability = [Durability::Process, Durability::Power][pages as usize % 2];
        let options = LogOptions { durability, ..LogOptions::default() };
        let log = store.open(&LogName::new("a").unwrap(), options).await.unwrap();
        let appended = log.append(numbered(1..=20, 9_000)).await;
        let status = log.status();
        let page = log.read_from(1, ReadLimit::default()).await.unwrap();
        store.close().await.unwrap();
        match appended {
            Ok(appended) => {
                assert_eq!((appended.first, appended.last, page.records.len()), (1, 20, 20));
                assert!(pages > 20, "20 records of more than a page each: {pages} pages");
                return;
            }
            Err(error) => assert!(matches!(error, AppendError::Full { .. }), "{error:?}"),
        }
        assert_eq!((status.next, page.records.len(), page.next), (1, 0, 1));
    }
    panic!("it never fits");
}

#[tokio::test]
async fn retention_holds_over_many_steps_and_the_file_stops_growing() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
    let retention = Retention { max_bytes: 1_000_000, ..Retention::default() };
    let options = LogOptions { retention, ..LogOptions::default() };
    let log = store.open(&LogName::new("a").unwrap(), options).await.unwrap();
    for round in 0..100_u64 {
        log.append(numbered(round * 1_000 + 1..=round * 1_000 + 1_000, 268)).await.unwrap();
    }
    let settled = async {
        while log.status().bytes > 1_050_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(10), settled).await;
    assert!(settled.is_ok(), "{:?}", log.status());
    let status = log.status();
    assert_eq!(status.bytes, (status.next - status.first) * 300);
    assert_eq!(status.trimmed, status.first - 1);
    let mut follower = Follower::new(std::sync::Arc::clone(&log), 1, ReadLimit::default());
    let Ok(Some(Step::Gap(gap))) = follower.next().await else { panic!("a gap comes first") };
    assert_eq!((gap.from, gap.to), (1, status.first - 1));
    store.close().await.unwrap();
    let bytes = std::fs::metadata(database(dir.path())).unwrap().len();
    assert!(bytes < 8_000_000, "{bytes} bytes for 1 MB of records, 30 MB went through");
}
