//! The hot paths that wait for nothing, alone, for a tool that counts instructions.
//!
//!     instructions CASE REPEATS
//!
//! `cargo xtask bench instructions` runs this under callgrind with two numbers of repeats; what
//! differs between the two is the path and not its preparation. What one repeat holds is said there
//! too, and must agree.

use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use between_run_listener::sse::{Budget, Decoder, Item, Limits};
use bytes::Bytes;
use draingate::Keeper;
use eventlog::memory::MemoryStore;
use eventlog::{LogName, LogOptions, Store};
use telemetry::events::ApiCall;
use telemetry::value::Millis;
use telemetry::{Settings, Telemetry, TelemetryMetrics, metrics};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use wsproxy::{Endpoint, Relay};

/// Frames in one read of the relay.
const FRAMES: usize = 64;
/// Events in one chunk of the decoder.
const EVENTS: usize = 80;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [case, repeats] = &args[..] else {
        println!("nothing to do; this is driven by: cargo xtask bench instructions");
        return;
    };
    let repeats = repeats.parse().expect("a number of repeats");
    match case.as_str() {
        "frames" => frames(repeats),
        "sse" => sse(repeats),
        "gate-borrowed" => {
            let keeper = Keeper::new();
            let gate = keeper.gate();
            (0..repeats).for_each(|_| drop(black_box(gate.enter())));
        }
        "gate-owned" => {
            let keeper = Keeper::new();
            let gate = keeper.gate();
            (0..repeats).for_each(|_| drop(black_box(gate.enter_owned())));
        }
        "filter" => filter(repeats),
        other => panic!("no case is called {other}"),
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Relays messages of 128 bytes from memory to nowhere: headers, limits, counters.
fn frames(reads: usize) {
    let mut frame = vec![0x81, 0x80 | 126, 0, 128, 1, 2, 3, 4];
    frame.resize(frame.len() + 128, b'x');
    let client = Memory { chunk: frame.repeat(FRAMES).into(), reads };
    let browser = Memory { chunk: Bytes::new(), reads: usize::MAX };
    runtime().block_on(async {
        let relay = Relay::new(client, browser, Arc::default());
        let ending = relay.run().await;
        black_box(ending.terminal());
    });
}

/// Gives the same chunk so many times and takes whatever comes. Without a chunk it is silent.
#[derive(Debug)]
struct Memory {
    chunk: Bytes,
    reads: usize,
}

impl Endpoint for Memory {}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.chunk.is_empty() {
            return Poll::Pending;
        }
        if self.reads > 0 {
            self.reads -= 1;
            buf.put_slice(&self.chunk);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Decodes events of 200 bytes.
fn sse(chunks: usize) {
    let event = format!(
        "data: {{\"type\":\"TEXT_MESSAGE_CONTENT\",\"delta\":\"{}\"}}\n\n",
        "x".repeat(150)
    );
    let chunk = Bytes::from(event.repeat(EVENTS));
    let mut decoder = Decoder::new(Limits::default(), Budget::default());
    for _ in 0..chunks {
        decoder.feed(chunk.clone());
        let mut events = 0;
        while let Some(item) = decoder.next_item() {
            events += usize::from(matches!(black_box(item), Item::Event(_)));
        }
        assert_eq!(events, EVENTS);
    }
}

/// Publishes events of a category that is off.
fn filter(events: usize) {
    let runtime = runtime();
    let name = LogName::new("telemetry").expect("a name");
    let open = MemoryStore::default();
    let log = runtime.block_on(open.open(&name, LogOptions::default())).expect("a log");
    let counted = TelemetryMetrics::register(&mut metrics::registry(), "memory");
    let _inside = runtime.enter();
    let (telemetry, _owner) = Telemetry::start(Settings::new("n1"), log, counted);
    let duration_ms = Millis(Duration::from_millis(3));
    for _ in 0..events {
        let (method, route, principal) = ("GET".into(), "/v1".into(), None);
        let event = ApiCall { method, route, status: 200, duration_ms, principal };
        telemetry.publish(Some(black_box("box")), black_box(event));
    }
}
