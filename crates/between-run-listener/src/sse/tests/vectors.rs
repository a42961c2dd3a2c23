//! What well-known streams mean, whole, byte by byte and at random cuts.

use std::time::Duration;

use super::{Item, decode, random_cuts, shown};

const BOM: &str = "\u{feff}";

/// Name, input, events.
fn table() -> Vec<(&'static str, Vec<u8>, Vec<&'static str>)> {
    let long = "x".repeat(2048);
    let text = |s: &str| s.as_bytes().to_vec();
    vec![
        (
            "field parsing",
            text(
                "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
            ),
            vec!["\0\n 2\n1\n3\n\n4"],
        ),
        ("newlines", text("data:test\r\ndata\ndata:test\r\n\r\n"), vec!["test\n\ntest"]),
        ("leading space", text("data:\ttest\rdata: \ndata:test\n\n"), vec!["\ttest\n\ntest"]),
        (
            "comments",
            text(&format!(
                "data:1\r:\0\n:\r\ndata:2\n:{long}\rdata:3\n:data:fail\r:{long}\ndata:4\n\n"
            )),
            vec!["1\n2\n3\n4"],
        ),
        (
            "byte order mark",
            text(&format!("{BOM}data:1\n\n{BOM}data:2\n\ndata:3\n\n")),
            vec!["1", "3"],
        ),
        (
            "two byte order marks",
            text(&format!("{BOM}{BOM}data:1\n\ndata:2\n\ndata:3\n\n")),
            vec!["2", "3"],
        ),
        (
            "data before the last empty line",
            text("retry:1000\ndata:test1\n\nid:test\ndata:test2"),
            vec!["test1"],
        ),
        ("field data", text("data:\n\ndata\ndata\n\ndata:test\n\n"), vec!["", "\n", "test"]),
        (
            "event data",
            text(
                "data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n",
            ),
            vec!["msg\nmsg", "", "end"],
        ),
        ("event type", text("event:test\ndata:x\n\ndata:x\n\n"), vec!["test:x", "x"]),
        ("empty type", text("event: \ndata:data\n\n"), vec!["data"]),
        ("type overwritten", text("event:a\nevent:\ndata:d\n\n"), vec!["d"]),
        ("type reset without data", text("event:x\nid:7\n\ndata:a\n\n"), vec!["a#7"]),
        ("id not ASCII", text("id:\u{2026}\ndata:a\n\n"), vec!["a#\u{2026}"]),
        (
            "id persists",
            text("id:1\ndata:a\n\ndata:b\n\nid:2\ndata:c\n\ndata:d\n\n"),
            vec!["a#1", "b#1", "c#2", "d#2"],
        ),
        (
            "id resets",
            text("id:1\ndata:a\n\nid\ndata:b\n\nid:2\ndata:c\n\nid:\ndata:d\n\n"),
            vec!["a#1", "b", "c#2", "d"],
        ),
        (
            "id with NUL",
            text(
                "id:7\ndata:a\n\nid:\0\0\ndata:b\n\nid:x\0\ndata:c\n\nid:\0x\ndata:d\n\nid:x\0x\ndata:e\n\nid: \0\ndata:f\n\n",
            ),
            vec!["a#7", "b#7", "c#7", "d#7", "e#7", "f#7"],
        ),
        ("retry", text("retry:3000\ndata:x\n\n"), vec!["x"]),
        (
            "unknown field",
            text(
                "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
            ),
            vec!["test\n\ntest"],
        ),
        ("NUL in data", text("data:\0\n\n"), vec!["\0"]),
        ("UTF-8", text("data:ok\u{2026}\n\n"), vec!["ok\u{2026}"]),
        (
            "bad UTF-8",
            b"data: \xff\xfeok\n\ndata:\xc3(ok\n\ndata:\xe2\x80\n\ndata:z\n\n".to_vec(),
            vec!["\u{fffd}\u{fffd}ok", "\u{fffd}(ok", "\u{fffd}", "z"],
        ),
        ("CR only", text("data:a\r\rdata:b\r\r"), vec!["a", "b"]),
        (
            "CRLF",
            text("data: Hello\r\ndata: World\r\n\r\ndata: OK\r\n\r\n"),
            vec!["Hello\nWorld", "OK"],
        ),
        ("CR CR and the stream stays open", text("data:a\r\r"), vec!["a"]),
        (
            "not line ends",
            text("data:a\u{85}b\u{2028}c\x0bd\x0ce\n\n"),
            vec!["a\u{85}b\u{2028}c\x0bd\x0ce"],
        ),
        ("colon in value", text("data:a:b:c\n\n"), vec!["a:b:c"]),
        ("near names", text("data :x\nData:x\ncomment:x\n\ndata:y\n\n"), vec!["y"]),
        (
            "a cut mark and a cut character",
            text(&format!("{BOM}data:\u{1f600}\n\n")),
            vec!["\u{1f600}"],
        ),
        ("end inside an event", text("data: a\n\nid: 2\ndata: b"), vec!["a"]),
        ("end inside a character", b"data: a\n\ndata:\xf0\x9f".to_vec(), vec!["a"]),
    ]
}

#[test]
fn every_stream_means_the_same_however_it_is_cut() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for (name, input, expected) in table() {
        let every: Vec<usize> = (1..input.len()).collect();
        let (whole, _) = decode(&input, &[]);
        assert_eq!(shown(&whole), expected, "{name}, whole");
        assert_eq!(decode(&input, &every).0, whole, "{name}, byte by byte");
        for _ in 0..200 {
            let cuts = random_cuts(&mut random, input.len());
            assert_eq!(decode(&input, &cuts).0, whole, "{name}, seed {seed}, cut at {cuts:?}");
        }
    }
}

#[test]
fn retry_takes_digits_only_and_saturates() {
    let retries = |input: &str| -> Vec<Duration> {
        let items = decode(input.as_bytes(), &[]).0;
        items.iter().filter_map(|i| if let Item::Retry(d) = i { Some(*d) } else { None }).collect()
    };
    let second = Duration::from_secs(1);
    assert_eq!(retries("retry:3000\n\n"), [second * 3]);
    assert_eq!(retries("retry:03000\n\n"), [second * 3]);
    let bogus = "retry:3000\nretry:1000x\nretry:-1\nretry:+5\nretry:  5\nretry:\u{ff15}\nretry:\n";
    assert_eq!(retries(bogus), [second * 3]);
    assert_eq!(retries("retry\ndata:test\n\n"), [] as [Duration; 0]);
    assert_eq!(retries("retry:99999999999999999999999\n"), [Duration::from_millis(u64::MAX)]);
}

#[test]
fn an_id_is_committed_at_a_blank_line_only() {
    let committed = |input: &str| {
        let mut decoder = decode(input.as_bytes(), &[]).1;
        let dropped = decoder.finish();
        (decoder.last_event_id().map(ToString::to_string), dropped)
    };
    assert_eq!(committed("data:test1\n\nid:test\ndata:test2"), (None, 10));
    assert_eq!(committed("id:1\n\n"), (Some("1".into()), 0));
    assert_eq!(committed("id:1\n\nid:2\n"), (Some("1".into()), 0));
    assert_eq!(committed("data: a\n\ndata:\u{1f6}"), (None, 7));
}

#[test]
fn a_blank_line_after_cr_cr_needs_no_further_byte() {
    let (items, decoder) = decode(b"data:a\r\r", &[]);
    assert_eq!(shown(&items), ["a"]);
    assert_eq!(decoder.buffered(), 0);
}
