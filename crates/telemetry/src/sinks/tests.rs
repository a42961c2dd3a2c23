//! The file of lines as a whole sink: where it begins, goes on, and what it says it lost.

use std::path::Path;

use eventlog::Log;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::testing::{Bench, faulty_log};

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("events.jsonl")
}

fn sinks(folder: &TempDir, enabled: bool) -> Sinks {
    let jsonl = JsonLines { enabled, ..JsonLines::new(file(folder)) };
    Sinks { cursors: Some(folder.path().join("cursors")), jsonl: Some(jsonl), otlp: None }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last line may be half written while it is looked at.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn offsets(path: &Path) -> Vec<u64> {
    lines(path).iter().filter_map(|line| line["offset"].as_u64()).collect()
}

/// Waits until the last line of a file has an offset.
async fn sent(path: &Path, offset: u64) {
    let there = async {
        while offsets(path).last() != Some(&offset) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(30), there).await;
    assert!(done.is_ok(), "{offset} should be sent: {:?}", offsets(path));
}

#[tokio::test]
async fn lines_are_the_events_as_everybody_gets_them() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::with_sinks(faulty_log().await, sinks(&folder, true));
    bench.metric(r#"lockkeeper_sink_lag_events{sink="jsonl"} 0"#).await;
    bench.publish(3).await;
    sent(&file(&folder), 3).await;
    let page = bench.call("GET", "/v1/telemetry/events", "").await.json();
    assert_eq!(Value::from(lines(&file(&folder))), page);
    bench.metric(r#"lockkeeper_sink_sent_total{sink="jsonl"} 3"#).await;
}

#[tokio::test]
async fn the_first_time_it_starts_at_the_end_and_later_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::with_sinks(faulty_log().await, sinks(&folder, false));
    bench.publish(5).await;
    bench.switch("jsonl", true).await;
    bench.metric(r#"lockkeeper_sink_lag_events{sink="jsonl"} 0"#).await;
    bench.publish(1).await;
    // The changes of the configuration are events too.
    sent(&file(&folder), 7).await;
    bench.switch("jsonl", false).await;
    bench.publish(4).await;
    bench.switch("jsonl", true).await;
    bench.publish(1).await;
    let last = bench.log.status().next - 1;
    sent(&file(&folder), last).await;
    let offsets = offsets(&file(&folder));
    assert!(offsets[0] >= 6, "{offsets:?}");
    assert_eq!(offsets, (offsets[0]..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn after_a_restart_it_goes_on_without_loss_or_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let log = faulty_log().await;
    let bench = Bench::with_sinks(Arc::clone(&log), sinks(&folder, true));
    bench.metric(r#"lockkeeper_sink_lag_events{sink="jsonl"} 0"#).await;
    for _ in 0..2_500 {
        bench.publish_other();
    }
    assert_eq!(bench.owner.close(Duration::from_secs(30)).await.left, 0);
    assert_eq!(offsets(&file(&folder)), (1..=2_500).collect::<Vec<_>>(), "the end waits for it");

    let bench = Bench::on(Arc::clone(&log), crate::testing::settings());
    bench.publish(10).await;
    assert_eq!(bench.owner.close(Duration::from_secs(30)).await.left, 0);
    let bench = Bench::with_sinks(log, sinks(&folder, true));
    bench.publish(1).await;
    sent(&file(&folder), 2_511).await;
    assert_eq!(offsets(&file(&folder)), (1..=2_511).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_retention_took_from_a_sink_that_was_down_is_counted_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = faulty_log().await;
    let bench = Bench::with_sinks(Arc::clone(&log), sinks(&folder, true));
    bench.metric(r#"lockkeeper_sink_lag_events{sink="jsonl"} 0"#).await;
    bench.publish(3).await;
    sent(&file(&folder), 3).await;
    bench.owner.close(Duration::from_secs(30)).await;
    let bench = Bench::on(Arc::clone(&log), crate::testing::settings());
    bench.publish(10).await;
    bench.owner.close(Duration::from_secs(30)).await;
    assert_eq!(log.trim(9).await, Ok(9));

    let bench = Bench::with_sinks(log, sinks(&folder, true));
    sent(&file(&folder), 13).await;
    let epoch = bench.epoch().as_str();
    let gap = json!({"epoch": epoch, "type": "gap", "from": 4, "to": 8, "cause": "retention"});
    assert_eq!(lines(&file(&folder))[3], gap);
    assert_eq!(offsets(&file(&folder)), [1, 2, 3, 9, 10, 11, 12, 13]);
    bench.metric(r#"lockkeeper_sink_dropped_total{sink="jsonl",cause="retention"} 5"#).await;
}

#[tokio::test]
async fn another_log_than_the_one_of_its_cursor_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::with_sinks(faulty_log().await, sinks(&folder, true));
    bench.metric(r#"lockkeeper_sink_lag_events{sink="jsonl"} 0"#).await;
    bench.publish(3).await;
    sent(&file(&folder), 3).await;
    bench.owner.close(Duration::from_secs(30)).await;
    let bench = Bench::with_sinks(faulty_log().await, sinks(&folder, true));
    bench.publish(1).await;
    sent(&file(&folder), 1).await;
    let epoch = bench.epoch().as_str();
    let gap = json!({"epoch": epoch, "type": "gap", "to": 0, "cause": "epoch_changed"});
    assert_eq!(lines(&file(&folder))[3], gap);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_tried_again_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(file(&folder)).unwrap();
    let bench = Bench::with_sinks(faulty_log().await, sinks(&folder, true));
    bench.metric(r#"lockkeeper_sink_lag_events{sink="jsonl"} 0"#).await;
    bench.publish(2).await;
    bench.metric(r#"lockkeeper_sink_failures_total{sink="jsonl",cause="write"} 2"#).await;
    let started = Instant::now();
    bench.switch("jsonl", true).await;
    assert_eq!(
        bench
            .call(
                "PUT",
                "/v1/telemetry",
                r#"{"categories":{"system":{"enabled":true}},
        "sinks":{"jsonl":{"enabled":true}}}"#
            )
            .await
            .status,
        200
    );
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    std::fs::remove_dir(file(&folder)).unwrap();
    let kinds = async || {
        let events = bench.call("GET", "/v1/telemetry/events", "").await.json();
        let kinds =
            events.as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap().to_owned());
        kinds.filter(|kind| kind.starts_with("sink_")).collect::<Vec<_>>()
    };
    let told = async {
        while kinds().await != ["sink_degraded", "sink_recovered"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(30), told).await;
    assert!(done.is_ok(), "{:?}", kinds().await);
    sent(&file(&folder), bench.log.status().next - 1).await;
    let offsets = offsets(&file(&folder));
    assert_eq!(offsets, (1..bench.log.status().next).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_end_makes_one_more_attempt_and_does_not_wait_for_a_sink_that_is_down() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(file(&folder)).unwrap();
    let bench = Bench::with_sinks(faulty_log().await, sinks(&folder, true));
    bench.metric(r#"lockkeeper_sink_lag_events{sink="jsonl"} 0"#).await;
    bench.publish(2).await;
    bench.metric(r#"lockkeeper_sink_failures_total{sink="jsonl",cause="write"} 1"#).await;
    let started = Instant::now();
    bench.owner.close(Duration::from_secs(60)).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
