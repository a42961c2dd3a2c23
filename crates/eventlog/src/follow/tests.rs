use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::{AppendError, Appended, Batch, BoxFuture, Epoch, Health, LogName, Status, StoreError};

/// A log that answers what a test tells it to.
struct Scripted {
    name: LogName,
    epoch: Epoch,
    head: watch::Sender<Head>,
    pages: Mutex<Vec<Result<Page, ReadError>>>,
}

impl Log for Scripted {
    fn name(&self) -> &LogName {
        &self.name
    }
    fn epoch(&self) -> &Epoch {
        &self.epoch
    }
    fn max_batch(&self) -> usize {
        0
    }
    fn append(&self, _: Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async { Err(AppendError::Closed) })
    }
    fn read_from(&self, from: u64, _: ReadLimit) -> BoxFuture<'_, Result<Page, ReadError>> {
        let mut pages = self.pages.lock().unwrap();
        let page = if pages.is_empty() { Ok(page(None, &[], from)) } else { pages.remove(0) };
        Box::pin(async { page })
    }
    fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }
    fn trim(&self, before: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { Ok(before) })
    }
    fn status(&self) -> Status {
        Status {
            first: 1,
            next: 1,
            bytes: 0,
            trimmed: 0,
            corrupt: 0,
            health: Health::Good,
            recovery: None,
        }
    }
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

fn page(gap: Option<Gap>, offsets: &[u64], next: u64) -> Page {
    let record = |offset: &u64| Record { offset: *offset, ts: 0, payload: Bytes::new() };
    Page { gap, records: offsets.iter().map(record).collect(), next, head: 100 }
}

async fn steps(pages: Vec<Result<Page, ReadError>>) -> Vec<Result<Vec<u64>, Gap>> {
    let log = Scripted {
        name: LogName::new("a").unwrap(),
        epoch: Epoch::random(),
        head: watch::Sender::new(Head { next: 100, closed: true }),
        pages: Mutex::new(pages),
    };
    let mut follower = Follower::new(Arc::new(log), 1, ReadLimit::default());
    let mut steps = Vec::new();
    loop {
        match follower.next().await {
            Ok(None) => return steps,
            Ok(Some(Step::Gap(gap))) => steps.push(Err(gap)),
            Ok(Some(Step::Records(records))) => {
                steps.push(Ok(records.iter().map(|record| record.offset).collect()));
            }
            Err(error) => assert_eq!(error.kind(), "unavailable"),
        }
    }
}

#[tokio::test]
async fn a_gap_comes_before_the_records_behind_it() {
    let gap = Gap { from: 3, to: 7, cause: GapCause::Retention };
    let met = steps(vec![Ok(page(None, &[1, 2], 3)), Ok(page(Some(gap), &[8, 9], 10))]).await;
    assert_eq!(met, [Ok(vec![1, 2]), Err(gap), Ok(vec![8, 9])]);
}

#[tokio::test]
async fn a_hole_that_the_log_does_not_admit_becomes_a_gap() {
    let met = steps(vec![Ok(page(None, &[1], 2)), Ok(page(None, &[4], 5))]).await;
    let hole = Gap { from: 2, to: 3, cause: GapCause::Corrupt };
    assert_eq!(met, [Ok(vec![1]), Err(hole), Ok(vec![4])]);
}

#[tokio::test]
async fn a_record_that_was_seen_is_not_given_twice() {
    let met = steps(vec![Ok(page(None, &[1, 2], 3)), Ok(page(None, &[2, 3], 4))]).await;
    assert_eq!(met, [Ok(vec![1, 2]), Ok(vec![3])]);
}

#[tokio::test]
async fn after_an_error_it_goes_on_where_it_was() {
    let down = ReadError::Unavailable { cause: "no answer".into() };
    let met = steps(vec![Ok(page(None, &[1], 2)), Err(down), Ok(page(None, &[2], 3))]).await;
    assert_eq!(met, [Ok(vec![1]), Ok(vec![2])]);
}
