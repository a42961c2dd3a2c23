//! Appends from 64 writers, the lag of a follower, and reading back, in an SQLite store and in a
//! JetStream server if one is installed; beside a plain file of lines that is synced, in the same
//! run. Each figure is a JSON object on a line.
//!
//! `cargo xtask bench eventlog`, or `cargo bench -p eventlog --bench append [-- quick]`. `TMPDIR`
//! chooses the disk.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use eventlog::jetstream::{JetStreamOptions, JetStreamStore};
use eventlog::sqlite::{FILE_NAME, SqliteOptions, SqliteStore};
use eventlog::{
    Batch, Durability, Follower, Log, LogName, LogOptions, NewRecord, ReadLimit, Step, Store,
    micros,
};
use tokio::task::JoinSet;

mod crowd;

const WRITERS: usize = 64;
const EVENT_BYTES: usize = 300;
/// Records that are read back.
const READ_BACK: u64 = 1_000_000;
/// Most offsets whose times are noted.
const NOTED: usize = 4_000_000;

/// How long each part takes.
#[derive(Clone, Copy)]
struct Length {
    load: Duration,
    short: Duration,
    read_back: u64,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    let seconds = Duration::from_secs_f64;
    let length = match quick {
        false => Length { load: seconds(8.0), short: seconds(3.0), read_back: READ_BACK },
        true => Length { load: seconds(0.5), short: seconds(0.3), read_back: 50_000 },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = runtime.block_on(SqliteStore::open(dir.path(), SqliteOptions::default())).unwrap();
    // What is synced comes first: behind the other loads the disk is still busy with their pages.
    jsonl(dir.path(), 1, length.short);
    jsonl(dir.path(), WRITERS, length.short);
    runtime.block_on(async {
        let power = open(&store, "power", Durability::Power).await;
        load(&power, 1, length.short).await.print("sqlite, level power");
        process(&store, "sqlite, level process", length).await;
        let wal = dir.path().join(format!("{FILE_NAME}-wal")).metadata().unwrap().len();
        row("sqlite, level process", "write-ahead log", "MiB", wal as f64 / f64::from(1 << 20));
        store.close().await.unwrap();
        match Server::start(dir.path()) {
            Some(server) => {
                let prefix = LogName::new("bench").unwrap();
                let options =
                    JetStreamOptions::new(format!("nats://127.0.0.1:{}", server.1), prefix);
                let store = JetStreamStore::connect(options).await.unwrap();
                process(&store, "jetstream", length).await;
                store.close().await.unwrap();
            }
            None => eprintln!("jetstream is left out: there is no nats-server (cargo xtask setup)"),
        }
    });
}

/// A server of its own and its port; dropping it kills it.
struct Server(std::process::Child, u16);

impl Server {
    fn start(dir: &Path) -> Option<Self> {
        let named = ["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"];
        let program = named.into_iter().find(|path| Path::new(path).is_file())?;
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = std::process::Command::new(program);
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--store_dir").arg(dir.join("jetstream"));
        let null = std::process::Stdio::null;
        let server = command.stdout(null()).stderr(null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "the server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self(server, port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn open(store: &dyn Store, name: &str, durability: Durability) -> Arc<dyn Log> {
    let options = LogOptions { durability, ..LogOptions::default() };
    store.open(&LogName::new(name).unwrap(), options).await.unwrap()
}

async fn process(store: &dyn Store, what: &str, length: Length) {
    let open = async |name| open(store, name, Durability::Process).await;
    let alone = open("alone").await;
    load(&alone, 1, length.load).await.print(what);
    read_back(&alone, what, length.read_back).await;
    let followed = open("followed").await;
    let times = Times::start(&followed);
    let case = format!("{what}, one follower");
    load_noting(&followed, 1, length.short, Some(&times)).await.print(&case);
    times.stop(&followed).await.print(&case, "lag of the follower");
    let paced = open("paced").await;
    let times = Times::start(&paced);
    pace(&paced, &times, length.short).await;
    times.stop(&paced).await.print(&format!("{what}, 1,000 events/s"), "lag of the follower");
    crowd::measure(&open("crowd").await, what, length.short).await;
    let batches = open("batches").await;
    load(&batches, 16, length.short).await.print(&format!("{what}, batches of 16"));
}

/// One figure. The texts are ours and need no escapes.
fn row(case: &str, metric: &str, unit: &str, value: f64) {
    println!(r#"{{"case":"{case}","metric":"{metric}","unit":"{unit}","value":{value}}}"#);
}

/// What a load did.
struct Load {
    events: u64,
    took: Duration,
    latencies: Latencies,
}

impl Load {
    fn print(self, case: &str) {
        row(case, "acknowledged", "events/s", self.events as f64 / self.took.as_secs_f64());
        self.latencies.print(case, "append");
    }
}

struct Latencies(Vec<u64>);

impl Latencies {
    fn print(mut self, case: &str, what: &str) {
        self.0.sort_unstable();
        for (name, part) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            let index = (self.0.len() as f64 * part) as usize;
            let at = self.0[index.min(self.0.len() - 1)];
            row(case, &format!("{what}, {name}"), "ms", at as f64 / 1e6);
        }
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

/// Appends one event each millisecond.
async fn pace(log: &Arc<dyn Log>, times: &Times, lasting: Duration) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let started = Instant::now();
    while started.elapsed() < lasting {
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

/// Fills a log up to so many records, and reads them all.
async fn read_back(log: &Arc<dyn Log>, case: &str, records: u64) {
    while log.status().next <= records {
        let events = (0..1_024).map(|_| event()).collect();
        log.append(Batch::new(events).unwrap()).await.unwrap();
    }
    for (metric, limit) in [
        ("read back by 256 KiB", ReadLimit::default()),
        ("read back by 4 MiB", ReadLimit { records: 16_384, bytes: 4 << 20 }),
    ] {
        let started = Instant::now();
        let (mut next, mut read) = (1, 0);
        while next < log.status().next {
            let page = log.read_from(next, limit).await.unwrap();
            read += page.records.len();
            next = page.next;
        }
        row(case, metric, "events/s", read as f64 / started.elapsed().as_secs_f64());
    }
}

/// Lines into a file, synced after every so many.
fn jsonl(dir: &Path, lines: usize, lasting: Duration) {
    let mut file = File::create(dir.join(format!("{lines}.jsonl"))).unwrap();
    let mut block = vec![b'x'; EVENT_BYTES * lines];
    block.chunks_mut(EVENT_BYTES).for_each(|line| line[EVENT_BYTES - 1] = b'\n');
    let started = Instant::now();
    let mut latencies = Vec::new();
    while started.elapsed() < lasting {
        let asked = Instant::now();
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
        latencies.push(u64::try_from(asked.elapsed().as_nanos()).unwrap());
    }
    let events = (latencies.len() * lines) as u64;
    let load = Load { events, took: started.elapsed(), latencies: Latencies(latencies) };
    load.print(&format!("plain file, synced each {lines} lines"));
}
