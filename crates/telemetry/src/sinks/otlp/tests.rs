use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::encode::{Severity, severity};
use super::*;
use crate::events::{Posted, PostedSource};
use crate::sinks::Sinks;
use crate::testing::{Bench, faulty_log};
use crate::words::{Category, SourceKind};

/// What the receiver answers next: status, headers, body.
type Scripted = (u16, Vec<(&'static str, String)>, &'static str);

/// A request: when it came, its token, its body, and how long that was.
type Seen = (Instant, Option<String>, Value, usize);

/// An OTLP receiver that says what it is told to, then 200.
#[derive(Clone, Default)]
struct Receiver {
    script: Arc<Mutex<VecDeque<Scripted>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

async fn receive(State(receiver): State<Receiver>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/base/v1/logs"));
    assert_eq!(parts.headers["content-type"], "application/json");
    assert_eq!(parts.headers["content-encoding"], "gzip");
    let token = parts.headers.get("authorization").map(|token| token.to_str().unwrap().to_owned());
    let zipped = body.collect().await.unwrap().to_bytes();
    let mut json = String::new();
    GzDecoder::new(&zipped[..]).read_to_string(&mut json).unwrap();
    let value = serde_json::from_str(&json).unwrap();
    receiver.seen.lock().unwrap().push((Instant::now(), token, value, json.len()));
    let (status, headers, body) =
        receiver.script.lock().unwrap().pop_front().unwrap_or((200, vec![], "{}"));
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

/// Serves it on a free port.
async fn serve(receiver: &Receiver) -> (Otlp, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(receive).with_state(receiver.clone());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (Otlp::new(&format!("http://{address}/base/")).unwrap(), server)
}

struct Setup {
    bench: Bench,
    receiver: Receiver,
    _folder: tempfile::TempDir,
    _server: JoinSet<()>,
}

impl Setup {
    async fn new(script: Vec<Scripted>) -> Self {
        let receiver = Receiver::default();
        receiver.script.lock().unwrap().extend(script);
        let (mut otlp, server) = serve(&receiver).await;
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "first\n").unwrap();
        otlp.token_file = Some(token);
        let sinks = Sinks { cursors: Some(folder.path().into()), jsonl: None, otlp: Some(otlp) };
        let bench = Bench::with_sinks(faulty_log().await, sinks);
        bench.metric(r#"lockkeeper_sink_lag_events{sink="otlp"} 0"#).await;
        Self { bench, receiver, _folder: folder, _server: server }
    }

    /// The offsets of each request, in the order in which they came.
    fn offsets(&self) -> Vec<Vec<u64>> {
        let seen = self.receiver.seen.lock().unwrap();
        seen.iter().map(|(_, _, body, _)| records(body).iter().map(offset).collect()).collect()
    }

    /// Waits until so many events were sent for good.
    async fn sent(&self, events: u64) {
        self.bench.metric(&format!(r#"lockkeeper_sink_sent_total{{sink="otlp"}} {events}"#)).await;
    }
}

fn records(body: &Value) -> Vec<Value> {
    body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap().clone()
}

fn attribute(record: &Value, name: &str) -> Value {
    let attributes = record["attributes"].as_array().unwrap().iter();
    attributes.filter(|a| a["key"] == name).map(|a| a["value"].clone()).next().unwrap_or_default()
}

fn offset(record: &Value) -> u64 {
    attribute(record, "lockkeeper.offset")["intValue"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_event_is_a_log_record() {
    let setup = Setup::new(vec![]).await;
    let ts = std::time::SystemTime::now() - Duration::from_secs(5);
    setup.bench.telemetry.publish_at(ts, Some("box"), crate::events::samples::refused());
    setup.sent(1).await;
    let seen = setup.receiver.seen.lock().unwrap();
    let (_, token, body, _) = &seen[0];
    assert_eq!(token.as_deref(), Some("Bearer first"));
    let resource = &body["resourceLogs"][0]["resource"];
    assert_eq!(attribute(resource, "service.name"), json!({"stringValue": "lockkeeper"}));
    let record = &records(body)[0];
    assert_eq!(record["timeUnixNano"], format!("{}000", eventlog::micros(ts)));
    assert_eq!(record["eventName"], "cdp_refused");
    assert_eq!((&record["severityText"], &record["severityNumber"]), (&json!("WARN"), &json!(13)));
    for (name, value) in [("category", "connection"), ("node", "n1"), ("sandbox", "box")] {
        let attribute = attribute(record, &format!("lockkeeper.{name}"));
        assert_eq!(attribute, json!({"stringValue": value}));
    }
    assert_eq!(attribute(record, "lockkeeper.epoch")["stringValue"], setup.bench.epoch().as_str());
    assert_eq!(offset(record), 1);
    let members = record["body"]["kvlistValue"]["values"].as_array().unwrap();
    let member = |name: &str| members.iter().find(|m| m["key"] == name).unwrap()["value"].clone();
    assert_eq!(member("connection_id"), json!({"stringValue": "c1"}));
    assert_eq!(member("status"), json!({"intValue": "503"}));
    assert_eq!(member("hold_ms"), json!({"doubleValue": 1.001}));
}

#[test]
fn crashes_and_failures_are_errors() {
    let of = |kind: &str, data: Value| severity(kind, &data);
    let exit = |kind: &str, code: i32, expected: bool| {
        of("browser_exited", json!({"exit": {"kind": kind, "code": code}, "expected": expected}))
    };
    assert_eq!(exit("exited", 0, false), Severity::Info);
    assert_eq!(exit("exited", 1, false), Severity::Error);
    assert_eq!(exit("signalled", 0, false), Severity::Error);
    assert_eq!(exit("signalled", 0, true), Severity::Info);
    for kind in ["oom_kill", "log_degraded", "sandbox_checkpoint_failed"] {
        assert_eq!(of(kind, json!({})), Severity::Error, "{kind}");
    }
    for kind in ["cdp_refused", "sink_degraded", "drain_forced"] {
        assert_eq!(of(kind, json!({})), Severity::Warn, "{kind}");
    }
    assert_eq!(of("cdp_disconnect", json!({"reason": "upstream_error"})), Severity::Warn);
    assert_eq!(of("cdp_disconnect", json!({"reason": "client_close"})), Severity::Info);
    assert_eq!(of("sandbox_stopped", json!({"stop_reason": "oom"})), Severity::Error);
    assert_eq!(of("sandbox_stopped", json!({"stop_reason": "ttl"})), Severity::Info);
}

#[tokio::test]
async fn batches_of_long_events_are_split_below_four_megabytes() {
    let setup = Setup::new(vec![]).await;
    for _ in 0..10 {
        let text = Value::from("x".repeat(990_000));
        let source = PostedSource { kind: SourceKind::Client, event: None, metadata: vec![] };
        let data = [("text".to_owned(), text)].into_iter().collect();
        let event = Posted::new("long", Some(Category::Run), source, data).unwrap();
        setup.bench.telemetry.publish(None, event);
    }
    setup.sent(10).await;
    assert_eq!(setup.offsets().concat(), (1..=10).collect::<Vec<_>>());
    let seen = setup.receiver.seen.lock().unwrap();
    assert!(seen.iter().all(|(_, _, _, bytes)| *bytes <= REQUEST_MAX));
}

#[tokio::test]
async fn an_answer_that_can_change_is_waited_for() {
    let later = |status: u16, seconds: &str| {
        let header = ("retry-after", seconds.to_owned());
        (status, vec![header], "")
    };
    let setup = Setup::new(vec![
        later(429, "1"),
        (503, vec![], ""),
        (502, vec![], ""),
        (500, vec![], ""),
        (307, vec![("location", "http://127.0.0.1:9/elsewhere".to_owned())], ""),
    ])
    .await;
    setup.bench.publish(1).await;
    setup.sent(1).await;
    let requests = setup.offsets();
    assert!(requests.len() >= 6 && requests.iter().all(|offsets| offsets[0] == 1), "{requests:?}");
    let waited = {
        let seen = setup.receiver.seen.lock().unwrap();
        seen[1].0 - seen[0].0
    };
    assert!(waited >= Duration::from_secs(1), "as long as it was asked to: {waited:?}");
    for (cause, times) in [("unavailable", 3), ("server", 1), ("redirect", 1)] {
        let line =
            format!(r#"lockkeeper_sink_failures_total{{sink="otlp",cause="{cause}"}} {times}"#);
        setup.bench.metric(&line).await;
    }
}

#[tokio::test]
async fn a_token_that_the_receiver_refuses_is_read_again() {
    let receiver = Receiver::default();
    receiver.script.lock().unwrap().push_back((401, vec![], ""));
    let (mut otlp, _server) = serve(&receiver).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    otlp.token_file = Some(file.clone());
    let mut target = Target::new(otlp);
    let batch = Batch { epoch: "abcdefgh".into(), gap: None, events: vec![] };
    std::fs::write(&file, "first").unwrap();
    let refused = crate::sinks::Target::send(&mut target, &batch).await.unwrap_err();
    assert_eq!(
        (refused.cause, refused.then),
        ("unauthorised", Then::RetryAfter(Duration::from_secs(30)))
    );
    std::fs::write(&file, "second").unwrap();
    let sent = crate::sinks::Target::send(&mut target, &batch).await;
    assert_eq!(sent, Ok(Sent::default()));
    let seen = receiver.seen.lock().unwrap();
    let tokens: Vec<_> = seen.iter().map(|(_, token, ..)| token.clone().unwrap()).collect();
    assert_eq!(tokens, ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_split_and_one_that_is_refused_is_lost() {
    let setup = Setup::new(vec![
        (413, vec![], ""),
        (200, vec![], ""),
        (413, vec![], ""),
        (413, vec![], ""),
        (400, vec![], ""),
    ])
    .await;
    setup.bench.publish(4).await;
    // 1 to 4, too large; 1 and 2; 3 and 4, too large; 3, too large for ever; 4, refused for ever.
    setup.bench.metric(r#"lockkeeper_sink_dropped_total{sink="otlp",cause="refused"} 1"#).await;
    assert_eq!(setup.offsets(), [vec![1, 2, 3, 4], vec![1, 2], vec![3, 4], vec![3], vec![4]]);
    setup.bench.metric(r#"lockkeeper_sink_dropped_total{sink="otlp",cause="too_large"} 1"#).await;
    setup.sent(2).await;
}

#[tokio::test]
async fn records_that_the_receiver_rejected_are_counted() {
    let partial = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}"#;
    let setup = Setup::new(vec![(200, vec![], partial)]).await;
    setup.bench.publish(3).await;
    setup.sent(1).await;
    setup.bench.metric(r#"lockkeeper_sink_dropped_total{sink="otlp",cause="rejected"} 2"#).await;
    assert_eq!(setup.offsets(), [vec![1, 2, 3]]);
}

#[test]
fn an_endpoint_is_a_host_and_a_path() {
    let path = |endpoint: &str| Otlp::new(endpoint).map(|otlp| otlp.path);
    assert_eq!(path("http://127.0.0.1:4318"), Ok(String::new()));
    assert_eq!(path("http://collector/base/"), Ok("/base".into()));
    assert_eq!(path("https://collector"), Err(BadEndpoint::NotHttp));
    assert!(Otlp::new("http://[::1]:4318").is_ok());
    for bad in ["", "collector", "/v1", "http://user:pw@host", "http://host?x=1"] {
        assert_eq!(path(bad), Err(BadEndpoint::Malformed), "{bad}");
    }
}
