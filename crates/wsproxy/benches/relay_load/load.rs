//! Clients that send a message and wait for its echo.

use crate::message::{Messages, read_head};
use crate::peer::Peer;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const UPGRADE: &[u8] = b"GET /devtools/browser/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\
    Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct Client {
    stream: TcpStream,
    question: Messages,
    answer: Messages,
    next: u64,
    buf: Vec<u8>,
}

impl Client {
    async fn connect(peer: &Peer, size: usize) -> Self {
        let mut stream = TcpStream::connect(peer.address).await.expect("the proxy accepts");
        crate::tune(&stream);
        stream.write_all(UPGRADE).await.expect("the proxy reads");
        let head = read_head(&mut stream).await.expect("an answer to the upgrade");
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let (question, answer) = (Messages::new(size, true), Messages::new(size, false));
        Self { stream, question, answer, next: 0, buf: Vec::new() }
    }

    async fn once(&mut self) {
        let number = self.next;
        self.next += 1;
        self.question.send(&mut self.stream, number).await.expect("the proxy reads");
        let echoed = self.answer.receive(&mut self.stream, number, &mut self.buf).await;
        assert!(echoed.expect("the proxy writes"), "the proxy ended the session");
    }
}

/// Loads a proxy for a while; what it did, as JSON.
pub(crate) async fn round(
    peer: &Peer,
    size: usize,
    connections: usize,
    window: Duration,
) -> String {
    let mut ready = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(peer, size).await;
        // The first message of each connection is not measured.
        client.once().await;
        ready.push(client);
    }
    let before = peer.cpu();
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for mut client in ready {
        clients.spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < window {
                let sent = Instant::now();
                client.once().await;
                times.push(sent.elapsed());
            }
            (times, client)
        });
    }
    // Connections are closed only after the usage is read.
    let (mut times, mut open) = (Vec::new(), Vec::new());
    while let Some(ended) = clients.join_next().await {
        let (some, client) = ended.expect("every echo as it was sent");
        times.extend(some);
        open.push(client);
    }
    let elapsed = start.elapsed();
    let cpu = peer.cpu() - before;
    times.sort_unstable();
    let at = |share: f64| micros(times[((times.len() - 1) as f64 * share) as usize]);
    format!(
        r#"{{"messages":{},"elapsed_us":{},"cpu_us":{},"p50_us":{},"p99_us":{}}}"#,
        times.len(),
        micros(elapsed),
        micros(cpu),
        at(0.5),
        at(0.99)
    )
}

/// Opens sessions that carry one message each and stay; what each but the first holds, as JSON. With
/// the first come the buffers that a proxy keeps for all.
pub(crate) async fn idle(peer: &Peer, size: usize, sessions: usize) -> String {
    let mut open = Vec::new();
    let mut before = 0;
    for number in 0..=sessions {
        if number == 1 {
            before = peer.memory();
        }
        let mut client = Client::connect(peer, size).await;
        client.once().await;
        client.buf = Vec::new();
        open.push(client.stream);
    }
    let bytes = peer.memory().saturating_sub(before) as f64 / sessions as f64;
    format!(r#"{{"bytes_a_session":{bytes}}}"#)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
