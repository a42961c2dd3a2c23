use std::collections::BTreeSet;

use eventlog::Log;
use futures_util::FutureExt;
use serde_json::json;

use super::*;
use crate::feed::RING_EVENTS;
use crate::testing::{Bench, Mood, faulty_log, settings};

fn id(bench: &Bench, offset: u64) -> String {
    format!("{}-{offset}", bench.epoch())
}

/// The first thing that a stream says: offset of an event, or the words of a gap with its end.
async fn opening(bench: &Bench, query: &str, header: Option<&str>) -> String {
    let mut stream = bench.stream(query, header).await;
    let block = stream.block().await.unwrap();
    let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) else {
        return block;
    };
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    match data.get("cause") {
        Some(cause) => {
            let (_, _, next) = stream.event().await.unwrap();
            format!("gap {} to {}, then {}", cause.as_str().unwrap(), data["to"], next["offset"])
        }
        None => format!("event {}", data["offset"]),
    }
}

#[tokio::test]
async fn a_stream_begins_where_its_reader_asks() {
    let bench = Bench::new().await;
    bench.publish(9).await;
    let bench = bench.trimmed(4).await;
    let now = format!("id: {}", id(&bench, 9));
    let after = |offset: u64| format!("after={}", id(&bench, offset));
    assert_eq!(opening(&bench, "", None).await, now);
    assert_eq!(opening(&bench, "replay=all", None).await, "event 4");
    assert_eq!(opening(&bench, &after(6), None).await, "event 7");
    assert_eq!(opening(&bench, "after=6", None).await, "event 7");
    assert_eq!(opening(&bench, &after(6), Some(&id(&bench, 7))).await, "event 8");
    assert_eq!(opening(&bench, &after(6), Some("8")).await, "event 9");
    for junk in ["", "junk", "-1"] {
        assert_eq!(opening(&bench, "", Some(junk)).await, now);
        assert_eq!(opening(&bench, "after=6&replay=all", Some(junk)).await, "event 7");
    }
    assert_eq!(opening(&bench, "after=0", None).await, "gap retention to 3, then 4");
    assert_eq!(opening(&bench, "", Some("1")).await, "gap retention to 3, then 4");
    let other = Some("zzzzzzzz-7");
    assert_eq!(opening(&bench, "", other).await, "gap epoch_changed to 3, then 4");
    let bad = bench.call("GET", "/v1/telemetry/stream?after=junk", "").await;
    assert_eq!(bad.status, 400);
    assert_eq!(bad.json()["error"]["code"], "BAD_REQUEST");
    let bad = bench.call("GET", "/v1/telemetry/stream?category=cdp", "").await;
    assert!(bad.json()["error"]["message"].as_str().unwrap().contains("connection"), "{bad:?}");
}

#[tokio::test]
async fn a_cursor_beyond_the_newest_event_is_told_and_then_live() {
    let bench = Bench::new().await;
    bench.publish(3).await;
    let mut stream = bench.stream("", Some("99")).await;
    let (at, gap, data) = stream.event().await.unwrap();
    assert_eq!((at, gap), (id(&bench, 3), true));
    assert_eq!(data, json!({"epoch": bench.epoch().as_str(), "to": 3, "cause": "ahead"}));
    bench.publish(1).await;
    assert_eq!(stream.offsets(1).await, [4]);
    bench.metric(r#"lockkeeper_stream_gaps_total{cause="ahead"} 1"#).await;
}

#[tokio::test]
async fn a_gap_names_what_is_missing_and_evicts_nothing() {
    let bench = Bench::new().await;
    bench.publish(9).await;
    let bench = bench.trimmed(4).await;
    let mut stream = bench.stream("", Some("1")).await;
    let (at, gap, data) = stream.event().await.unwrap();
    assert_eq!((at, gap), (id(&bench, 3), true));
    let epoch = bench.epoch().as_str();
    assert_eq!(data, json!({"epoch": epoch, "from": 2, "to": 3, "cause": "retention"}));
    assert_eq!(stream.offsets(6).await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(bench.log.status().next, 10, "no event was made of it");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_there_every_fifteen_seconds() {
    let bench = Bench::new().await;
    let mut stream = bench.stream("category=connection", None).await;
    assert_eq!(stream.block().await.unwrap(), format!("id: {}", id(&bench, 0)));
    let started = Instant::now();
    assert_eq!(stream.block().await.unwrap(), ":");
    assert_eq!(started.elapsed().as_secs(), 15);
    bench.publish(2).await;
    // Events of others passed: the cursor moves, nothing is dispatched.
    assert_eq!(stream.block().await.unwrap(), format!("id: {}", id(&bench, 2)));
    assert_eq!(started.elapsed().as_secs(), 30);
    assert_eq!(stream.block().await.unwrap(), ":");
    bench.publish_other();
    assert_eq!(stream.offsets(1).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn readers_are_told_that_the_log_takes_no_events() {
    let bench = Bench::new().await;
    let mut stream = bench.stream("", None).await;
    stream.block().await;
    bench.log.set(Mood::Refuse(eventlog::AppendError::Full { cause: "no space".into() }));
    bench.publish_other();
    assert_eq!(stream.block().await.unwrap(), ": log unavailable");
    let started = Instant::now();
    assert_eq!(stream.block().await.unwrap(), ": log unavailable");
    assert_eq!(started.elapsed().as_secs(), 15);
    bench.log.set(Mood::Good);
    assert_eq!(stream.offsets(3).await, [1, 2, 3]);
}

#[tokio::test]
async fn streams_end_behind_all_accepted_events_when_told_to() {
    let bench = Bench::new().await;
    let mut before = bench.stream("", None).await;
    bench.metric("lockkeeper_stream_clients 1").await;
    for _ in 0..1_000 {
        bench.publish_other();
    }
    bench.owner.streams().end(Duration::from_secs(60)).await;
    bench.publish_other();
    let mut late = bench.stream("replay=all", None).await;
    for stream in [&mut before, &mut late] {
        let offsets = stream.offsets(1_000).await;
        assert_eq!(offsets.last(), Some(&1_000));
    }
    loop {
        match before.block().await.as_deref() {
            Some(": draining") => break,
            Some(block) => assert!(block.starts_with("id: "), "{block}"),
            None => panic!("ended without a word"),
        }
    }
    assert_eq!(before.block().await, None);
    drop((before, late));
    bench.metric("lockkeeper_stream_clients 0").await;
}

#[tokio::test]
async fn a_stream_stays_open_when_telemetry_is_switched_off() {
    let bench = Bench::new().await;
    let mut stream = bench.stream("category=connection", None).await;
    stream.block().await;
    assert_eq!(bench.call("DELETE", "/v1/telemetry", "").await.status, 204);
    bench.publish_other();
    assert_eq!(bench.call("PUT", "/v1/telemetry", "").await.status, 201);
    bench.publish_other();
    assert_eq!(stream.event().await.unwrap().2["type"], "cdp_connect");
    assert_eq!(bench.log.status().next, 3, "the change, and one connect");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_for_a_minute_is_cut_off() {
    let bench = Bench::new().await;
    bench.publish(3).await;
    let mut stream = bench.stream("replay=all", None).await;
    assert_eq!(stream.offsets(3).await, [1, 2, 3]);
    tokio::time::advance(Duration::from_secs(59)).await;
    bench.publish(1).await;
    assert_eq!(stream.offsets(1).await, [4]);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(stream.piece().await.unwrap().is_err());
    assert!(stream.piece().await.is_none());
}

#[tokio::test]
async fn a_slow_reader_goes_on_from_the_log_without_a_gap() {
    let bench = Bench::new().await;
    let mut slow = bench.stream("", None).await;
    slow.block().await;
    let events = RING_EVENTS as u64 + 2_000;
    for _ in 0..events / 1_000 + 1 {
        bench.publish(1_000).await;
    }
    let count = usize::try_from(events).unwrap();
    assert_eq!(slow.offsets(count).await, (1..=events).collect::<Vec<_>>());
}

#[tokio::test]
async fn filters_give_what_a_reader_of_everything_would_choose() {
    let bench = Bench::new().await;
    for _ in 0..20 {
        bench.publish(3).await;
        bench.publish_other();
        bench.telemetry.publish(Some("other"), crate::events::samples::exited());
    }
    bench.stored().await;
    let mut everything = bench.stream("replay=all", None).await;
    let mut all = Vec::new();
    for _ in 0..100 {
        all.push(everything.event().await.unwrap().2);
    }
    for (query, wanted) in [
        ("category=system", ("category", vec!["system"])),
        ("category=browser&category=connection", ("category", vec!["browser", "connection"])),
        ("type=oom_kill&type=browser_exited", ("type", vec!["oom_kill", "browser_exited"])),
        ("sandbox=other", ("sandbox", vec!["other"])),
    ] {
        let fits =
            |event: &&serde_json::Value| wanted.1.contains(&event[wanted.0].as_str().unwrap());
        let expected: Vec<_> = all.iter().filter(fits).collect();
        let mut stream = bench.stream(&format!("replay=all&{query}"), None).await;
        for event in expected {
            let (_, gap, data) = stream.event().await.unwrap();
            assert_eq!((gap, &data), (false, event), "{query}");
        }
        assert!(stream.event().now_or_never().is_none(), "{query}: nothing else");
    }
}

#[tokio::test]
async fn live_paged_and_stored_events_are_the_same_bytes() {
    let bench = Bench::new().await;
    let mut live = bench.stream("", None).await;
    live.block().await;
    for event in crate::events::samples::all() {
        bench.telemetry.publish(Some("box"), event);
    }
    bench.stored().await;
    let page = bench.call("GET", "/v1/telemetry/events?limit=1000", "").await;
    let mut joined = Vec::new();
    let mut ids = BTreeSet::new();
    for _ in 0..page.json().as_array().unwrap().len() {
        let block = live.block().await.unwrap();
        let (first, data) = block.split_once("\ndata: ").unwrap();
        assert!(ids.insert(first.to_owned()));
        joined.push(data.to_owned());
    }
    assert_eq!(std::str::from_utf8(&page.body).unwrap(), format!("[{}]", joined.join(",")));
}

#[tokio::test]
async fn after_a_restart_the_same_log_goes_on_and_another_one_is_told() {
    let log = faulty_log().await;
    let bench = Bench::on(std::sync::Arc::clone(&log), settings());
    bench.publish(3).await;
    let cursor = id(&bench, 2);
    let Bench { owner, .. } = bench;
    assert_eq!(owner.close(Duration::from_secs(60)).await.left, 0);

    let bench = Bench::on(log, settings());
    bench.publish(1).await;
    assert_eq!(bench.stream("", Some(&cursor)).await.offsets(2).await, [3, 4]);
    let other = Bench::new().await;
    other.publish(1).await;
    assert_eq!(opening(&other, "", Some(&cursor)).await, "gap epoch_changed to 0, then 1");
}

/// Fifty readers join while events are published: each sees every offset once, in order.
async fn join_under_load(events: u64) {
    let bench = Bench::new().await;
    let (joined, mut wanted) = tokio::sync::mpsc::channel::<()>(50);
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..50_u64 {
        let mut news = bench.owner.streams().watch();
        let router = bench.router.clone();
        let joined = joined.clone();
        readers.spawn(async move {
            news.wait_for(|news| news.next > reader * events / 60).await.unwrap();
            let replay = if reader % 2 == 0 { "after=0" } else { "" };
            let mut stream = crate::testing::open(&router, replay, None).await;
            joined.send(()).await.unwrap();
            let mut last = None;
            while last != Some(events) {
                let block = stream.block().await.unwrap();
                let (id, data) = block.split_once('\n').unwrap_or((&block, ""));
                if !data.starts_with("data: ") {
                    continue;
                }
                let offset: u64 = id.rsplit_once('-').unwrap().1.parse().unwrap();
                match last {
                    Some(last) => assert_eq!(offset, last + 1),
                    None => assert!(reader % 2 == 1 || offset == 1),
                }
                last = Some(offset);
            }
        });
    }
    for _ in 0..events / 500 * 9 / 10 {
        bench.publish(500).await;
    }
    for _ in 0..50 {
        wanted.recv().await.unwrap();
    }
    for _ in 0..events / 500 / 10 {
        bench.publish(500).await;
    }
    readers.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_join_under_load_miss_nothing_and_see_nothing_twice() {
    join_under_load(10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute without optimisation"]
async fn readers_that_join_a_hundred_thousand_events_miss_nothing() {
    join_under_load(100_000).await;
}
