//! A process that is killed at any moment, with appends on their way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use eventlog::sqlite::{SqliteOptions, SqliteStore};
use eventlog::{Batch, NewRecord, ReadLimit, Store};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::log;
use crate::suite::NOW;

/// How many processes are killed.
const ROUNDS: u64 = 200;
/// Tasks that append at the same time in each of them.
const WRITERS: u64 = 8;
/// What each acknowledged batch looks like on the child's standard output.
const ACK: &str = "ack ";

/// What a batch says about itself, in each of its records.
fn records(round: u64, writer: u64, turn: u64) -> Batch {
    let count = 1 + (turn % 3);
    let payload = |index| format!("{round}-{writer}-{turn}-{index}").into();
    Batch::new((0..count).map(|index| NewRecord { ts: NOW, payload: payload(index) }).collect())
        .unwrap()
}

/// The child: appends until it is killed, and tells each acknowledgement.
#[test]
#[ignore = "only as the process that is killed; it reads from standard input what to do"]
fn appends_until_killed() {
    let mut order = String::new();
    stdin().read_line(&mut order).unwrap();
    let (round, dir) = order.trim_end().split_once(' ').expect("a round and a directory");
    let (round, dir): (u64, _) = (round.parse().unwrap(), Path::new(dir));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(dir, SqliteOptions::default()).await.unwrap();
        let log = log(&store, "a").await;
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let log = Arc::clone(&log);
            writers.spawn(async move {
                for turn in 0.. {
                    let appended = log.append(records(round, writer, turn)).await.unwrap();
                    let ack = format!("{ACK}{writer} {turn} {}\n", appended.first);
                    stdout().lock().write_all(ack.as_bytes()).unwrap();
                }
            });
        }
        writers.join_next().await.unwrap().unwrap();
    });
}

/// Runs a child and kills it some time after its first acknowledgement. Gives what was
/// acknowledged, by the first offset.
fn kill_a_child(round: u64, dir: &Path) -> BTreeMap<u64, (u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::kill::appends_until_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{round} {}", dir.display()).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Counted in acknowledgements, so a slow machine is killed at the same places.
    let kill_at = fastrand::u64(1..200);
    let pause = Duration::from_micros(fastrand::u64(0..2_000));
    let mut acks = BTreeMap::new();
    while let Some(Ok(line)) = lines.next() {
        // The harness writes its own words in front of the first line.
        let Some((_, ack)) = line.split_once(ACK) else { continue };
        let words: Vec<u64> = ack.split(' ').map_while(|word| word.parse().ok()).collect();
        if let [writer, turn, first] = words[..] {
            acks.insert(first, (writer, turn));
        }
        if acks.len() == 1 && round == 0 {
            let second = super::open(dir, SqliteOptions::default()).err().map(|e| e.kind());
            assert_eq!(second, Some("fenced"), "another process has it open");
        }
        if acks.len() as u64 == kill_at {
            std::thread::sleep(pause);
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acks.len() as u64 >= kill_at, "the child ended by itself after {} acks", acks.len());
    acks
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill_once_and_in_order() {
    let dir = TempDir::new().unwrap();
    let mut epoch = None;
    let (mut next, mut acked) = (1, 0);
    let mut told: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
    for round in 0..ROUNDS {
        let acks = kill_a_child(round, dir.path());
        acked += acks.len();
        told.extend(acks.into_iter().map(|(first, (writer, turn))| (first, (round, writer, turn))));
        // Now and then the next child is the one that finds what the killed one left.
        if round % 4 != 3 && round + 1 != ROUNDS {
            continue;
        }
        let store = SqliteStore::open(dir.path(), SqliteOptions::default()).await.unwrap();
        let log = log(&store, "a").await;
        assert_eq!(epoch.get_or_insert_with(|| log.epoch().clone()), log.epoch());
        assert_eq!(log.status().recovery, None);
        let mut stored = Vec::new();
        while next < log.status().next {
            let page = log.read_from(next, ReadLimit::default()).await.unwrap();
            assert_eq!(page.gap, None);
            for record in page.records {
                assert_eq!(record.offset, next);
                stored.push((record.offset, record.payload));
                next += 1;
            }
        }
        let from = stored.first().unwrap().0;
        for (first, (round, writer, turn)) in std::mem::take(&mut told) {
            for (offset, record) in (first..).zip(records(round, writer, turn).into_records()) {
                let (at, payload) = &stored[usize::try_from(offset - from).unwrap()];
                assert_eq!((*at, payload), (offset, &record.payload));
            }
        }
        let mut once: Vec<_> = stored.iter().map(|(_, payload)| payload).collect();
        once.sort();
        assert!(once.windows(2).all(|pair| pair[0] != pair[1]), "no record is there twice");
        store.close().await.unwrap();
    }
    assert!(acked as u64 >= ROUNDS, "{acked} batches were acknowledged");
}
