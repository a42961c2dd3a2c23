use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::events::samples;
use crate::handle::LossCounter;
use crate::words::{
    Category, CreateRefused, GapWord, LossCause, RunOutcome, SandboxState, StopReason,
};

/// Names of families with their kind and help text, as the classic text has them.
fn families(text: &str) -> BTreeMap<String, (String, String)> {
    let mut families: BTreeMap<String, (String, String)> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                families.entry(name.into()).or_default().1 = help.into();
            }
            ["#", "TYPE", name, kind] => {
                families.entry(name.into()).or_default().0 = kind.into();
            }
            _ => assert!(!line.starts_with('#'), "{line}"),
        }
    }
    families
}

/// Every metric with at least one value: a family without any is not written.
fn everything() -> Registry {
    let mut registry = registry();
    let cdp = CdpMetrics::register(&mut registry);
    cdp.stalled(Duration::from_millis(1500), Duration::ZERO);
    cdp.ended(&samples::disconnect());
    cdp.refused(&samples::refused());
    let upstream = UpstreamMetrics::register(&mut registry);
    upstream.generation_ended("exited");
    upstream.url_refused("host");
    let _endpoint = upstream.endpoint("ready");
    BrowserMetrics::register(&mut registry).exited(&samples::exited());
    let sandboxes = SandboxMetrics::register(&mut registry);
    let _sandbox = sandboxes.sandbox(SandboxState::Running);
    sandboxes.created(true, Duration::from_millis(3));
    sandboxes.stopped(StopReason::Ttl);
    sandboxes.refused(CreateRefused::Busy);
    let listeners = ListenerMetrics::register(&mut registry);
    let _listener = listeners.listener("connected");
    listeners.disconnected("eof");
    listeners.run_ended(RunOutcome::Success);
    listeners.logged("event", 7);
    let events = EventMetrics::register(&mut registry);
    events.lost(Category::Api, LossCause::QueueFull, 3);
    events.gap(GapWord::Ahead);
    let sinks = SinkMetrics::register(&mut registry);
    sinks.lag("jsonl", 7, Duration::from_millis(2500));
    sinks.sent("jsonl", 1);
    sinks.dropped("jsonl", "retention", 1);
    sinks.failed("jsonl", "write");
    let log = LogMetrics::register(&mut registry).class("telemetry", "memory");
    log.failed(&eventlog::AppendError::Fenced);
    registry
}

/// The process shell registers its own.
const ELSEWHERE: [&str; 4] =
    ["http_requests_total", "access_refused_total", "drain_state", "drain_waiting"];

#[test]
fn the_classic_text_has_each_metric_of_the_catalogue_with_its_kind_and_help() {
    let text = write(&everything()).unwrap();
    let families = families(&text);
    for metric in CATALOGUE.iter().filter(|metric| !ELSEWHERE.contains(&metric.name)) {
        let family = families.get(&format!("lockkeeper_{}", metric.name));
        let expected = (metric.kind.as_str().to_owned(), format!("{}.", metric.help));
        assert_eq!(family, Some(&expected), "{}", metric.name);
    }
    assert_eq!(families.len() + ELSEWHERE.len(), CATALOGUE.len());
    for line in [
        r#"lockkeeper_cdp_stall_seconds_total{direction="to_browser"} 1.5"#,
        r#"lockkeeper_events_lost_total{category="api",cause="queue_full"} 3"#,
        r#"lockkeeper_sink_lag_seconds{sink="jsonl"} 2.5"#,
        r#"lockkeeper_sandbox_create_seconds_count{warm="true"} 1"#,
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
    }
}

#[test]
fn names_follow_the_rules_of_prometheus() {
    for Metric { name, kind, help, .. } in CATALOGUE {
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
        assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {help}");
    }
}

#[test]
fn a_gauge_moves_with_its_guard() {
    let mut registry = registry();
    let sandboxes = SandboxMetrics::register(&mut registry);
    let count = |state: SandboxState| {
        let line = format!("lockkeeper_sandboxes{{state=\"{state}\"}} ");
        let text = write(&registry).unwrap();
        text.lines().find_map(|there| there.strip_prefix(&line)?.parse().ok()).unwrap_or(0_i64)
    };
    let mut one = sandboxes.sandbox(SandboxState::Starting);
    let other = sandboxes.sandbox(SandboxState::Starting);
    assert_eq!(count(SandboxState::Starting), 2);
    one.move_to(SandboxState::Running.as_str());
    one.move_to(SandboxState::Running.as_str());
    assert_eq!((count(SandboxState::Starting), count(SandboxState::Running)), (1, 1));
    drop((one, other));
    assert_eq!((count(SandboxState::Starting), count(SandboxState::Running)), (0, 0));
}
