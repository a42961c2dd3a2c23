//! The facts, on logs in SQLite, and what only a database has to stand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eventlog::sqlite::{FILE_NAME, SqliteOptions, SqliteStore};
use eventlog::{Batch, BoxFuture, Log, LogName, NewRecord, OpenError, ReadLimit, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::facts::facts;
use crate::suite::{Backend, NOW, options};

mod damage;
mod kill;
mod limits;

struct Sqlite(TempDir);

impl Sqlite {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }
}

impl Backend for Sqlite {
    fn start(&mut self) -> BoxFuture<'_, Arc<dyn Store>> {
        let opening = SqliteStore::open(self.0.path(), SqliteOptions::default());
        Box::pin(async { Arc::new(opening.await.unwrap()) as Arc<dyn Store> })
    }

    fn survives(&self) -> bool {
        true
    }
}

facts!(Sqlite::new());

/// Opens a store from outside of any runtime, so that tests of any kind can.
fn open(dir: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
    let opening = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(SqliteStore::open(dir, options))
    };
    std::thread::scope(|scope| scope.spawn(opening).join().unwrap())
}

async fn log(store: &SqliteStore, name: &str) -> Arc<dyn Log> {
    store.open(&LogName::new(name).unwrap(), options()).await.unwrap()
}

/// A batch of records that say which they are.
fn numbered(numbers: std::ops::RangeInclusive<u64>, bytes: usize) -> Batch {
    let record = |number: u64| NewRecord { ts: NOW, payload: content(number, bytes).into() };
    Batch::new(numbers.map(record).collect()).unwrap()
}

fn content(number: u64, bytes: usize) -> Vec<u8> {
    let mut content = number.to_string().into_bytes();
    content.resize(bytes.max(content.len()), b'.');
    content
}

fn database(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}

/// Changes the database of a store that is closed.
fn tamper(dir: &Path, sql: &str) {
    Connection::open(database(dir)).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_second_store_on_the_same_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
    let second = SqliteStore::open(dir.path(), SqliteOptions::default()).await;
    let error = second.err().unwrap();
    assert_eq!(error.kind(), "fenced");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    store.close().await.unwrap();
    SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
    log(&store, "a").await.append(numbered(1..=3, 10)).await.unwrap();
    store.close().await.unwrap();
    tamper(dir.path(), "PRAGMA user_version = 2");
    let refused = SqliteStore::open(dir.path(), SqliteOptions::default()).await.err();
    assert_eq!(refused, Some(OpenError::NewerFormat { found: 2, known: 1 }));
    tamper(dir.path(), "PRAGMA user_version = 1");
    let store = SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
    assert_eq!(log(&store, "a").await.status().next, 4);
}

#[tokio::test]
async fn appends_that_wait_when_the_store_closes_are_stored_or_refused() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
    let log = log(&store, "a").await;
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..500 {
        let log = Arc::clone(&log);
        appends.spawn(async move { log.append(numbered(number..=number, 2_000)).await });
    }
    tokio::task::yield_now().await;
    store.close().await.unwrap();
    let outcomes = appends.join_all().await;
    let stored = outcomes.iter().flatten().count() as u64;
    assert!(outcomes.iter().flat_map(|o| o.as_ref().err()).all(|e| e.kind() == "closed"));
    drop((log, store));
    let store = SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
    assert_eq!(self::log(&store, "a").await.status().next, stored + 1);
}

#[tokio::test]
async fn a_store_that_was_only_dropped_keeps_what_it_acknowledged() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
    log(&store, "a").await.append(numbered(1..=3, 10)).await.unwrap();
    drop(store);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let store = loop {
        match SqliteStore::open(dir.path(), SqliteOptions::default()).await {
            Ok(store) => break store,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    };
    let page = log(&store, "a").await.read_from(1, ReadLimit::default()).await.unwrap();
    assert_eq!(page.records.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_at_any_moment_sees_every_event_from_there_on_once() {
    let mut place = Sqlite::new();
    crate::crowd::joiners_miss_nothing(place.start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_followers_hear_of_every_append() {
    let mut place = Sqlite::new();
    crate::crowd::a_crowd_hears_of_every_append(place.start().await).await;
}
