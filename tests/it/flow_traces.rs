//! A caller's trace: in log lines, in events, and in the spans that leave the daemon.

use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Outcome, Receiver, daemon, must};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

crate::facts! {
    the_trace_of_a_request_is_in_its_events_its_log_lines_and_its_spans,
    a_trace_that_cannot_be_read_harms_nobody,
    a_call_of_the_api_is_an_event_when_that_is_switched_on,
}

const LIMIT: Duration = Duration::from_secs(20);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn the_trace_of_a_request_is_in_its_events_its_log_lines_and_its_spans() -> Outcome {
    let receiver = Receiver::start()?;
    let options = daemon().env("LOCKKEEPER_OTLP_ENDPOINT", receiver.endpoint());
    let options = options.env("LOCKKEEPER_LOG", "debug");
    let mut daemon = options.env("LOCKKEEPER_OTLP_TRACES", "true").start()?;
    let recorded = traceparent("01");
    let headers = [("traceparent", &*recorded), ("content-type", "application/json")];
    let body = json!({ "flavour": "headless-shell" }).to_string();
    let answer = daemon.call_with("POST", "/v1/sandboxes", &headers, Some(&body))?;
    daemon.remember();
    let url = answer.body["ws_url"].as_str().ok_or_else(|| format!("{answer:?}"))?.to_owned();
    let mut client = Cdp::open_with(&url, &headers[..1]).map_err(|e| format!("{e:?}"))?;
    client.command("Browser.getVersion", &json!({}))?;
    client.close(1000)?;

    let events = daemon.events()?;
    for kind in ["sandbox_created", "cdp_connect", "cdp_disconnect"] {
        let event = events.wait_for(kind, LIMIT, |event| event["type"] == kind)?;
        must!(event["trace_id"] == TRACE, "{kind} is of no trace: {event}");
    }
    let started = events.wait_for("node_started", LIMIT, |e| e["type"] == "node_started")?;
    must!(started.get("trace_id").is_none(), "nobody asked for that: {started}");

    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "{status}:\n{}", daemon.log());
    let lines = daemon.log();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let inside: Vec<_> = lines.filter(|line| line["span"]["trace.id"] == TRACE).collect();
    must!(!inside.is_empty(), "no log line is of the trace:\n{}", daemon.log());

    // They were sent before the end at the latest.
    let spans = receiver.spans();
    let ours: Vec<_> = spans.iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    for name in ["request", "session"] {
        let span = ours.iter().find(|span| span.name == name);
        let span = span.ok_or_else(|| format!("no span {name} of the trace in {spans:?}"))?;
        must!(hex(&span.parent_span_id) == PARENT, "the parent is the caller's: {span:?}");
        must!(span.end_time_unix_nano > span.start_time_unix_nano, "{span:?}");
    }
    let text = format!("{spans:?}");
    let id = answer.body["id"].as_str().unwrap_or_default();
    must!(text.contains("/v1/sandboxes") && text.contains(id), "{text}");
    must!(!text.contains("/devtools/browser/"), "no path is in a span: {text}");
    Ok(())
}

fn a_trace_that_cannot_be_read_harms_nobody() -> Outcome {
    let receiver = Receiver::start()?;
    let options = daemon().env("LOCKKEEPER_OTLP_ENDPOINT", receiver.endpoint());
    let mut daemon = options.env("LOCKKEEPER_OTLP_TRACES", "true").start()?;
    for bad in ["", "00-abc-def-01", &format!("00-{}-{PARENT}-01", "0".repeat(32))] {
        let answer = daemon.call_with("GET", "/v1/node", &[("traceparent", bad)], None)?;
        must!(answer.status == 200, "{bad:?} was answered {answer:?}");
    }
    // A caller that does not record its trace asks for none of ours.
    let silent = traceparent("00");
    let answer = daemon.call_with("GET", "/v1/node", &[("traceparent", &silent)], None)?;
    must!(answer.status == 200, "{answer:?}");
    daemon.signal(Signal::SIGTERM);
    must!(daemon.wait_exit(LIMIT)?.success(), "{}", daemon.log());
    let spans = receiver.spans();
    let requests = spans.iter().filter(|span| span.name == "request").count();
    must!(requests >= 3, "{spans:?}:\n{}", daemon.log());
    must!(spans.iter().all(|span| hex(&span.trace_id) != TRACE), "{spans:?}");
    Ok(())
}

fn a_call_of_the_api_is_an_event_when_that_is_switched_on() -> Outcome {
    let daemon = daemon().start()?;
    daemon.call("GET", "/v1/node", None)?;
    let change = json!({ "categories": { "api": { "enabled": true } } });
    let answer = daemon.call("PATCH", "/v1/telemetry", Some(&change))?;
    must!(answer.status == 200, "{answer:?}");
    daemon.call("GET", "/v1/sandboxes/nobody-here", None)?;
    daemon.call("GET", "/healthz", None)?;
    let events = daemon.events()?;
    let wanted = |event: &Value| {
        event["type"] == "api_call" && event["data"]["route"] == "/v1/sandboxes/{id}"
    };
    let event = events.wait_for("an api_call", LIMIT, wanted)?;
    must!(event["data"]["method"] == "GET" && event["data"]["status"] == 404, "{event}");
    must!(event["data"]["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{event}");
    let until = Instant::now() + Duration::from_millis(200);
    while Instant::now() < until {
        let calls = events.of("api_call");
        let routes: Vec<_> = calls.iter().map(|call| &call["data"]["route"]).collect();
        must!(routes.iter().all(|route| *route != "/v1/node"), "it was off then: {routes:?}");
        must!(routes.iter().all(|route| *route != "/healthz"), "not of the API: {routes:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
