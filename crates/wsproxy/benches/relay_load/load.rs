//! Clients that send a message and wait for its echo, and the server that echoes.

use crate::proxy::Proxy;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What one proxy did in one round.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) messages: usize,
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// A frame as a client sends it, or as a server does.
fn frame(size: usize, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x81];
    match size {
        0..126 => frame.push(mask | size as u8),
        126..65_536 => {
            frame.push(mask | 126);
            frame.extend((size as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend((size as u64).to_be_bytes());
        }
    }
    if masked {
        frame.extend([0; 4]);
    }
    frame.resize(frame.len() + size, b'x');
    frame
}

/// Answers each frame of a known size with one of the same size.
pub(crate) struct Echo {
    listener: TcpListener,
    size: usize,
}

impl Echo {
    pub(crate) async fn start(size: usize) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"), size }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    pub(crate) async fn serve(&mut self) {
        let answer: Arc<[u8]> = frame(self.size, false).into();
        let asked = frame(self.size, true).len();
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = self.listener.accept().await.expect("a connection");
            crate::tune(&stream);
            while connections.try_join_next().is_some() {}
            let answer = Arc::clone(&answer);
            connections.spawn(async move {
                let mut buf = vec![0; asked.min(256 * 1024)];
                while take(&mut stream, &mut buf, asked).await {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    }
}

/// Reads `len` bytes away; whether they came.
async fn take(stream: &mut TcpStream, buf: &mut [u8], len: usize) -> bool {
    let mut left = len;
    while left > 0 {
        let room = buf.len().min(left);
        match stream.read(&mut buf[..room]).await {
            Ok(0) | Err(_) => return false,
            Ok(n) => left -= n,
        }
    }
    true
}

/// Loads a proxy for a while.
pub(crate) async fn round(
    proxy: &mut Proxy,
    size: usize,
    connections: usize,
    window: Duration,
) -> Round {
    let (question, answer): (Arc<[u8]>, _) = (frame(size, true).into(), frame(size, false).len());
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(proxy.address()).await.expect("the proxy");
        crate::tune(&stream);
        streams.push(stream);
    }
    let mut clients = JoinSet::new();
    // The first message of each connection is not measured.
    for stream in &mut streams {
        stream.write_all(&question).await.expect("the proxy reads");
        assert!(take(stream, &mut vec![0; 256 * 1024], answer).await, "the echo comes back");
    }
    let before = proxy.usage();
    let start = Instant::now();
    for mut stream in streams {
        let question = Arc::clone(&question);
        clients.spawn(async move {
            let mut times = Vec::new();
            let mut buf = vec![0; answer.min(256 * 1024)];
            while start.elapsed() < window {
                let sent = Instant::now();
                stream.write_all(&question).await.expect("the proxy reads");
                assert!(take(&mut stream, &mut buf, answer).await, "the echo comes back");
                times.push(sent.elapsed());
            }
            (times, stream)
        });
    }
    // Connections are closed only after the usage is read.
    let (mut times, mut open) = (Vec::new(), Vec::new());
    while let Some(client) = clients.join_next().await {
        let (some, stream) = client.expect("a client");
        times.extend(some);
        open.push(stream);
    }
    let elapsed = start.elapsed();
    let cpu = proxy.usage().cpu - before.cpu;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Round { messages: times.len(), elapsed, cpu, p50: at(0.5), p99: at(0.99) }
}

/// Opens sessions that carry one message each and stay.
pub(crate) async fn open(proxy: &Proxy, size: usize, sessions: usize) -> Vec<TcpStream> {
    let (question, answer) = (frame(size, true), frame(size, false).len());
    let mut open = Vec::new();
    let mut buf = vec![0; 256 * 1024];
    for _ in 0..sessions {
        let mut stream = TcpStream::connect(proxy.address()).await.expect("the proxy");
        stream.write_all(&question).await.expect("the proxy reads");
        assert!(take(&mut stream, &mut buf, answer).await, "the echo comes back");
        open.push(stream);
    }
    open
}
