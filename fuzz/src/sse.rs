//! The event-stream decoder.

use between_run_listener::sse::{Budget, Decoder, Item, Limits};
use bytes::Bytes;

use crate::cut::cut;

/// Small, so that the caps are reached.
const LIMITS: Limits = Limits { max_line: 256, max_event: 512 };

/// The items do not depend on where the stream is cut, and no more is held than the limits allow.
pub(crate) fn decode(input: &[u8]) {
    let (chunks, whole) = cut(input);
    assert_eq!(items(&chunks), items(&[whole]), "the cuts change what is read");
}

fn items(chunks: &[&[u8]]) -> (Vec<Item>, u64, Option<String>) {
    // What a shared budget cuts off depends on the chunks; it is tested with other decoders.
    let budget = Budget::new(1 << 20);
    let mut decoder = Decoder::new(LIMITS, budget.clone());
    let mut items = Vec::new();
    for chunk in chunks {
        decoder.feed(Bytes::copy_from_slice(chunk));
        while let Some(item) = decoder.next_item() {
            items.push(item);
        }
        let held = decoder.buffered();
        assert!(held <= LIMITS.max_line + LIMITS.max_event, "{held} bytes are held");
        assert!(budget.used() <= budget.limit(), "{} bytes of the budget", budget.used());
    }
    let dropped = decoder.finish();
    assert_eq!(decoder.buffered(), 0, "held after the end");
    (items, dropped, decoder.last_event_id().map(ToString::to_string))
}
