//! What it costs to observe what clients do: processor time of a whole edge, with its telemetry, for
//! each message of 4 KiB that 64 clients send and a browser echoes; armed and not, in turn.
//!
//! `cargo bench -p devtoolsproxy --bench observing -- [rounds] [milliseconds]`; one line of JSON,
//! times in microseconds. `cargo xtask bench telemetry` states the goals.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "stands on what the tests stand on, and needs only a part of it"
)]
#![allow(clippy::disallowed_methods, reason = "its runtimes own the tasks and drop them")]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use devtoolsproxy::EdgeSettings;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use upstream::{Fact, WsUrl};

use support::http::{UPGRADE, knock};
use support::world::{Sandbox, World};
use support::ws::frame;

const CLIENTS: usize = 64;
const MESSAGE: usize = 4096;
const TEXT: u8 = 1;

/// What is measured, and the commands it is measured with: one that makes no event, as most long
/// ones do, and one that does.
const COMMANDS: [(&str, &str); 2] = [
    ("unlisted", r#"{"id":7,"method":"Runtime.evaluate","params":{"expression":""#),
    ("listed", r#"{"id":7,"method":"Input.insertText","params":{"text":""#),
];

/// A program as a client may send it, with what JSON has to escape.
const PROGRAM: &str = r#"document.querySelector(\"main > a\").click();\n"#;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let rounds = args.next().map_or(15, |arg| arg.parse().expect("a number of rounds"));
    let millis = args.next().map_or(400, |arg| arg.parse().expect("milliseconds"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let window = Duration::from_millis(millis);
    println!("{}", runtime.expect("a runtime").block_on(measure(rounds, window)));
}

/// A whole command of [`MESSAGE`] bytes.
fn command(begins: &str) -> String {
    const END: &str = r#""}}"#;
    let mut text = begins.to_owned();
    while text.len() + PROGRAM.len() + END.len() <= MESSAGE {
        text.push_str(PROGRAM);
    }
    let rest = MESSAGE - text.len() - END.len();
    text + &"x".repeat(rest) + END
}

/// The edge, in a thread of its own that nothing else runs in.
struct Edge {
    shared: SocketAddr,
    config: SocketAddr,
    /// What the kernel says of the thread.
    usage: PathBuf,
}

impl Edge {
    fn start(browser: u16) -> Self {
        let (tell, told) = mpsc::channel();
        // It ends with the process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let mut world = World::with(EdgeSettings::default()).await;
                let sandbox = Sandbox::new("s", false);
                let url = WsUrl::from_parts("127.0.0.1", browser, "guid").expect("a valid url");
                sandbox.publisher.apply(Fact::Ready { url });
                world.sandboxes.know(&sandbox);
                let shared = world.shared().await;
                let config = world.serve(world.events.router()).await;
                let usage = fs::read_link("/proc/thread-self").expect("a thread has a name");
                let usage = PathBuf::from("/proc").join(usage).join("schedstat");
                tell.send(Self { shared, config, usage }).expect("somebody waits");
                std::future::pending::<()>().await;
            });
        });
        told.recv().expect("the edge starts")
    }

    /// Processor time so far. Exact while the thread waits.
    fn cpu(&self) -> Duration {
        // The kernel adds up at the next switch, and the last events may still be on their way.
        std::thread::sleep(Duration::from_millis(20));
        let text = fs::read_to_string(&self.usage).expect("the edge lives");
        let nanos = text.split_whitespace().next().expect("three numbers");
        Duration::from_nanos(nanos.parse().expect("nanoseconds"))
    }

    /// Asks for the commands or not; gives how many events there have been.
    async fn arm(&self, armed: bool) -> u64 {
        let body = json!({"categories": {"control": {"enabled": armed}}}).to_string();
        let length = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
        let mut stream = knock(self.config, "PATCH", "/v1/telemetry", &length).await;
        stream.write_all(body.as_bytes()).await.expect("the edge reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let cursor = body["cursor"].as_str().expect("a cursor");
        cursor.rsplit('-').next().expect("an offset").parse().expect("a number")
    }
}

async fn measure(rounds: usize, window: Duration) -> Value {
    let commands = COMMANDS.map(|(name, begins)| (name, command(begins)));
    let answer = frame(TEXT, &[b'a'; MESSAGE], false);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let edge = Edge::start(listener.local_addr().expect("bound").port());
    let mut browser = JoinSet::new();
    browser.spawn(echo(listener, answer.clone()));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = knock(edge.shared, "GET", "/sandboxes/s", UPGRADE).await;
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 101 "));
        clients.push(stream);
    }
    let mut measured = serde_json::Map::new();
    let (mut sent, mut events) = (0, 0);
    // The first round only warms up.
    for round in 0..=rounds {
        for (name, text) in &commands {
            let question = frame(TEXT, text.as_bytes(), true);
            // Which of the two goes first changes from round to round.
            for armed in [round % 2 == 0, round % 2 != 0] {
                let before = (edge.arm(armed).await, edge.cpu());
                let messages = load(&mut clients, &question, &answer, window).await;
                let cpu = edge.cpu() - before.1;
                let told = edge.arm(false).await - before.0;
                match (armed, *name) {
                    (true, "listed") => (sent, events) = (sent + messages, events + told),
                    // The change of the configuration is an event itself.
                    _ => assert!(told <= 2, "{told} events of {name}, armed: {armed}"),
                }
                let case = format!("{name}_{}", if armed { "armed" } else { "off" });
                let all = measured.entry(case).or_insert_with(|| json!([]));
                if round > 0 {
                    let each = cpu.as_secs_f64() * 1e6 / messages as f64;
                    all.as_array_mut().expect("a list").push(json!(each));
                }
            }
        }
    }
    measured.insert("commands".into(), json!(sent));
    measured.insert("events".into(), json!(events));
    Value::Object(measured)
}

/// Every client sends and waits for the answer, for a while; how many messages there were.
async fn load(
    clients: &mut Vec<TcpStream>,
    question: &[u8],
    answer: &[u8],
    window: Duration,
) -> u64 {
    let started = Instant::now();
    let mut loading = JoinSet::new();
    for mut stream in clients.drain(..) {
        let (question, answer) = (question.to_vec(), answer.to_vec());
        loading.spawn(async move {
            let (mut messages, mut got) = (0, vec![0; answer.len()]);
            while started.elapsed() < window {
                stream.write_all(&question).await.expect("the edge reads");
                stream.read_exact(&mut got).await.expect("the edge writes");
                assert!(got == answer, "an answer is wrong");
                messages += 1;
            }
            (messages, stream)
        });
    }
    let mut all = 0;
    for (messages, stream) in loading.join_all().await {
        all += messages;
        clients.push(stream);
    }
    all
}

/// A browser that has one answer to everything.
async fn echo(listener: TcpListener, answer: Vec<u8>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let answer = answer.clone();
        connections.spawn(async move {
            let asked = head(&mut stream).await;
            let key = asked.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
            });
            let key = key.expect("an upgrade has a key");
            let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
            let reply = format!(
                "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(reply.as_bytes()).await.expect("the edge reads");
            let mut got = vec![0; frame(TEXT, &[0; MESSAGE], true).len()];
            while stream.read_exact(&mut got).await.is_ok() {
                assert_eq!(got[..4], [0x81, 0xfe, 0x10, 0x00], "a masked text of 4 KiB");
                stream.write_all(&answer).await.expect("the edge reads");
            }
        });
    }
}

/// Reads an HTTP head, up to its empty line.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).expect("text")
}
