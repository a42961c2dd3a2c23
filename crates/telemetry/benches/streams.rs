//! A thousand open streams at a thousand events a second, over sockets of this machine.
//!
//! `cargo xtask bench telemetry`, or `cargo bench -p telemetry --bench streams`; says in JSON
//! what every reader got and how late.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use eventlog::memory::MemoryStore;
use eventlog::{LogName, LogOptions, Store, micros};
use telemetry::events::OomKill;
use telemetry::words::OomScope;
use telemetry::{Settings, Telemetry, TelemetryMetrics, metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const READERS: usize = 1_000;
const EVENTS: u64 = 10_000;
/// Events published at once, and how often: 1,000 a second.
const BURST: u64 = 10;
const EVERY: Duration = Duration::from_millis(10);

/// What one reader saw.
#[derive(Default)]
struct Seen {
    events: u64,
    gaps: u64,
    out_of_order: u64,
    /// From publishing to reading, one of a hundred events, in microseconds.
    late: Vec<i64>,
}

impl Seen {
    fn line(&mut self, line: &[u8]) {
        if line.starts_with(b"event: gap") {
            self.gaps += 1;
        }
        let Some(data) = line.strip_prefix(b"data: ") else { return };
        let text = String::from_utf8_lossy(data);
        let number = |name: &str| -> i64 {
            let at = text.find(name).map_or(0, |at| at + name.len());
            let digits: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(-1)
        };
        self.events += 1;
        self.out_of_order += u64::from(number("\"offset\":") != self.events as i64);
        if self.events.is_multiple_of(100) {
            self.late.push(micros(SystemTime::now()) - number("\"ts\":"));
        }
    }
}

async fn read(address: std::net::SocketAddr, ready: Arc<Barrier>) -> std::io::Result<Seen> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(b"GET /v1/telemetry/stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut buffer = vec![0; 64 * 1024];
    let mut held = Vec::new();
    let mut seen = Seen::default();
    // The head of the answer comes first: from then on every event is this reader's.
    let read = socket.read(&mut buffer).await?;
    held.extend_from_slice(&buffer[..read]);
    ready.wait().await;
    while seen.events < EVENTS {
        let read = socket.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        held.extend_from_slice(&buffer[..read]);
        let mut from = 0;
        while let Some(end) = held[from..].iter().position(|byte| *byte == b'\n') {
            seen.line(&held[from..from + end]);
            from += end + 1;
        }
        held.drain(..from);
    }
    Ok(seen)
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.split(' ').skip(13).take(2).filter_map(|f| f.parse().ok()).collect();
    fields.iter().sum::<f64>() / 100.0
}

async fn run() -> Result<(), Box<dyn Error>> {
    let store = MemoryStore::default();
    let log = store.open(&LogName::new("telemetry")?, LogOptions::default()).await?;
    let counted = TelemetryMetrics::register(&mut metrics::registry(), "memory");
    let (telemetry, owner) = Telemetry::start(Settings::new("n1"), log, counted);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut server = JoinSet::new();
    let router = owner.router();
    server.spawn(async move { axum::serve(listener, router).await });

    let ready = Arc::new(Barrier::new(READERS + 1));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read(address, Arc::clone(&ready)));
    }
    ready.wait().await;
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let mut tick = tokio::time::interval(EVERY);
    for burst in 0..EVENTS / BURST {
        tick.tick().await;
        for number in 0..BURST {
            let killed = burst * BURST + number;
            telemetry.publish(None, OomKill { scope: OomScope::Daemon, killed });
        }
    }
    let published = started.elapsed();
    let mut all = Seen::default();
    while let Some(seen) = readers.join_next().await {
        let seen = seen??;
        all.events += seen.events;
        all.gaps += seen.gaps;
        all.out_of_order += seen.out_of_order;
        all.late.extend(seen.late);
    }
    let done = started.elapsed();
    all.late.sort_unstable();
    let late = |percent: usize| all.late[(all.late.len() - 1) * percent / 100] as f64 / 1e3;
    println!(
        r#"{{"readers":{READERS},"events":{EVENTS},"read":{},"gaps":{},"out_of_order":{},"published_s":{:.3},"done_s":{:.3},"late_p50_ms":{},"late_p99_ms":{},"late_max_ms":{},"cpu_s":{:.2}}}"#,
        all.events,
        all.gaps,
        all.out_of_order,
        published.as_secs_f64(),
        done.as_secs_f64(),
        late(50),
        late(99),
        late(100),
        cpu_seconds() - cpu,
    );
    owner.close(Duration::from_secs(5)).await;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())
}
