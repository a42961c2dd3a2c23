//! Bytes per second of three decoders on the same stream.

use std::convert::Infallible;
use std::hint::black_box;

use between_run_listener::sse::{Budget, Decoder, Item, Limits};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::{StreamExt, stream};

/// Events of about `size` bytes with `end` as line end, cut into pieces of `chunk` bytes.
fn input(size: usize, end: &str, chunk: usize, total: usize) -> Vec<Bytes> {
    let body = "x".repeat(size.saturating_sub(50));
    let event =
        format!("data: {{\"type\":\"TEXT_MESSAGE_CONTENT\",\"delta\":\"{body}\"}}{end}{end}");
    let all = event.repeat(total / event.len() + 1);
    all.as_bytes().chunks(chunk).map(Bytes::copy_from_slice).collect()
}

fn ours(chunks: &[Bytes]) -> usize {
    let mut decoder = Decoder::new(Limits::default(), Budget::default());
    let mut events = 0;
    for chunk in chunks {
        decoder.feed(chunk.clone());
        while let Some(item) = decoder.next_item() {
            if let Item::Event(event) = item {
                black_box(&event);
                events += 1;
            }
        }
    }
    events
}

fn count<T>(mut items: impl futures_util::Stream<Item = T> + Unpin) -> usize {
    block_on(async {
        let mut events = 0;
        while let Some(event) = items.next().await {
            black_box(&event);
            events += 1;
        }
        events
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without drivers always starts").block_on(future)
}

fn bench(c: &mut Criterion) {
    let cases = [
        ("200 B, LF, 16 KiB", input(200, "\n", 16 << 10, 1 << 20)),
        ("200 B, CRLF, 16 KiB", input(200, "\r\n", 16 << 10, 1 << 20)),
        ("64 KiB, LF, 16 KiB", input(64 << 10, "\n", 16 << 10, 4 << 20)),
        ("200 B, LF, 1 B", input(200, "\n", 1, 64 << 10)),
    ];
    let mut group = c.benchmark_group("sse");
    for (name, chunks) in &cases {
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::new("ours", name), chunks, |b, chunks| {
            b.iter(|| ours(chunks));
        });
        let parts = || stream::iter(chunks.iter().cloned().map(Ok::<_, Infallible>));
        group.bench_function(BenchmarkId::new("sse-stream", name), |b| {
            b.iter(|| count(sse_stream::SseByteStream::new(parts())));
        });
        group.bench_function(BenchmarkId::new("sseer", name), |b| {
            b.iter(|| count(sseer::event_stream::EventStream::new(parts())));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
