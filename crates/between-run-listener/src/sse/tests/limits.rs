//! The decoder's limits: nothing is held past them, and the next event is right.

use super::{Budget, Decoder, Item, Limits, feed, random_cuts, shown};
use crate::sse::Cap;

const SMALL: Limits = Limits { max_line: 64, max_event: 128 };

fn oversize(items: &[Item]) -> Vec<Cap> {
    items
        .iter()
        .filter_map(|i| if let Item::Oversize { cap, .. } = i { Some(*cap) } else { None })
        .collect()
}

#[test]
fn an_event_past_a_limit_is_skipped_once_and_the_next_is_right() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let line = format!("id:1\ndata:{}\nid:2\ndata:more\n\ndata:next\n\n", "x".repeat(1000));
    let event = format!("{}id:2\n\ndata:next\n\n", format!("data:{}\n", "y".repeat(40)).repeat(9));
    for (input, cap) in [(line, Cap::Line), (event, Cap::Event)] {
        for round in 0..200 {
            let cuts = if round == 0 { Vec::new() } else { random_cuts(&mut random, input.len()) };
            let mut decoder = Decoder::new(SMALL, Budget::default());
            let mut most = 0;
            let mut items = Vec::new();
            let mut from = 0;
            for to in cuts.iter().copied().chain([input.len()]) {
                items.extend(feed(&mut decoder, &input.as_bytes()[from..to], &[]));
                most = most.max(decoder.buffered());
                from = to;
            }
            assert_eq!(oversize(&items), [cap], "seed {seed}, cut at {cuts:?}");
            assert_eq!(shown(&items), ["next#2"], "seed {seed}, cut at {cuts:?}");
            assert!(most <= SMALL.max_line + SMALL.max_event, "{most} bytes held, seed {seed}");
            assert_eq!(decoder.buffered(), 0);
        }
    }
}

#[test]
fn a_line_of_64_mib_holds_at_most_the_limit() {
    let budget = Budget::default();
    let mut decoder = Decoder::new(Limits::default(), budget.clone());
    let chunk = vec![b'x'; 1 << 20];
    assert_eq!(feed(&mut decoder, b"data:", &[]), []);
    for _ in 0..64 {
        assert_eq!(feed(&mut decoder, &chunk, &[]), []);
        assert!(decoder.buffered() <= 16 << 20 && budget.used() <= 16 << 20);
    }
    assert!(decoder.skipped() > 48 << 20);
    let items = feed(&mut decoder, b"\n\ndata:next\n\n", &[]);
    assert_eq!(oversize(&items), [Cap::Line]);
    assert_eq!(shown(&items), ["next"]);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_comment_of_any_length_is_counted_and_not_held() {
    let mut decoder = Decoder::new(SMALL, Budget::default());
    assert_eq!(feed(&mut decoder, b":", &[]), []);
    for _ in 0..100 {
        assert_eq!(feed(&mut decoder, &[b'h'; 100], &[]), []);
        assert_eq!(decoder.buffered(), 0);
    }
    assert_eq!(feed(&mut decoder, b"b\n", &[]), [Item::Comment { len: 10_001 }]);
}

#[test]
fn a_spent_budget_skips_the_event_that_spent_it_and_is_given_back() {
    let budget = Budget::new(10_000);
    let mut first = Decoder::new(Limits::default(), budget.clone());
    let mut second = Decoder::new(Limits::default(), budget.clone());
    feed(&mut first, format!("data:{}", "a".repeat(7_000)).as_bytes(), &[]);
    assert_eq!(budget.used(), 8_192);
    feed(&mut second, format!("data:{}", "b".repeat(7_000)).as_bytes(), &[]);
    assert_eq!(budget.used(), 8_192);
    let items = feed(&mut second, b"b\n\ndata:next\n\n", &[]);
    assert_eq!(oversize(&items), [Cap::Budget]);
    assert_eq!(shown(&items), ["next"]);
    assert_eq!(shown(&feed(&mut first, b"\n\n", &[])), ["a".repeat(7_000)]);
    assert_eq!(budget.used(), 0);
    let mut third = Decoder::new(Limits::default(), budget.clone());
    feed(&mut third, b"data:held", &[]);
    assert_eq!(budget.used(), 4_096);
    drop(third);
    assert_eq!(budget.used(), 0);
}
