//! Appends from 64 writers, the lag of a follower, and reading back, in an SQLite store; beside a
//! plain file of lines that is synced, in the same run.
//!
//! `cargo bench -p eventlog --bench append`. `TMPDIR` chooses the disk.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use eventlog::sqlite::{FILE_NAME, SqliteOptions, SqliteStore};
use eventlog::{
    Batch, Durability, Follower, Log, LogName, LogOptions, NewRecord, ReadLimit, Step, Store,
    micros,
};
use tokio::task::JoinSet;

const WRITERS: usize = 64;
const EVENT_BYTES: usize = 300;
const LOAD: Duration = Duration::from_secs(8);
const SHORT: Duration = Duration::from_secs(3);
/// Most offsets whose times are noted.
const NOTED: usize = 4_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    println!("| what | result |\n| --- | --- |");
    let store = runtime.block_on(SqliteStore::open(dir.path(), SqliteOptions::default())).unwrap();
    // What is synced comes first: behind the other loads the disk is still busy with their pages.
    jsonl(dir.path(), 1);
    jsonl(dir.path(), WRITERS);
    runtime.block_on(async {
        let power = open(&store, "power", Durability::Power).await;
        load(&power, 1, SHORT).await.print("power");
        process(&store, dir.path()).await;
        store.close().await.unwrap();
    });
}

async fn open(store: &SqliteStore, name: &str, durability: Durability) -> Arc<dyn Log> {
    let options = LogOptions { durability, ..LogOptions::default() };
    store.open(&LogName::new(name).unwrap(), options).await.unwrap()
}

async fn process(store: &SqliteStore, dir: &Path) {
    let open = async |name| open(store, name, Durability::Process).await;
    let alone = open("alone").await;
    load(&alone, 1, LOAD).await.print("process, no follower");
    let wal = dir.join(format!("{FILE_NAME}-wal")).metadata().unwrap().len();
    row("write-ahead log after that", format!("{:.1} MiB", wal as f64 / f64::from(1 << 20)));
    read_back(&alone).await;
    let followed = open("followed").await;
    let times = Times::start(&followed);
    load_noting(&followed, 1, SHORT, Some(&times)).await.print("process, one follower");
    times.stop(&followed).await.print("lag of the follower under that load");
    let paced = open("paced").await;
    let times = Times::start(&paced);
    pace(&paced, &times).await;
    times.stop(&paced).await.print("lag of the follower at 1,000 events/s");
    let batches = open("batches").await;
    load(&batches, 16, SHORT).await.print("process, batches of 16");
}

fn row(what: &str, result: impl std::fmt::Display) {
    println!("| {what} | {result} |");
}

/// What a load did.
struct Load {
    events: u64,
    took: Duration,
    latencies: Latencies,
}

impl Load {
    fn print(self, what: &str) {
        let rate = self.events as f64 / self.took.as_secs_f64();
        row(&format!("{what}: acknowledged"), format!("{rate:.0} events/s"));
        self.latencies.print(&format!("{what}: append latency"));
    }
}

struct Latencies(Vec<u64>);

impl Latencies {
    fn print(mut self, what: &str) {
        self.0.sort_unstable();
        let at = |part: f64| {
            let index = (self.0.len() as f64 * part) as usize;
            self.0[index.min(self.0.len() - 1)] as f64 / 1e6
        };
        row(what, format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", at(0.5), at(0.99), at(1.0)));
    }
}

fn event() -> NewRecord {
    NewRecord { ts: micros(SystemTime::now()), payload: vec![b'x'; EVENT_BYTES].into() }
}

async fn load(log: &Arc<dyn Log>, batch: usize, lasting: Duration) -> Load {
    load_noting(log, batch, lasting, None).await
}

/// Each writer appends, waits for the acknowledgement, and appends again.
async fn load_noting(
    log: &Arc<dyn Log>,
    batch: usize,
    lasting: Duration,
    times: Option<&Arc<Times>>,
) -> Load {
    let started = Instant::now();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (log, times) = (Arc::clone(log), times.cloned());
        writers.spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < lasting {
                let events = Batch::new((0..batch).map(|_| event()).collect()).unwrap();
                let asked = Instant::now();
                let appended = log.append(events).await.unwrap();
                latencies.push(u64::try_from(asked.elapsed().as_nanos()).unwrap());
                if let Some(times) = &times {
                    times.note(&times.acked, appended.last);
                }
            }
            latencies
        });
    }
    let latencies = writers.join_all().await.concat();
    let events = (latencies.len() * batch) as u64;
    Load { events, took: started.elapsed(), latencies: Latencies(latencies) }
}

/// Appends one event each millisecond, for [`SHORT`].
async fn pace(log: &Arc<dyn Log>, times: &Times) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let started = Instant::now();
    while started.elapsed() < SHORT {
        ticks.tick().await;
        let appended = log.append(Batch::new(vec![event()]).unwrap()).await.unwrap();
        times.note(&times.acked, appended.last);
    }
}

/// When each offset was acknowledged, and when a follower saw it.
struct Times {
    started: Instant,
    acked: Vec<AtomicU64>,
    seen: Vec<AtomicU64>,
    follower: std::sync::Mutex<JoinSet<()>>,
}

impl Times {
    fn start(log: &Arc<dyn Log>) -> Arc<Self> {
        let empty = || (0..NOTED).map(|_| AtomicU64::new(0)).collect();
        let times = Arc::new(Self {
            started: Instant::now(),
            acked: empty(),
            seen: empty(),
            follower: std::sync::Mutex::default(),
        });
        let (log, noting) = (Arc::clone(log), Arc::downgrade(&times));
        times.follower.lock().unwrap().spawn(async move {
            let mut follower = Follower::new(log, 1, ReadLimit::default());
            while let Some(step) = follower.next().await.unwrap() {
                let (Step::Records(records), Some(times)) = (step, noting.upgrade()) else {
                    panic!("a gap, or nobody who looks")
                };
                records.iter().for_each(|record| times.note(&times.seen, record.offset));
            }
        });
        times
    }

    fn note(&self, times: &[AtomicU64], offset: u64) {
        if let Some(time) = times.get(usize::try_from(offset).unwrap()) {
            let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap();
            time.store(now, Ordering::Relaxed);
        }
    }

    /// From the acknowledgement, which is given right after the commit, to the follower.
    async fn stop(&self, log: &Arc<dyn Log>) -> Latencies {
        log.close().await.unwrap();
        let mut follower = std::mem::take(&mut *self.follower.lock().unwrap());
        follower.join_next().await.unwrap().unwrap();
        let read = |time: &AtomicU64| time.load(Ordering::Relaxed);
        let both = self.acked.iter().zip(&self.seen).map(|(a, b)| (read(a), read(b)));
        let lags = both.filter(|&(acked, _)| acked > 0).map(|(acked, seen)| {
            assert!(seen > 0, "what was acknowledged was seen");
            seen.saturating_sub(acked)
        });
        Latencies(lags.collect())
    }
}

async fn read_back(log: &Arc<dyn Log>) {
    for (what, limit) in [
        ("pages of 256 KiB", ReadLimit::default()),
        ("pages of 4 MiB", ReadLimit { records: 16_384, bytes: 4 << 20 }),
    ] {
        let started = Instant::now();
        let (mut next, mut read) = (1, 0);
        while next < log.status().next {
            let page = log.read_from(next, limit).await.unwrap();
            read += page.records.len();
            next = page.next;
        }
        let rate = read as f64 / started.elapsed().as_secs_f64();
        row(&format!("read back {read} events, {what}"), format!("{rate:.0} events/s"));
    }
}

/// Lines into a file, synced after every so many.
fn jsonl(dir: &Path, lines: usize) {
    let mut file = File::create(dir.join(format!("{lines}.jsonl"))).unwrap();
    let mut block = vec![b'x'; EVENT_BYTES * lines];
    block.chunks_mut(EVENT_BYTES).for_each(|line| line[EVENT_BYTES - 1] = b'\n');
    let started = Instant::now();
    let mut latencies = Vec::new();
    while started.elapsed() < SHORT {
        let asked = Instant::now();
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
        latencies.push(u64::try_from(asked.elapsed().as_nanos()).unwrap());
    }
    let events = (latencies.len() * lines) as u64;
    let load = Load { events, took: started.elapsed(), latencies: Latencies(latencies) };
    load.print(&format!("plain file, synced each {lines} lines"));
}
