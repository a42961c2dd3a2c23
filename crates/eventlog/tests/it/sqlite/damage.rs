//! Lost power, changed bytes, files that are no database.

use std::fs;
use std::path::Path;

use eventlog::sqlite::{CRASH_JUMP, SqliteOptions, SqliteStore};
use eventlog::{
    Durability, Epoch, Gap, GapCause, LogName, LogOptions, ReadError, ReadLimit, Recovery, Store,
};
use tempfile::TempDir;

use super::{content, database, log, numbered, tamper};

const POWER_LOST: &str = "UPDATE meta SET boot = 'another boot'";

async fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, SqliteOptions::default()).await.unwrap()
}

/// A closed store whose log `a` has records, numbered as they are stored.
async fn filled(dir: &Path, records: u64, bytes: usize) -> Epoch {
    let store = open(dir).await;
    let log = log(&store, "a").await;
    for first in (1..=records).step_by(100) {
        log.append(numbered(first..=records.min(first + 99), bytes)).await.unwrap();
    }
    store.close().await.unwrap();
    log.epoch().clone()
}

#[tokio::test]
async fn after_lost_power_numbers_jump_and_the_gap_is_told() {
    let dir = TempDir::new().unwrap();
    let epoch = filled(dir.path(), 3, 10).await;
    tamper(dir.path(), POWER_LOST);
    let store = open(dir.path()).await;
    let log = log(&store, "a").await;
    let (from, to) = (4, 3 + CRASH_JUMP);
    assert_eq!(log.status().recovery, Some(Recovery::Jumped { from, to }));
    assert_eq!((log.epoch(), log.status().next), (&epoch, to + 1));
    assert_eq!(log.append(numbered(9..=9, 1)).await.unwrap().first, to + 1);
    let page = log.read_from(1, ReadLimit::default()).await.unwrap();
    assert_eq!((page.gap, page.records.len(), page.next), (None, 3, 4));
    let page = log.read_from(4, ReadLimit::default()).await.unwrap();
    assert_eq!(page.gap, Some(Gap { from, to, cause: GapCause::Crash }));
    assert_eq!((page.records[0].offset, page.next), (to + 1, to + 2));
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    let status = self::log(&store, "a").await.status();
    assert_eq!((status.recovery, status.next), (None, to + 2));
}

#[tokio::test]
async fn a_log_that_outlives_lost_power_does_not_jump_and_an_empty_one_tells_why() {
    let dir = TempDir::new().unwrap();
    let power = LogOptions { durability: Durability::Power, ..LogOptions::default() };
    let name = LogName::new("p").unwrap();
    let store = open(dir.path()).await;
    log(&store, "a").await;
    store.open(&name, power).await.unwrap().append(numbered(1..=2, 10)).await.unwrap();
    store.close().await.unwrap();
    tamper(dir.path(), POWER_LOST);
    let store = open(dir.path()).await;
    let log = log(&store, "a").await;
    assert_eq!((log.status().first, log.status().next), (CRASH_JUMP + 1, CRASH_JUMP + 1));
    let page = log.read_from(1, ReadLimit::default()).await.unwrap();
    assert_eq!(page.gap, Some(Gap { from: 1, to: CRASH_JUMP, cause: GapCause::Crash }));
    let status = store.open(&name, power).await.unwrap().status();
    assert_eq!((status.recovery, status.next), (None, 3));
}

#[tokio::test]
async fn a_record_whose_bytes_changed_is_a_gap_and_reading_goes_on() {
    let dir = TempDir::new().unwrap();
    filled(dir.path(), 9, 10).await;
    tamper(dir.path(), "UPDATE record SET payload = x'00' WHERE offset IN (4, 5)");
    tamper(dir.path(), "UPDATE record SET ts = ts + 1 WHERE offset = 9");
    let store = open(dir.path()).await;
    let log = log(&store, "a").await;
    let read = async |from| log.read_from(from, ReadLimit::default()).await.unwrap();
    let corrupt = |from, to| Some(Gap { from, to, cause: GapCause::Corrupt });
    let page = read(1).await;
    assert_eq!((page.gap, page.records.len(), page.next), (None, 3, 4));
    let page = read(4).await;
    assert_eq!((page.gap, page.records.len(), page.next), (corrupt(4, 5), 3, 9));
    let page = read(9).await;
    assert_eq!((page.gap, page.records.len(), page.next), (corrupt(9, 9), 0, 10));
    read(4).await;
    assert_eq!(log.status().corrupt, 3, "counted once each");
    assert_eq!(log.append(numbered(10..=10, 1)).await.unwrap().first, 10);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_set_aside() {
    let dir = TempDir::new().unwrap();
    let epoch = filled(dir.path(), 500, 100).await;
    let garbage = vec![b'#'; 50_000];
    fs::write(database(dir.path()), &garbage).unwrap();
    let store = open(dir.path()).await;
    let log = log(&store, "a").await;
    assert_ne!(*log.epoch(), epoch);
    let lost = Recovery::Replaced { lost_from: None, lost_to: None };
    assert_eq!((log.status().recovery, log.status().next), (Some(lost), 1));
    let aside = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> =
        aside.filter(|path| path.to_string_lossy().contains(".db.damaged-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(fs::read(&aside[0]).unwrap(), garbage);
    assert_eq!(log.append(numbered(1..=1, 1)).await.unwrap().first, 1);
}

/// Reads all of log `a`; every record that comes has to be the one that was stored.
async fn read_all(store: &SqliteStore, bytes: usize) -> Result<(), ReadError> {
    let log = log(store, "a").await;
    let mut next = 1;
    while next < log.status().next {
        let page = log.read_from(next, ReadLimit::default()).await?;
        for record in &page.records {
            assert_eq!(record.payload, content(record.offset, bytes), "{}", record.offset);
        }
        assert!(page.next > next, "{page:?}");
        next = page.next;
    }
    Ok(())
}

#[tokio::test]
async fn flipped_bytes_anywhere_in_the_file_are_never_given_out() {
    const RECORDS: u64 = 500;
    const BYTES: usize = 200;
    let dir = TempDir::new().unwrap();
    filled(dir.path(), RECORDS, BYTES).await;
    let whole = fs::read(database(dir.path())).unwrap();
    let (mut met, mut replaced) = (0, 0);
    for page in (0..whole.len()).step_by(8_192) {
        for place in [0, 3, 101, 4_000, 8_000] {
            let dir = TempDir::new().unwrap();
            let mut bytes = whole.clone();
            bytes[page + place] ^= 0x55;
            fs::write(database(dir.path()), &bytes).unwrap();
            let store = match SqliteStore::open(dir.path(), SqliteOptions::default()).await {
                Ok(store) => store,
                Err(error) => {
                    assert!(page == 0, "only the header can say `newer` or `busy`: {error}");
                    continue;
                }
            };
            if let Err(error) = read_all(&store, BYTES).await {
                assert_eq!(error.kind(), "corrupt", "{error}");
                met += 1;
                store.close().await.unwrap();
                // The next open looks at the whole file, and takes another if it is bad.
                let store = open(dir.path()).await;
                read_all(&store, BYTES).await.unwrap();
                let status = log(&store, "a").await.status();
                replaced += u64::from(matches!(status.recovery, Some(Recovery::Replaced { .. })));
                assert!(log(&store, "a").await.append(numbered(1..=1, 1)).await.is_ok());
            }
        }
    }
    assert!(met > 0 && replaced > 0, "damage was met {met} times, {replaced} times replaced");
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_never_made_up() {
    const BYTES: usize = 200;
    let dir = TempDir::new().unwrap();
    filled(dir.path(), 500, BYTES).await;
    let whole = fs::read(database(dir.path())).unwrap();
    for cut in (1_000..whole.len()).step_by(6_000) {
        let dir = TempDir::new().unwrap();
        fs::write(database(dir.path()), &whole[..cut]).unwrap();
        let store = open(dir.path()).await;
        if let Err(error) = read_all(&store, BYTES).await {
            assert_eq!(error.kind(), "corrupt", "{error}");
        }
    }
}

#[tokio::test]
async fn what_stands_before_the_damage_is_taken_over_and_the_rest_is_told() {
    const BYTES: usize = 1_000;
    let dir = TempDir::new().unwrap();
    let epoch = filled(dir.path(), 500, BYTES).await;
    let store = open(dir.path()).await;
    log(&store, "b").await.append(numbered(1..=3, 10)).await.unwrap();
    store.close().await.unwrap();
    // One page of the records in the middle of the file is no page any more.
    let mut bytes = fs::read(database(dir.path())).unwrap();
    let middle = bytes.len() / 2 / 8_192 * 8_192;
    bytes[middle..middle + 8_192].fill(b'#');
    fs::write(database(dir.path()), &bytes).unwrap();

    let store = open(dir.path()).await;
    assert_eq!(read_all(&store, BYTES).await.err().map(|error| error.kind()), Some("corrupt"));
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    read_all(&store, BYTES).await.unwrap();
    let status = log(&store, "a").await.status();
    let Some(Recovery::Replaced { lost_from: Some(from), lost_to: Some(500) }) = status.recovery
    else {
        panic!("{status:?}");
    };
    assert!((150..350).contains(&from), "the damage is about in the middle: {from}");
    assert_eq!((status.first, status.next), (1, from));
    let a = log(&store, "a").await;
    assert_ne!(*a.epoch(), epoch);
    assert_eq!(a.append(numbered(from..=from, BYTES)).await.unwrap().first, from);
    let whole = log(&store, "b").await.status();
    let nothing = Recovery::Replaced { lost_from: None, lost_to: None };
    assert_eq!((whole.recovery, whole.first, whole.next), (Some(nothing), 1, 4));

    store.close().await.unwrap();
    let store = open(dir.path()).await;
    read_all(&store, BYTES).await.unwrap();
    let status = log(&store, "a").await.status();
    assert_eq!((status.recovery, status.next), (None, from + 1), "it is told once");
}

#[tokio::test]
async fn a_crash_right_before_the_copy_takes_its_place_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let epoch = filled(dir.path(), 20, 10).await;
    let database = database(dir.path());
    let saved = database.with_file_name("eventlog.db.saved");
    fs::rename(&database, &saved).unwrap();
    let store = open(dir.path()).await;
    read_all(&store, 10).await.unwrap();
    let log = log(&store, "a").await;
    assert_eq!((log.epoch(), log.status().next), (&epoch, 21));
    assert!(!saved.exists());
}
