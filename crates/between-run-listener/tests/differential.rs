//! Random valid streams mean the same to us and to two other decoders.

use std::convert::Infallible;

use between_run_listener::sse::{Budget, Decoder, Item, Limits};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

/// Type, data, id.
type Seen = (String, String, String);

fn ours(chunks: &[Bytes]) -> Vec<Seen> {
    let mut decoder = Decoder::new(Limits::default(), Budget::default());
    let mut seen = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk.clone());
        while let Some(item) = decoder.next_item() {
            if let Item::Event(e) = item {
                let id = e.id.as_ref().map_or(String::new(), ToString::to_string);
                seen.push((e.kind().to_owned(), e.data.to_string(), id));
            }
        }
    }
    seen
}

/// `sse-stream` yields raw blocks: ids are carried over and blocks without data dropped here.
async fn sse_stream(chunks: &[Bytes]) -> Vec<Seen> {
    let parts = stream::iter(chunks.iter().cloned().map(Ok::<_, Infallible>));
    let mut blocks = sse_stream::SseByteStream::new(parts);
    let mut id = String::new();
    let mut seen = Vec::new();
    while let Some(block) = blocks.next().await {
        let block = block.expect("the stream is valid");
        if let Some(new) = block.id {
            id = new;
        }
        if let Some(data) = block.data {
            let kind = block.event.filter(|kind| !kind.is_empty());
            seen.push((kind.unwrap_or_else(|| "message".into()), data, id.clone()));
        }
    }
    seen
}

async fn sseer(chunks: &[Bytes]) -> Vec<Seen> {
    let parts = stream::iter(chunks.iter().cloned().map(Ok::<_, Infallible>));
    let mut events = sseer::event_stream::EventStream::new(parts);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        let event = event.expect("the stream is valid");
        let kind = if event.event.is_empty() { "message".into() } else { event.event.to_string() };
        seen.push((kind, event.data.to_string(), event.id.to_string()));
    }
    seen
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without drivers always starts").block_on(future)
}

/// A stream of events as a server might write them; one kind of line end, so that a CR before a cut
/// is no difference of opinion.
fn valid_stream(random: &mut fastrand::Rng) -> Vec<u8> {
    let end = ["\n", "\r\n"][random.usize(..2)];
    let words = ["", " ", "a", "hello", "{\"x\":1}", "\u{1f600}", "a:b", " two", "data:"];
    let mut text = String::new();
    for _ in 0..random.usize(1..12) {
        for _ in 0..random.usize(1..6) {
            let word = words[random.usize(..words.len())];
            let line = match random.u8(..9) {
                0 => format!("event:{word}"),
                1 => format!("event: {word}"),
                2 => format!("id: {}", random.u16(..)),
                3 => format!(":{word}"),
                4 => format!("retry: {}", random.u16(..)),
                5 => format!("other:{word}"),
                _ => format!("data: {word}{word}"),
            };
            text.push_str(&line);
            text.push_str(end);
        }
        // A block always has data, as a block of an id alone is where decoders differ by design.
        text.push_str("data: end");
        text.push_str(end);
        text.push_str(end);
    }
    text.into_bytes()
}

fn cut(random: &mut fastrand::Rng, input: &[u8]) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(random.usize(1..=rest.len()));
        chunks.push(Bytes::copy_from_slice(head));
        rest = tail;
    }
    chunks
}

#[test]
fn ten_thousand_random_streams_mean_the_same_to_three_decoders() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..10_000 {
        let input = valid_stream(&mut random);
        let chunks = cut(&mut random, &input);
        let text = String::from_utf8_lossy(&input);
        let seen = ours(&chunks);
        assert_eq!(
            seen,
            block_on(sse_stream(&chunks)),
            "sse-stream, seed {seed}, round {round}: {text:?}"
        );
        assert_eq!(seen, block_on(sseer(&chunks)), "sseer, seed {seed}, round {round}: {text:?}");
    }
}

#[test]
fn bad_utf8_ends_the_others_and_not_us() {
    let chunks = [Bytes::from_static(b"data: \xff\n\ndata: next\n\n")];
    let data: Vec<String> = ours(&chunks).into_iter().map(|(_, data, _)| data).collect();
    assert_eq!(data, ["\u{fffd}", "next"]);
    let parts = || stream::iter(chunks.iter().cloned().map(Ok::<_, Infallible>));
    assert!(block_on(sse_stream::SseByteStream::new(parts()).next()).is_some_and(|e| e.is_err()));
    let first = block_on(sseer::event_stream::EventStream::new(parts()).next());
    assert!(first.is_some_and(|e| e.is_err()));
}
