//! What a gateway carries from runners to subscribers: how many events a second, and how late each is.
//!
//! The gateway is a `listenerd` of its own process on an empty disk-backed log. The runners and the
//! subscribers are threads of this process, so that both ends of a way are read off one clock.
//! Prints JSON objects. `cargo xtask bench sessions` runs it; by hand:
//! `cargo bench -p between-run-listener --bench streams -- LISTENERD [EVENTS] [SECONDS]`

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::daemon::{Daemon, Options};

/// Those who read at once.
const SUBSCRIBERS: usize = 10;

/// Bytes of an event.
const EVENT: usize = 200;

/// Events that are handed to the kernel at once when the runner says all it can.
const BURST: usize = 100;

/// The pace at which it is measured how late an event is.
const PACE: u64 = 2_000;

/// How long nothing may come before the bench fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stands before the moment at which an event was said, in nanoseconds since the bench began.
const MARK: &str = "\"at\":";

/// Runners behind one address, one for each session. A stream that a listener has opened comes with
/// the session's name.
struct Runners {
    address: String,
    opened: Receiver<(String, TcpStream)>,
    streams: BTreeMap<String, TcpStream>,
}

impl Runners {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (tell, opened) = sync_channel(64);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.expect("a connection"), &tell);
            }
        });
        Self { address, opened, streams: BTreeMap::new() }
    }

    /// The stream that a session's listener has opened.
    fn stream(&mut self, session: &str) -> TcpStream {
        while !self.streams.contains_key(session) {
            let (name, stream) = self.opened.recv_timeout(PATIENCE).expect("a listener");
            self.streams.insert(name, stream);
        }
        self.streams.remove(session).expect("it is there")
    }
}

fn answer(mut stream: TcpStream, tell: &SyncSender<(String, TcpStream)>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a request") == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).expect("a path");
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n";
    stream.write_all(answer.as_bytes()).expect("an open stream");
    stream.set_nodelay(true).expect("a socket");
    // The bench may be over.
    let _ = tell.send((path.trim_start_matches('/').to_owned(), stream));
}

/// Adds an event that says when it was said.
fn event(since: Instant, out: &mut Vec<u8>) {
    const BEGIN: &str = "data: {\"type\":\"CUSTOM\",\"name\":\"n\",\"value\":{\"at\":";
    const END: &str = "\"}}\n\n";
    let begin = out.len();
    let at = since.elapsed().as_nanos();
    write!(out, "{BEGIN}{at},\"text\":\"").expect("memory");
    // Without `data: ` and the line ends.
    out.resize(begin + "data: ".len() + EVENT - "\"}}".len(), b'x');
    out.extend_from_slice(END.as_bytes());
}

fn run_started(stream: &mut TcpStream) {
    let started = json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "r" });
    stream.write_all(format!("data: {started}\n\n").as_bytes()).expect("an open stream");
}

/// What one subscriber saw.
struct Seen {
    /// How late each event was, in nanoseconds.
    late: Vec<u64>,
    /// When the last one came.
    until: Instant,
}

/// Reads so many events of a session.
fn subscribe(gateway: &Daemon, session: &str, events: usize, since: Instant) -> JoinHandle<Seen> {
    let host = gateway.base().trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(&host).expect("the gateway");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let path = format!("{}/agui/events", path(session));
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    socket.write_all(head.as_bytes()).expect("the gateway");
    std::thread::spawn(move || {
        let mut lines = BufReader::with_capacity(1 << 18, socket);
        let (mut late, mut line) = (Vec::new(), String::new());
        while late.len() < events {
            line.clear();
            let took = lines.read_line(&mut line).expect("events");
            assert!(took > 0, "the stream ended after {} of {events}", late.len());
            assert!(!line.starts_with("event: lk.gap"), "a gap after {} of {events}", late.len());
            let data = line.strip_prefix("data: ");
            let said =
                data.and_then(|data| data.split_once(MARK)?.1.split_once(',')?.0.parse().ok());
            if let Some(said) = said {
                late.push((since.elapsed().as_nanos() as u64).saturating_sub(said));
            }
        }
        Seen { late, until: Instant::now() }
    })
}

fn path(session: &str) -> String {
    format!("/v1/projects/bench/sessions/{session}")
}

struct Bench {
    gateway: Daemon,
    runners: Runners,
    since: Instant,
}

impl Bench {
    fn start(gateway: &str) -> Self {
        let gateway = Options::new(gateway)
            // Each event is to be there once; how folding goes is another matter.
            .env("LOCKKEEPER_FOLD_BYTES", "1GiB")
            .env("LOCKKEEPER_LOG_BYTES", "16GiB")
            .env("LOCKKEEPER_LOG", "warn")
            .start();
        let gateway = gateway.expect("a gateway");
        Self { gateway, runners: Runners::start(), since: Instant::now() }
    }

    /// A session with an open run, and those who read it.
    fn session(
        &mut self,
        name: &str,
        subscribers: usize,
        events: usize,
    ) -> (TcpStream, Vec<JoinHandle<Seen>>) {
        let url = format!("http://{}", self.runners.address);
        let settings = json!({ "runner_url": url, "events_path": "/{session}" });
        let made = self.gateway.call("PUT", &path(name), Some(&settings)).expect("an answer");
        assert_eq!(made.status, 201, "{}", made.body);
        let readers =
            (0..subscribers).map(|_| subscribe(&self.gateway, name, events, self.since)).collect();
        let mut stream = self.runners.stream(name);
        run_started(&mut stream);
        self.wait_subscribers(name, subscribers);
        (stream, readers)
    }

    fn wait_subscribers(&self, session: &str, wanted: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let path = format!("{}/status", path(session));
            let status = self.gateway.call("GET", &path, None).expect("an answer").body;
            if status["subscribers"] == wanted && status["log"]["tail"] == 1 {
                return;
            }
            assert!(Instant::now() < until, "never {wanted} subscribers: {status}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runners that say all they can, in so many sessions with so many subscribers each.
    fn flood(&mut self, case: &str, sessions: usize, subscribers: usize, events: usize) {
        let each = events / sessions;
        let opened: Vec<_> = (0..sessions)
            .map(|at| self.session(&format!("{sessions}-{subscribers}-{at}"), subscribers, each))
            .collect();
        let (begin, since) = (Instant::now(), self.since);
        let (mut saying, mut reading) = (Vec::new(), Vec::new());
        for (mut stream, readers) in opened {
            reading.extend(readers);
            saying.push(std::thread::spawn(move || {
                for _ in 0..each / BURST {
                    let mut burst = Vec::with_capacity(BURST * (EVENT + 8));
                    (0..BURST).for_each(|_| event(since, &mut burst));
                    stream.write_all(&burst).expect("a listener that reads");
                }
                stream
            }));
        }
        let until = reading.into_iter().map(|reader| reader.join().expect("a subscriber").until);
        let took = until.max().expect("subscribers").duration_since(begin).as_secs_f64();
        tell(case, "logged and read by all", "events/s", (each * sessions) as f64 / took);
        tell(case, "delivered", "events/s", (each * sessions * subscribers) as f64 / took);
        saying.into_iter().for_each(|said| drop(said.join().expect("a runner")));
    }

    /// A runner that speaks at an even pace.
    fn paced(&mut self, case: &str, subscribers: usize, seconds: u64) {
        let events = PACE * seconds;
        let (mut stream, readers) = self.session("paced", subscribers, events as usize);
        let begin = Instant::now();
        for at in 0..events {
            let due = begin + Duration::from_nanos(1_000_000_000 / PACE * at);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let mut said = Vec::new();
            event(self.since, &mut said);
            stream.write_all(&said).expect("a listener that reads");
        }
        let mut late: Vec<u64> = readers
            .into_iter()
            .flat_map(|reader| reader.join().expect("a subscriber").late)
            .collect();
        late.sort_unstable();
        for (metric, per_mille) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
            let at = late[(late.len() - 1) * per_mille / 1000];
            tell(case, &format!("from runner to subscriber, {metric}"), "ms", at as f64 / 1e6);
        }
    }
}

fn tell(case: &str, metric: &str, unit: &str, value: f64) {
    let line = json!({ "case": case, "metric": metric, "unit": unit, "value": value });
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize, default: u64| {
        arguments.get(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let gateway = arguments.first().expect("the path of a listenerd");
    let events = usize::try_from(number(1, 500_000)).expect("a number");
    let mut bench = Bench::start(gateway);
    let case = format!("{PACE} events/s, {SUBSCRIBERS} subscribers");
    bench.paced(&case, SUBSCRIBERS, number(2, 20));
    bench.flood("10 sessions, 1 subscriber each", SUBSCRIBERS, 1, events);
    bench.flood("1 session, 1 subscriber", 1, 1, events);
    bench.flood(&format!("1 session, {SUBSCRIBERS} subscribers"), 1, SUBSCRIBERS, events);
}
