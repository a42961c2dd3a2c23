use std::collections::BTreeSet;
use std::time::Duration;

use eventlog::Log;
use serde_json::{Value, json};

use crate::sinks::{JsonLines, Sinks};
use crate::testing::{Answer, Bench, Mood, faulty_log};

const CONFIG: &str = "/v1/telemetry";
const EVENTS: &str = "/v1/telemetry/events";

fn on(answer: &Answer) -> Vec<String> {
    let config = answer.json()["config"]["categories"].clone();
    let categories = config.as_object().unwrap().iter();
    categories.filter(|(_, s)| s["enabled"] == true).map(|(name, _)| name.clone()).collect()
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], code);
    assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_replacement_creates_then_replaces_and_its_time_moves() {
    let bench = Bench::new().await;
    assert_eq!(bench.call("DELETE", CONFIG, "").await.status, 204);
    assert_eq!(bench.call("DELETE", CONFIG, "").await.status, 204, "off already");
    let created = bench.call("PUT", CONFIG, "").await;
    assert_eq!(created.status, 201);
    let defaults = ["connection", "browser", "sandbox", "drain", "listener", "run", "system"];
    assert_eq!(on(&created), defaults);
    let replaced = bench.call("PUT", CONFIG, r#"{"categories": {"api": {"enabled": true}}}"#).await;
    assert_eq!((replaced.status.as_u16(), on(&replaced)), (200, vec!["api".to_owned()]));
    let at = |answer: &Answer| answer.json()["applied_at"].as_i64().unwrap();
    assert!(at(&replaced) > at(&created));
    let read = bench.call("GET", CONFIG, "").await;
    assert_eq!((read.status.as_u16(), on(&read)), (200, vec!["api".to_owned()]));
    assert_eq!(at(&read), at(&replaced));
    let all_off = bench.call("PUT", CONFIG, r#"{"categories": {}}"#).await;
    assert_eq!((all_off.status.as_u16(), on(&all_off)), (200, vec![]));
    refused(&bench.call("GET", CONFIG, "").await, 404, "TELEMETRY_OFF");
}

#[tokio::test]
async fn a_merge_needs_something_to_merge_into() {
    let folder = tempfile::tempdir().unwrap();
    let jsonl = JsonLines { enabled: false, ..JsonLines::new(folder.path().join("events.jsonl")) };
    let sinks = Sinks { cursors: Some(folder.path().into()), jsonl: Some(jsonl), otlp: None };
    let bench = Bench::with_sinks(faulty_log().await, sinks);
    let same = bench.call("PATCH", CONFIG, "").await;
    assert_eq!((same.status.as_u16(), on(&same).len()), (200, 7));
    let change = r#"{"categories": {"run": {"enabled": false}}, "sinks": {"jsonl": {"enabled": true}},
        "control": {"excluded_methods": ["Page.close"]}}"#;
    let merged = bench.call("PATCH", CONFIG, change).await;
    assert_eq!((merged.status.as_u16(), on(&merged).len()), (200, 6));
    assert_eq!(merged.json()["config"]["control"]["excluded_methods"], json!(["Page.close"]));
    assert_eq!(merged.json()["config"]["sinks"]["jsonl"]["enabled"], true);
    let categories: Value = ["connection", "browser", "sandbox", "drain", "listener", "system"]
        .map(|name| (name.to_owned(), json!({"enabled": false})))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into();
    let all_off = bench.call("PATCH", CONFIG, &json!({"categories": categories}).to_string()).await;
    assert_eq!((all_off.status.as_u16(), on(&all_off).len()), (200, 0));
    refused(&bench.call("PATCH", CONFIG, change).await, 404, "TELEMETRY_OFF");
}

#[tokio::test]
async fn a_bad_change_is_explained_and_changes_nothing() {
    let bench = Bench::new().await;
    let before = bench.call("GET", CONFIG, "").await.json();
    for method in ["PUT", "PATCH"] {
        for body in ["{", "[]", r#"{"categories": {"cdp": {"enabled": true}}}"#, r#"{"more": 1}"#] {
            refused(&bench.call(method, CONFIG, body).await, 400, "BAD_REQUEST");
        }
        let unknown = bench.call(method, CONFIG, r#"{"sinks": {"s3": {"enabled": true}}}"#).await;
        refused(&unknown, 400, "BAD_REQUEST");
        let long = bench.call(method, CONFIG, &" ".repeat(super::BODY_MAX + 1)).await;
        refused(&long, 413, "BODY_TOO_LARGE");
    }
    assert_eq!(bench.call("GET", CONFIG, "").await.json(), before);
}

#[tokio::test]
async fn a_change_is_an_event_and_takes_effect_at_once() {
    let bench = Bench::new().await;
    let change = r#"{"categories": {"connection": {"enabled": false}}}"#;
    bench.call("PATCH", CONFIG, change).await;
    bench.publish_other();
    bench.stored().await;
    let events = bench.call("GET", EVENTS, "").await.json();
    assert_eq!(events.as_array().unwrap().len(), 1);
    assert_eq!(events[0]["data"], json!({"changed": ["categories.connection"]}));
    let cursor = bench.call("GET", CONFIG, "").await.json()["cursor"].clone();
    assert_eq!(cursor, format!("{}-1", bench.epoch()));
}

#[tokio::test]
async fn a_posted_event_is_answered_with_its_envelope() {
    let bench = Bench::new().await;
    let body = json!({
        "type": "checkout_done", "category": "run", "sandbox": "box",
        "source": {"kind": "client", "event": "tick", "metadata": {"k": "v"}},
        "data": {"items": 3, "nothing": null},
    });
    let answer = bench.call("POST", EVENTS, &body.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    let envelope = answer.json();
    assert_eq!(envelope["epoch"], bench.epoch().as_str());
    assert_eq!((&envelope["offset"], &envelope["node"]), (&json!(1), &json!("n1")));
    assert_eq!(envelope["data"], json!({"items": 3}));
    assert_eq!(envelope["source"]["metadata"], json!({"k": "v"}));
    assert_eq!(bench.call("GET", EVENTS, "").await.json(), json!([envelope]));
}

#[tokio::test]
async fn a_known_type_decides_its_category_and_an_unknown_one_needs_one() {
    let bench = Bench::new().await;
    let known = bench.call("POST", EVENTS, r#"{"type": "run_ended", "category": "api"}"#).await;
    assert_eq!(known.json()["category"], "run");
    let off = bench.call("POST", EVENTS, r#"{"type": "mine", "category": "api"}"#).await;
    assert_eq!((off.status.as_u16(), off.body.len()), (204, 0));
    for body in [
        r#"{"type": "mine"}"#,
        r#"{"category": "run"}"#,
        r#"{"type": "", "category": "run"}"#,
        r#"{"type": "mine", "category": "cdp"}"#,
        r#"{"type": "mine", "category": "run", "source": {"kind": "telemetry"}}"#,
        r#"{"type": "mine", "category": "run", "source": {"kind": "me"}}"#,
        r#"{"type": "mine", "category": "run", "data": []}"#,
        r#"{"type": "mine", "category": "run", "ts": 1}"#,
        "",
        "{",
    ] {
        refused(&bench.call("POST", EVENTS, body).await, 400, "BAD_REQUEST");
    }
    let long = format!(
        r#"{{"type": "mine", "category": "run", "data": {{"a": "{}"}}}}"#,
        "x".repeat(super::BODY_MAX)
    );
    refused(&bench.call("POST", EVENTS, &long).await, 413, "BODY_TOO_LARGE");
    assert_eq!(bench.log.status().next, 2, "only the first was stored");
}

#[tokio::test]
async fn an_event_of_a_megabyte_is_cut_and_says_so() {
    let bench = Bench::new().await;
    let data = json!({"text": "é".repeat(515_000), "n": 7, "ok": true, "short": "s"});
    let body = json!({"type": "mine", "category": "run", "data": data}).to_string();
    let envelope = bench.call("POST", EVENTS, &body).await.json();
    assert_eq!(envelope["truncated"], true);
    assert_eq!(
        envelope["data"],
        json!({"text": "é".repeat(128), "n": 7, "ok": true, "short": "s"})
    );
    bench.metric("lockkeeper_events_truncated_total 1").await;
}

#[tokio::test(start_paused = true)]
async fn a_post_is_refused_while_the_log_or_the_queue_is_full() {
    let bench = Bench::new().await;
    let body = r#"{"type": "mine", "category": "run"}"#;
    bench.log.set(Mood::Refuse(eventlog::AppendError::Full { cause: "no space".into() }));
    let waited = bench.call("POST", EVENTS, body).await;
    refused(&waited, 503, "LOG_UNAVAILABLE");
    assert_eq!(waited.header("retry-after"), "1");
    refused(&bench.call("POST", EVENTS, body).await, 503, "LOG_UNAVAILABLE");

    let bench = Bench::new().await;
    bench.log.set(Mood::Hang);
    bench.publish_other();
    tokio::task::yield_now().await;
    for _ in 0..crate::QUEUE_EVENTS {
        bench.publish_other();
    }
    let full = bench.call("POST", EVENTS, body).await;
    refused(&full, 503, "QUEUE_FULL");
    assert_eq!(full.header("retry-after"), "1");
}

/// Reads all pages of a query, and gives the offsets and how many pages there were.
async fn pages(bench: &Bench, query: &str) -> (Vec<u64>, usize) {
    let (mut offsets, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = bench.call("GET", &format!("{EVENTS}?{query}{after}"), "").await;
        assert_eq!(page.status, 200, "{page:?}");
        let events = page.json();
        offsets.extend(events.as_array().unwrap().iter().map(|e| e["offset"].as_u64().unwrap()));
        after = format!("&after={}", page.header("x-next-cursor"));
        pages += 1;
        if page.header("x-has-more") == "false" {
            return (offsets, pages);
        }
    }
}

#[tokio::test]
async fn paging_visits_each_match_once() {
    let bench = Bench::new().await;
    for _ in 0..25 {
        bench.publish(3).await;
        bench.publish_other();
    }
    bench.stored().await;
    assert_eq!(pages(&bench, "limit=7").await, ((1..=100).collect(), 15));
    let (matches, _) = pages(&bench, "category=connection&limit=4").await;
    assert_eq!(matches, (1..=25).map(|n| n * 4).collect::<Vec<_>>());
    let (matches, count) = pages(&bench, "category=api").await;
    assert_eq!((matches.len(), count), (0, 1));
    let first = bench.call("GET", &format!("{EVENTS}?after=0"), "").await;
    assert_eq!(first.json().as_array().unwrap().len(), 100);
    let at_end = bench.call("GET", &format!("{EVENTS}?after=100"), "").await;
    assert_eq!((at_end.json(), at_end.header("x-has-more")), (json!([]), "false"));
}

#[tokio::test]
async fn times_are_microseconds_and_inclusive() {
    let bench = Bench::new().await;
    let start = std::time::SystemTime::now() - Duration::from_secs(10);
    for step in 0..5 {
        let ts = start + Duration::from_micros(step);
        bench.telemetry.publish_at(ts, None, crate::testing::node_started());
    }
    bench.stored().await;
    let ts = eventlog::micros(start);
    let query = format!("since={}&until={}", ts + 1, ts + 3);
    assert_eq!(pages(&bench, &query).await.0, [2, 3, 4]);
    // A cursor wins over `since`, not over `until`.
    assert_eq!(pages(&bench, &format!("{query}&after=0")).await.0, [1, 2, 3, 4]);
    for bad in ["since=x", "limit=0", "after=junk", "category=junk"] {
        refused(&bench.call("GET", &format!("{EVENTS}?{bad}"), "").await, 400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn a_page_tells_its_gap() {
    let bench = Bench::new().await;
    bench.publish(9).await;
    let bench = bench.trimmed(4).await;
    let gap = async |query: &str| {
        let page = bench.call("GET", &format!("{EVENTS}?{query}"), "").await;
        let events = page.json().as_array().unwrap().len();
        (page.header("x-gap").to_owned(), page.header("x-gap-cause").to_owned(), events)
    };
    let told = |gap: &str, cause: &str, events| (gap.to_owned(), cause.to_owned(), events);
    assert_eq!(gap("").await, told("", "", 6));
    assert_eq!(gap("after=1").await, told("2-3", "retention", 6));
    assert_eq!(gap("after=zzzzzzzz-8").await, told("0-3", "epoch_changed", 6));
    assert_eq!(gap("after=99").await, told("0-9", "ahead", 0));
}

#[tokio::test]
async fn a_page_looks_at_fifty_thousand_records_and_no_more() {
    let bench = Bench::new().await;
    for _ in 0..21 {
        bench.publish(2_500).await;
    }
    bench.publish_other();
    bench.stored().await;
    let page = bench.call("GET", &format!("{EVENTS}?category=connection"), "").await;
    assert_eq!((page.json(), page.header("x-has-more")), (json!([]), "true"));
    let cursor = page.header("x-next-cursor").to_owned();
    assert_eq!(cursor, format!("{}-50000", bench.epoch()));
    let query = format!("{EVENTS}?category=connection&after={cursor}");
    assert_eq!(bench.call("GET", &query, "").await.json()[0]["offset"], 52_501);
}

#[tokio::test]
async fn a_wrong_method_is_refused_with_the_right_ones() {
    let bench = Bench::new().await;
    let answer = bench.call("POST", CONFIG, "").await;
    assert_eq!(answer.status, 405);
    let allowed: BTreeSet<_> = answer.header("allow").split(',').map(str::trim).collect();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH", "PUT"].into());
}
