//! Sessions over in-memory streams in paused time: exact bounds, and every order of events.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use draingate::Keeper;
use eventlog::memory::MemoryStore;
use eventlog::{Log, LogName, LogOptions, ReadLimit, Store};
use futures_util::FutureExt;
use telemetry::metrics::registry;
use telemetry::words::{Addressing, EndpointKind};
use telemetry::{Settings, Telemetry, TelemetryMetrics, TelemetryOwner};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant as Clock;
use upstream::{Answer, Cause, Fact, Probe, Publisher, WsUrl};

use super::*;
use crate::directory::{
    Authorize, BoxFuture, Denied, Directory, LookupError, QuickOptions, QuickRefused,
};
use crate::edge::Edge;
use crate::settings::EdgeSettings;

const KILLED: Cause = Cause::Signalled { signal: 9 };

struct Nobody;

impl Directory for Nobody {
    fn lookup(&self, _: &str) -> Result<Target, LookupError> {
        Err(LookupError::Unknown)
    }

    fn create_quick(
        &self,
        _: QuickOptions,
        _: tokio_util::sync::CancellationToken,
    ) -> BoxFuture<'_, Result<Target, QuickRefused>> {
        Box::pin(async { Err(QuickRefused::Draining) })
    }

    fn delete_quick(&self, _: Arc<str>, _: Arc<str>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Authorize for Nobody {
    fn authorize(&self, _: &http::request::Parts, _: Option<SocketAddr>) -> Result<(), Denied> {
        Ok(())
    }
}

/// A browser that answers who it is as long as the test says so, and takes its time.
struct Asked(watch::Receiver<Option<&'static str>>);

impl Probe for Asked {
    fn ask<'a>(&'a self, _: &'a str, _: u16) -> upstream::BoxFuture<'a, Answer> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            match *self.0.borrow() {
                Some(guid) => Answer::Alive { guid: guid.to_owned() },
                None => Answer::NoAnswer,
            }
        })
    }
}

fn url(generation: u64) -> WsUrl {
    WsUrl::from_parts("127.0.0.1", 9000, &format!("guid-{generation}")).unwrap()
}

/// The client's side, with a fault that can be switched on.
struct Faulty {
    stream: DuplexStream,
    panics: Arc<AtomicBool>,
}

impl wsproxy::Endpoint for Faulty {}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "injected");
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An edge with the log of its events.
struct Stage {
    edge: Edge,
    log: Arc<dyn Log>,
    telemetry: TelemetryOwner,
    sessions: std::cell::Cell<u32>,
}

impl Stage {
    fn new() -> Self {
        let name = LogName::new("events").unwrap();
        let log = MemoryStore::default()
            .open(&name, LogOptions::default())
            .now_or_never()
            .expect("memory does not wait")
            .unwrap();
        let metrics = TelemetryMetrics::register(&mut registry(), "memory");
        let (telemetry, owner) = Telemetry::start(Settings::new("node"), Arc::clone(&log), metrics);
        let nobody = Arc::new(Nobody);
        let mut settings = EdgeSettings::default();
        // Small messages only, and thousands of sessions.
        settings.relay.buffer = 32 << 10;
        let edge = Edge::new(Arc::clone(&nobody) as _, nobody, telemetry, settings);
        Self { edge, log, telemetry: owner, sessions: std::cell::Cell::new(0) }
    }

    /// A session that has just got its 101.
    fn session(&self, restart_expected: bool) -> Bench {
        let number = self.sessions.get();
        self.sessions.set(number + 1);
        let connection_id: Arc<str> = format!("c{number}").into();
        let (answers, asked) = watch::channel(Some("guid-1"));
        let publisher = Publisher::with_probe(restart_expected, Arc::new(Asked(asked)));
        publisher.apply(Fact::Ready { url: url(1) });
        let keeper = Keeper::new();
        let (stop, stop_rx) = watch::channel(None);
        let target = Target {
            id: "one".into(),
            lifecycle_id: "lc".into(),
            upstream: publisher.upstream(),
            gate: keeper.gate(),
            stop: stop_rx.clone(),
        };
        let mut changes = target.upstream.changes();
        changes.current();
        let session = Session {
            edge: Arc::clone(self.edge.inner()),
            connection_id: Arc::clone(&connection_id),
            generation: 1,
            endpoint: Endpoint::Browser,
            target,
            changes,
            stops: Stops::new(stop_rx, self.edge.inner().stop.subscribe()),
        };
        let record = session.open(CdpConnect {
            connection_id: connection_id.into(),
            generation: 1,
            endpoint: EndpointKind::Browser,
            target_id: None,
            addressing: Addressing::Path,
            hold_ms: Duration::ZERO.into(),
            dial_ms: Duration::ZERO.into(),
            dial_attempts: 1,
            tls: false,
            local: true,
            user_agent: None,
            client_ip: None,
        });
        let (client, client_end) = tokio::io::duplex(1 << 16);
        let (browser, browser_end) = tokio::io::duplex(1 << 16);
        let faulty = Arc::new(AtomicBool::new(false));
        let client_end = Faulty { stream: client_end, panics: Arc::clone(&faulty) };
        let mut task = tokio::task::JoinSet::new();
        let run = session.run(record, (), (client_end, Bytes::new()), (browser_end, Bytes::new()));
        let size = size_of_val(&run);
        task.spawn(run);
        let began = Clock::now();
        Bench {
            publisher,
            answers,
            stop,
            client,
            browser,
            faulty,
            size,
            task,
            began,
            _keeper: keeper,
        }
    }

    /// The verdicts of all sessions in their order; each had one connect and one disconnect.
    async fn verdicts(self) -> Vec<String> {
        self.telemetry.close(SECOND).await;
        let mut seen = vec![(0, Vec::new()); self.sessions.get() as usize];
        let mut offset = 1;
        loop {
            let page = self.log.read_from(offset, ReadLimit::default()).await.unwrap();
            assert_eq!(page.gap, None);
            let Some(last) = page.records.last() else { break };
            offset = last.offset + 1;
            for record in &page.records {
                let event: serde_json::Value = serde_json::from_slice(&record.payload).unwrap();
                let word = |name: &str| event["data"][name].as_str().unwrap().to_owned();
                let (connects, verdicts) =
                    &mut seen[word("connection_id")[1..].parse::<usize>().unwrap()];
                match event["type"].as_str().unwrap() {
                    "cdp_connect" => *connects += 1,
                    "cdp_disconnect" => {
                        verdicts.push(format!("{}/{}", word("reason"), word("detail")));
                    }
                    other => panic!("{other}"),
                }
            }
        }
        seen.into_iter()
            .map(|(connects, verdicts)| {
                assert_eq!((connects, verdicts.len()), (1, 1), "{verdicts:?}");
                verdicts[0].clone()
            })
            .collect()
    }
}

/// One session with everything around it in the hands of the test.
struct Bench {
    publisher: Publisher,
    answers: watch::Sender<Option<&'static str>>,
    stop: watch::Sender<Option<ContextDetail>>,
    client: DuplexStream,
    browser: DuplexStream,
    /// Makes the next read of the client's side panic.
    faulty: Arc<AtomicBool>,
    size: usize,
    task: tokio::task::JoinSet<()>,
    began: Clock,
    _keeper: Keeper,
}

impl Bench {
    /// Lets the session run until it waits for something.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn ready(&self, generation: u64) {
        self.publisher.apply(Fact::Ready { url: url(generation) });
    }

    /// The browser's socket ends, and its process is known to have ended or not.
    fn dies(&mut self, cause: Option<Cause>) {
        self.browser = tokio::io::duplex(1).0;
        self.answers.send_replace(None);
        if let Some(cause) = cause {
            self.publisher.apply(Fact::Ended { cause });
        }
    }

    /// The code of the Close that the client gets, and when.
    async fn told(&mut self) -> (u16, Duration) {
        let mut head = [0; 2];
        self.client.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], 0x88, "a Close");
        let mut payload = vec![0; usize::from(head[1])];
        self.client.read_exact(&mut payload).await.unwrap();
        let after = self.began.elapsed();
        // Answered, so that the close handshake ends at once.
        let answer = [0x88, 0x82, 0, 0, 0, 0, payload[0], payload[1]];
        // It may be over by then.
        let _ = self.client.write_all(&answer).await;
        (u16::from_be_bytes([payload[0], payload[1]]), after)
    }

    /// Waits until nothing of the session is left, and says when that was.
    async fn ended(mut self) -> Duration {
        while let Some(done) = self.task.join_next().await {
            done.unwrap();
        }
        assert_eq!(self.publisher.upstream().subscribers(), 0);
        self.began.elapsed()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_at_once_and_judged_when_the_next_browser_is_ready() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(Some(KILLED));
    assert_eq!(bench.told().await, (1012, Duration::ZERO));
    tokio::time::sleep(7 * SECOND).await;
    bench.ready(2);
    let after = bench.ended().await;
    assert_eq!(stage.verdicts().await, ["upstream_changed/browser_crashed"]);
    assert_eq!(after, 7 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_crash_that_is_known_later_than_its_eof_is_told_when_it_is_known() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(None);
    tokio::time::sleep(65 * MS).await;
    bench.publisher.apply(Fact::Ended { cause: KILLED });
    assert_eq!(bench.told().await, (1012, 65 * MS));
    bench.ready(2);
    bench.ended().await;
    assert_eq!(stage.verdicts().await, ["upstream_changed/browser_crashed"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_next_browser_the_verdict_comes_at_the_end_of_the_window() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(Some(Cause::Exited { code: 1 }));
    assert_eq!(bench.told().await.0, 1012);
    let after = bench.ended().await;
    assert_eq!(stage.verdicts().await, ["upstream_error/browser_crashed"]);
    assert_eq!(after, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn gone_is_told_and_judged_at_once() {
    let stage = Stage::new();
    let mut bench = stage.session(false);
    bench.dies(None);
    bench.publisher.apply(Fact::GaveUp { cause: KILLED });
    assert_eq!(bench.told().await, (1011, Duration::ZERO));
    assert_eq!(bench.ended().await, Duration::ZERO);
    assert_eq!(stage.verdicts().await, ["upstream_error/browser_crashed"]);
}

#[tokio::test(start_paused = true)]
async fn what_no_source_knows_is_told_after_one_question_and_judged_at_the_end() {
    let stage = Stage::new();
    for (restart_expected, code) in [(true, 1012), (false, 1011)] {
        let mut bench = stage.session(restart_expected);
        bench.dies(None);
        // 250 ms to settle, 200 ms until nobody has answered.
        assert_eq!(bench.told().await, (code, 450 * MS));
        assert_eq!(bench.ended().await, 10 * SECOND);
    }
    assert_eq!(stage.verdicts().await, ["upstream_error/browser_unreachable"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_log_source_that_sees_only_the_restart_says_so_seven_seconds_later() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(None);
    assert_eq!(bench.told().await.0, 1012);
    tokio::time::sleep_until(bench.began + 7 * SECOND).await;
    bench.ready(2);
    assert_eq!(bench.ended().await, 7 * SECOND);
    assert_eq!(stage.verdicts().await, ["upstream_changed/browser_restarted"]);
}

#[tokio::test(start_paused = true)]
async fn a_living_browser_is_told_apart_after_one_question() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.browser = tokio::io::duplex(1).0;
    assert_eq!(bench.told().await, (1011, 450 * MS));
    assert_eq!(bench.ended().await, 450 * MS);
    assert_eq!(stage.verdicts().await, ["upstream_error/upstream_vanished"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_was_asked_for_is_judged_without_waiting() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.publisher.apply(Fact::RestartRequested);
    bench.settle().await;
    bench.dies(Some(Cause::Signalled { signal: 15 }));
    assert_eq!(bench.told().await, (1012, Duration::ZERO));
    assert_eq!(bench.ended().await, Duration::ZERO);
    assert_eq!(stage.verdicts().await, ["upstream_changed/browser_restarted"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_an_open_verdict_at_once_and_what_was_told_stays() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(Some(KILLED));
    assert_eq!(bench.told().await.0, 1012);
    tokio::time::sleep(3 * SECOND).await;
    bench.stop.send_replace(Some(ContextDetail::NodeDrain));
    assert_eq!(bench.ended().await, 3 * SECOND);
    assert_eq!(stage.verdicts().await, ["context_cancelled/node_drain"]);
}

#[tokio::test(start_paused = true)]
async fn two_silent_peers_delay_the_end_by_three_seconds_at_most() {
    let stage = Stage::new();
    let bench = stage.session(true);
    bench.stop.send_replace(Some(ContextDetail::SandboxDeleted));
    // Neither side reads, answers or closes.
    let after = bench.ended().await;
    assert_eq!(stage.verdicts().await, ["context_cancelled/sandbox_deleted"]);
    assert!(after <= 3 * SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_and_a_newer_browser_in_any_order_are_always_a_change() {
    let stage = Stage::new();
    for seed in 0..1000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = stage.session(random.bool());
        let mut steps = vec!["eof", "newer"];
        // A source that can know reports the end as well, at any moment before the next one.
        if random.bool() {
            steps.insert(random.usize(..=1), "ended");
        }
        let newer_first = random.bool() && steps.len() == 2;
        if newer_first {
            steps.reverse();
        }
        for step in steps {
            match step {
                "eof" => bench.dies(None),
                "ended" => drop(bench.publisher.apply(Fact::Ended { cause: KILLED })),
                _ => bench.ready(2),
            }
            match random.u8(..3) {
                0 => {}
                1 => bench.settle().await,
                _ => tokio::time::sleep(random.u32(..3000) * MS).await,
            }
        }
        let (code, _) = bench.told().await;
        assert!([1011, 1012].contains(&code), "seed {seed}: {code}");
        bench.ended().await;
    }
    let seen: std::collections::BTreeSet<_> = stage.verdicts().await.into_iter().collect();
    let want = ["browser_crashed", "browser_restarted", "superseded"];
    assert_eq!(Vec::from_iter(seen), want.map(|detail| format!("upstream_changed/{detail}")));
}

#[tokio::test(start_paused = true)]
async fn a_newer_browser_and_a_stop_together_are_always_the_stop() {
    let stage = Stage::new();
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = stage.session(true);
        let mut steps = [0, 1, 2];
        random.shuffle(&mut steps);
        for step in steps {
            match step {
                0 => bench.ready(2),
                1 => drop(bench.stop.send_replace(Some(ContextDetail::TtlExpired))),
                _ => bench.browser = tokio::io::duplex(1).0,
            }
        }
        let (code, _) = bench.told().await;
        assert_eq!(code, 1001, "seed {seed}");
        bench.ended().await;
    }
    assert_eq!(stage.verdicts().await, ["context_cancelled/ttl_expired"; 300]);
}

#[tokio::test(start_paused = true)]
async fn a_close_and_the_browsers_eof_in_one_poll_are_the_clients_close() {
    let stage = Stage::new();
    for _ in 0..200 {
        let mut bench = stage.session(true);
        // Both are there before the session is polled for the first time.
        bench.client.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 232]).await.unwrap();
        bench.dies(Some(KILLED));
        assert_eq!(bench.ended().await, Duration::ZERO);
    }
    assert_eq!(stage.verdicts().await, ["client_close/client_closed"; 200]);
}

#[tokio::test(start_paused = true)]
async fn every_session_ends_with_exactly_one_disconnect_and_no_subscriber() {
    let stage = Stage::new();
    for seed in 0..10_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = stage.session(random.bool());
        for _ in 0..random.u8(1..4) {
            match random.u8(..7) {
                0 => bench.dies(Some(KILLED)),
                1 => bench.dies(None),
                2 => bench.ready(2),
                3 => drop(bench.stop.send_replace(Some(ContextDetail::ForcedStop))),
                4 => bench.client = tokio::io::duplex(1).0,
                5 => drop(bench.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await),
                _ => drop(bench.publisher.apply(Fact::GaveUp { cause: KILLED })),
            }
            if random.bool() {
                bench.settle().await;
            }
        }
        // Whatever is still open ends here.
        bench.stop.send_replace(Some(ContextDetail::SandboxDeleted));
        let after = bench.ended().await;
        assert!(after <= 4 * SECOND, "seed {seed}: after {after:?}");
    }
    assert_eq!(stage.verdicts().await.len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_task_is_cut_still_has_its_disconnect() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.settle().await;
    bench.task.abort_all();
    while bench.task.join_next().await.is_some() {}
    bench.ended().await;
    assert_eq!(stage.verdicts().await, ["context_cancelled/internal_error"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_relay_ends_its_own_session_with_1011_and_no_other() {
    let stage = Stage::new();
    let mut other = stage.session(true);
    let mut bench = stage.session(true);
    bench.settle().await;
    bench.faulty.store(true, Ordering::Relaxed);
    bench.client.write_all(&[0x81, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(bench.told().await.0, 1011);
    bench.ended().await;
    other.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    other.ended().await;
    let verdicts = stage.verdicts().await;
    assert_eq!(verdicts, ["client_close/client_closed", "context_cancelled/internal_error"]);
}

#[tokio::test(start_paused = true)]
async fn pings_every_twenty_seconds_keep_a_quiet_session_for_as_long_as_one_likes() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    for round in 0..30u8 {
        tokio::time::sleep(20 * SECOND).await;
        let ping = [0x89, 0x81, 0, 0, 0, 0, round];
        bench.client.write_all(&ping).await.unwrap();
        let mut pong = [0; 3];
        let asked = Clock::now();
        bench.client.read_exact(&mut pong).await.unwrap();
        assert_eq!((pong, asked.elapsed()), ([0x8a, 1, round], Duration::ZERO));
    }
    bench.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    bench.ended().await;
    assert_eq!(stage.verdicts().await, ["client_close/client_closed"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_as_without_when_telemetry_takes_nothing() {
    let stage = Stage::new();
    // Its writer is gone: whatever is published now is refused and counted.
    let Stage { edge, telemetry, log, sessions } = stage;
    telemetry.close(SECOND).await;
    let name = LogName::new("unused").unwrap();
    let metrics = TelemetryMetrics::register(&mut registry(), "memory");
    let unused = MemoryStore::default().open(&name, LogOptions::default()).await.unwrap();
    let (_, telemetry) = Telemetry::start(Settings::new("node"), unused, metrics);
    let stage = Stage { edge, telemetry, log, sessions };
    let mut bench = stage.session(true);
    bench.dies(Some(KILLED));
    assert_eq!(bench.told().await, (1012, Duration::ZERO));
    bench.ready(2);
    assert_eq!(bench.ended().await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_takes_little_room() {
    let stage = Stage::new();
    let bench = stage.session(true);
    // The room for its end, some 10 KiB with an HTTP request in it, is taken when the end comes.
    assert!(bench.size <= 1280, "{} bytes", bench.size);
    drop(bench);
}
