//! What thousands of quiet listeners cost: memory for each, and how soon they end when told.
//!
//! The runner is a process of its own, so that what is counted here is the listeners' side alone.
//! Prints one JSON object. `cargo xtask bench sessions` runs it; by hand:
//! `cargo bench -p between-run-listener --bench listeners -- [LISTENERS] [SECONDS]`

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use between_run_listener::SessionKey;
use between_run_listener::feed::{Batch, BoxFuture, Connection, Feed, FeedError};
use between_run_listener::http::{Client, Headers, Options, Target};
use between_run_listener::listener::{Reason, Rules, Setup, Status};
use between_run_listener::registry::{Registry, Settings};
use between_run_listener::sse::Limits;
use bytestring::ByteString;
use draingate::Keeper;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How often the runner says something to each listener.
const BEAT: Duration = Duration::from_secs(15);

/// How long anything may take before the bench fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// Listeners that are ended one after another, for the time of a single one.
const SINGLES: usize = 200;

/// Listeners that run before memory is first looked at, so that what all share is there already.
const FIRST: usize = 50;

const RUNNER: &str = "__runner";

#[derive(Default)]
struct Counted {
    comments: AtomicU64,
}

impl Feed for Counted {
    fn accept<'a>(&'a self, batch: Batch) -> BoxFuture<'a, Result<(), FeedError>> {
        self.comments.fetch_add(batch.items.len() as u64, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }

    fn resume_id(&self) -> Option<ByteString> {
        None
    }

    fn cut(&self, _: Connection, _: &Reason) {}

    fn status(&self, _: &Status) {}
}

/// Answers every request with a stream that has nothing but heartbeats.
async fn runner() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let mut streams = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        streams.spawn(beat(stream));
        while streams.try_join_next().is_some() {}
    }
}

async fn beat(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 2048];
    let _ = stream.read(&mut request).await?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n";
    stream.write_all(head.as_bytes()).await?;
    // Not all in the same instant.
    tokio::time::sleep(BEAT.mul_f64(fastrand::f64())).await;
    loop {
        stream.write_all(b": beat\n\n").await?;
        tokio::time::sleep(BEAT).await;
    }
}

/// The runner's process, ended with the bench.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_runner() -> (Process, String) {
    let program = std::env::current_exe().expect("this program");
    let child = Command::new(program).arg(RUNNER).stdout(Stdio::piped()).spawn().expect("a runner");
    let mut process = Process(child);
    let said = process.0.stdout.take().expect("its output");
    let mut address = String::new();
    BufReader::new(said).read_line(&mut address).expect("its address");
    (process, address.trim().to_owned())
}

/// Resident memory of this process in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process's status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    kib.expect("a number") * 1024.0
}

struct Bench {
    registry: Registry,
    feed: Arc<Counted>,
    address: String,
}

impl Bench {
    fn setup(&self) -> Setup {
        let url = format!("http://{}/events", self.address).parse().expect("a URL");
        Setup {
            target: Target { url, headers: Headers::default() },
            rules: Rules::default(),
            limits: Limits::default(),
            feed: Arc::<Counted>::clone(&self.feed),
        }
    }

    /// Starts listeners and waits until each has heard something.
    async fn start(&self, from: usize, to: usize) {
        for at in from..to {
            self.registry.ensure(&key(at), self.setup()).await;
            if at % 64 == 63 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        self.heard(to as u64).await;
    }

    async fn heard(&self, comments: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.feed.comments.load(Ordering::Relaxed) < comments {
            assert!(Instant::now() < deadline, "not all listeners have heard something");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn key(at: usize) -> SessionKey {
    SessionKey::new("bench", &format!("s{at}")).expect("a name")
}

async fn measure(listeners: usize, hold: Duration) {
    let (_process, address) = start_runner();
    let keeper = Keeper::new();
    let registry =
        Registry::new(Client::new(Options::default()), Settings::default(), keeper.gate());
    let bench = Bench { registry, feed: Arc::default(), address };
    bench.start(0, FIRST).await;
    let before = resident();
    bench.start(FIRST, FIRST + listeners).await;
    // Long enough that each was also quiet, and woken out of it.
    tokio::time::sleep(hold).await;
    let each = (resident() - before) / listeners as f64;
    let streaming = bench
        .registry
        .snapshot()
        .iter()
        .filter(|row| row.status.state.kind() == "streaming")
        .count();
    assert_eq!(streaming, FIRST + listeners, "some listeners have lost their streams");

    let mut singles = Vec::new();
    for at in 0..SINGLES.min(listeners) {
        let begin = Instant::now();
        assert!(bench.registry.cancel(&key(at)).await);
        singles.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    singles.sort_by(f64::total_cmp);
    let left = bench.registry.len();
    let begin = Instant::now();
    let report = bench.registry.shutdown(begin + PATIENCE).await;
    let all = begin.elapsed().as_secs_f64() * 1000.0;
    assert_eq!((report.joined, report.late, bench.registry.tasks()), (left, 0, 0));

    let single = singles[singles.len() * 99 / 100];
    let line = format!(
        "{{\"listeners\":{listeners},\"bytes_each\":{each:.0},\"cancel_one_p99_ms\":{single:.3},\
         \"cancelled\":{left},\"cancel_all_ms\":{all:.1}}}"
    );
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    if arguments.first().is_some_and(|first| first == RUNNER) {
        runtime.block_on(runner());
        return;
    }
    let number = |at: usize, default: u64| {
        arguments.get(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let listeners = usize::try_from(number(0, 5000)).expect("a number");
    runtime.block_on(measure(listeners, Duration::from_secs(number(1, 20))));
}
