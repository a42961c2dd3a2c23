//! The decoder against a table of streams, each cut in every way that matters.

mod limits;
mod vectors;

use bytes::Bytes;

use super::{Budget, Decoder, Event, Item, Limits};

/// Feeds `input` in pieces that end at `cuts` and returns everything the decoder yields.
fn decode(input: &[u8], cuts: &[usize]) -> (Vec<Item>, Decoder) {
    let mut decoder = Decoder::new(Limits::default(), Budget::default());
    let items = feed(&mut decoder, input, cuts);
    (items, decoder)
}

fn feed(decoder: &mut Decoder, input: &[u8], cuts: &[usize]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([input.len()]) {
        decoder.feed(Bytes::copy_from_slice(&input[from..to]));
        items.extend(std::iter::from_fn(|| decoder.next_item()));
        from = to;
    }
    items
}

fn events(items: &[Item]) -> Vec<&Event> {
    items.iter().filter_map(|i| if let Item::Event(e) = i { Some(e) } else { None }).collect()
}

/// `data`, `type:data` when the type is not `message`, `#id` behind it when there is one.
fn shown(items: &[Item]) -> Vec<String> {
    events(items)
        .into_iter()
        .map(|e| {
            let kind = e.kind.as_ref().map_or(String::new(), |k| format!("{k}:"));
            let id = e.id.as_ref().map_or(String::new(), |id| format!("#{id}"));
            format!("{kind}{}{id}", e.data)
        })
        .collect()
}

/// Every cut point in a random subset, from a seed.
fn random_cuts(random: &mut fastrand::Rng, length: usize) -> Vec<usize> {
    let share = random.u32(1..=60);
    (1..length).filter(|_| random.u32(0..100) < share).collect()
}
