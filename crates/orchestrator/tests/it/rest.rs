//! The REST face: statuses, bodies, headers.

use axum::body::Body;
use http::header::{ALLOW, HOST, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use lockkeeper_api::{ErrorBody, NodeInfo, SandboxAfter, SandboxList, SandboxState, SandboxView};
use orchestrator::Config;
use orchestrator::urls::UrlBuilder;
use serde_json::Value;
use testkit::fake_driver::{Act, Point};
use tower::ServiceExt;

use crate::world::{World, config, named};

struct Face {
    world: World,
    router: axum::Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Face {
    async fn open() -> Self {
        Self::with(config()).await
    }

    async fn with(config: Config) -> Self {
        let world = World::with(config).await;
        let router = world.node.router(UrlBuilder::of_request("127.0.0.1:7300"));
        Self { world, router }
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header(HOST, "node-1:7300")
            .body(body.into())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    fn error(&self) -> ErrorBody {
        serde_json::from_value(self.body.clone()).unwrap_or_else(|_| panic!("{}", self.body))
    }

    fn sandbox(&self) -> SandboxView {
        serde_json::from_value(self.body.clone()).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_is_answered_with_the_addresses_that_the_client_can_use() {
    let face = Face::open().await;
    let body = r#"{"id": "crawl-7", "ttl": "1h", "labels": {"team": "a"}}"#;
    let answer = face.call("POST", "/v1/sandboxes", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!(answer.headers[LOCATION], "/v1/sandboxes/crawl-7");
    let view = answer.sandbox();
    assert_eq!(view.cdp_url, "http://node-1:7300/sandboxes/crawl-7");
    assert_eq!(view.ws_url, "ws://node-1:7300/sandboxes/crawl-7/devtools/browser/crawl-7");
    assert_eq!((view.state, view.ttl_ms), (SandboxState::Running, 3_600_000));
    // Both are wall-clock times that were taken from a deadline on another clock.
    let left = view.expires_at_ms.unwrap() - view.ready_at_ms.unwrap();
    assert!(left.abs_diff(3_600_000) <= 50, "it expires {left} ms after it was ready");
    assert_eq!((view.times.queue_ms, view.times.start_ms), (0, Some(100)));
    let browser = view.browser.unwrap();
    assert_eq!((browser.generation, browser.phase.as_str(), browser.crashes), (1, "ready", 0));
    assert!(!answer.body.to_string().contains("127.0.0.1"), "the browser's own address is shown");

    let again = face.call("GET", "/v1/sandboxes/crawl-7", "").await;
    assert_eq!((again.status, again.sandbox().lifecycle_id), (StatusCode::OK, view.lifecycle_id));
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_asks_for_all_defaults() {
    let face = Face::open().await;
    let answer = face.call("POST", "/v1/sandboxes", "").await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert!(answer.sandbox().id.len() <= 35);
}

/// Method, path, body, status, code word, words in the text.
type Case = (&'static str, &'static str, &'static str, u16, &'static str, &'static [&'static str]);

const MISTAKES: &[Case] = &[
    ("POST", "/v1/sandboxes", "{", 400, "BAD_REQUEST", &["body", "not JSON"]),
    ("POST", "/v1/sandboxes", "[]", 400, "BAD_REQUEST", &["body", "object"]),
    ("POST", "/v1/sandboxes", r#"{"flavor": "x"}"#, 400, "BAD_REQUEST", &["flavor", "flavour"]),
    ("POST", "/v1/sandboxes", r#"{"ttl": "soon"}"#, 400, "BAD_REQUEST", &["ttl", "15m"]),
    ("POST", "/v1/sandboxes", r#"{"ttl": -1}"#, 400, "BAD_REQUEST", &["ttl"]),
    ("POST", "/v1/sandboxes", r#"{"id": "A_b"}"#, 400, "BAD_REQUEST", &["id", "a-z"]),
    ("POST", "/v1/sandboxes", r#"{"id": "a--b"}"#, 400, "BAD_REQUEST", &["id", "`--`"]),
    (
        "POST",
        "/v1/sandboxes",
        r#"{"flavour": "netscape"}"#,
        400,
        "BAD_REQUEST",
        &["netscape", "chromium", "headless-shell"],
    ),
    ("POST", "/v1/sandboxes", r#"{"template": "x"}"#, 404, "TEMPLATE_NOT_FOUND", &["x", "default"]),
    ("POST", "/v1/sandboxes", r#"{"id": "taken"}"#, 409, "SANDBOX_EXISTS", &["taken", "running"]),
    ("POST", "/v1/sandboxes?x=1", "", 400, "BAD_REQUEST", &["x", "no parameter"]),
    ("GET", "/v1/sandboxes/nobody", "", 404, "SANDBOX_NOT_FOUND", &["nobody"]),
    ("GET", "/v1/sandboxes/No_Body", "", 400, "BAD_REQUEST", &["id"]),
    ("GET", "/v1/sandboxes/..%2f..", "", 400, "BAD_REQUEST", &["id"]),
    ("DELETE", "/v1/sandboxes/nobody", "", 404, "SANDBOX_NOT_FOUND", &["nobody"]),
    ("DELETE", "/v1/sandboxes/taken?wait=x", "", 400, "BAD_REQUEST", &["wait", "accepted"]),
    ("DELETE", "/v1/sandboxes/taken?weit=x", "", 400, "BAD_REQUEST", &["weit", "wait"]),
    (
        "DELETE",
        "/v1/sandboxes/taken?lifecycle_id=lcother",
        "",
        409,
        "LIFECYCLE_MISMATCH",
        &["taken"],
    ),
    ("PATCH", "/v1/sandboxes/nobody", "{}", 404, "SANDBOX_NOT_FOUND", &["nobody"]),
    ("PATCH", "/v1/sandboxes/taken", r#"{"id": "x"}"#, 400, "BAD_REQUEST", &["id"]),
    ("PATCH", "/v1/sandboxes/taken", r#"{"ttl": "0s"}"#, 400, "BAD_REQUEST", &["ttl"]),
    ("GET", "/v1/sandboxes?state=ill", "", 400, "BAD_REQUEST", &["state", "running"]),
    ("GET", "/v1/sandboxes?limit=0", "", 400, "BAD_REQUEST", &["limit", "1000"]),
    ("GET", "/v1/sandboxes?after=x", "", 400, "BAD_REQUEST", &["after"]),
    ("GET", "/v1/sandboxes?label=x", "", 400, "BAD_REQUEST", &["label", "key=value"]),
    ("PUT", "/v1/node/status", "{}", 400, "BAD_REQUEST", &["status"]),
    ("POST", "/v1/node/drain", r#"{"deadlin": "5s"}"#, 400, "BAD_REQUEST", &["deadlin"]),
    ("PUT", "/v1/sandboxes", "{}", 405, "METHOD_NOT_ALLOWED", &["PUT", "POST"]),
    ("POST", "/v1/node", "{}", 405, "METHOD_NOT_ALLOWED", &["GET"]),
];

#[tokio::test(start_paused = true)]
async fn every_mistake_has_its_status_its_word_and_its_field() {
    let face = Face::open().await;
    face.world.create("taken").await.unwrap();
    let before = face.world.lifecycle("taken");
    for (method, path, body, status, code, words) in MISTAKES {
        let answer = face.call(method, path, *body).await;
        let what = format!("{method} {path} {body}: {} {}", answer.status, answer.body);
        assert_eq!(answer.status.as_u16(), *status, "{what}");
        let error = answer.error().error;
        assert_eq!(error.code, *code, "{what}");
        for word in *words {
            assert!(error.message.contains(word), "{word:?} is missing in {what}");
        }
    }
    assert_eq!(face.world.lifecycle("taken"), before);
    assert_eq!(face.world.driver.counts().starts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_method_is_told_the_right_ones() {
    let face = Face::open().await;
    let allowed = [
        ("/v1/sandboxes", "GET, POST"),
        ("/v1/sandboxes/a", "GET, PATCH, DELETE"),
        ("/v1/node", "GET"),
        ("/v1/node/status", "PUT"),
        ("/v1/node/drain", "POST"),
    ];
    for (path, methods) in allowed {
        let answer = face.call("TRACE", path, "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers[ALLOW], methods, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused_with_or_without_a_length() {
    let face = Face::open().await;
    let large = format!(r#"{{"id": "{}"}}"#, "x".repeat(1 << 20));
    let answer = face.call("POST", "/v1/sandboxes", large.clone()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.error().error.code, "BODY_TOO_LARGE");
    let parts = large.into_bytes().chunks(4096).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let stream = futures_util::stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>));
    let answer = face.call("POST", "/v1/sandboxes", Body::from_stream(stream)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn an_ended_sandbox_says_when_and_why() {
    let face = Face::open().await;
    face.world.create("a").await.unwrap();
    let deleted = face.call("DELETE", "/v1/sandboxes/a", "").await;
    assert_eq!((deleted.status, deleted.sandbox().state), (StatusCode::OK, SandboxState::Stopped));
    let view = face.call("GET", "/v1/sandboxes/a", "").await.sandbox();
    assert_eq!(view.stop_reason.as_deref(), Some("request"));
    assert!(view.stopped_at_ms.is_some() && view.expires_at_ms.is_none());
    assert_eq!(face.call("DELETE", "/v1/sandboxes/a", "").await.status, StatusCode::OK);
    let gone = face.call("PATCH", "/v1/sandboxes/a", r#"{"ttl": "5m"}"#).await;
    assert_eq!((gone.status.as_u16(), gone.error().error.code.as_str()), (410, "SANDBOX_STOPPED"));
    assert_eq!(gone.error().error.metadata["stop_reason"], "request");
    let list = face.call("GET", "/v1/sandboxes", "").await.body;
    assert_eq!(list["sandboxes"], serde_json::json!([]));
    let all = face.call("GET", "/v1/sandboxes?state=stopped", "").await.body;
    assert_eq!(all["sandboxes"][0]["id"], "a");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_shown_and_takes_effect() {
    let face = Face::open().await;
    face.world.create("a").await.unwrap();
    let body = r#"{"ttl": "2h", "labels": {"team": "b"}, "idle": "10m"}"#;
    let view = face.call("PATCH", "/v1/sandboxes/a", body).await.sandbox();
    assert_eq!((view.ttl_ms, view.idle_ms), (7_200_000, 600_000));
    assert_eq!(view.labels["team"], "b");
    let shorter = face.call("PATCH", "/v1/sandboxes/a", r#"{"ttl":"1m","only_later":true}"#).await;
    assert_eq!(shorter.status, StatusCode::BAD_REQUEST);
    let view = face.call("GET", "/v1/sandboxes/a", "").await.sandbox();
    assert_eq!(view.ttl_ms, 7_200_000, "a refused change changed something");
    let removed = face.call("PATCH", "/v1/sandboxes/a", r#"{"labels": {"team": null}}"#).await;
    assert!(removed.sandbox().labels.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_is_filtered_and_paged_oldest_first() {
    let face = Face::open().await;
    for n in 0..5 {
        let team = if n % 2 == 0 { "even" } else { "odd" };
        let body = format!(r#"{{"id": "s{n}", "labels": {{"team": "{team}"}}}}"#);
        face.call("POST", "/v1/sandboxes", body).await;
    }
    let ids = async |path: &str| {
        let answer = face.call("GET", path, "").await;
        let list: SandboxList = serde_json::from_value(answer.body).unwrap();
        (list.sandboxes.into_iter().map(|view| view.id).collect::<Vec<_>>(), list.next)
    };
    assert_eq!(ids("/v1/sandboxes").await.0, ["s0", "s1", "s2", "s3", "s4"]);
    assert_eq!(ids("/v1/sandboxes?label=team=odd").await.0, ["s1", "s3"]);
    assert_eq!(ids("/v1/sandboxes?state=stopping").await.0, [""; 0]);
    let (first, next) = ids("/v1/sandboxes?limit=3").await;
    assert_eq!(first, ["s0", "s1", "s2"]);
    let (rest, end) = ids(&format!("/v1/sandboxes?limit=3&after={}", next.unwrap())).await;
    assert_eq!((rest, end), (vec!["s3".to_owned(), "s4".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn a_full_or_busy_node_hints_when_to_try_again() {
    let face = Face::with(Config { max_sandboxes: 1, ..config() }).await;
    face.world.create("a").await.unwrap();
    let full = face.call("POST", "/v1/sandboxes", "").await;
    assert_eq!((full.status.as_u16(), full.error().error.code.as_str()), (429, "NODE_FULL"));
    assert_eq!(full.headers[RETRY_AFTER], "60");
    assert_eq!(full.error().error.retry_after_ms, Some(60_000));

    let face = Face::with(Config { start_slots: 1, ..config() }).await;
    face.world.driver.script(|at| match at.point {
        Point::StartSpawned => Act::Hang,
        _ => Act::Go,
    });
    let _slow = face.world.creating(named("slow"));
    crate::world::settle().await;
    let busy = face.call("POST", "/v1/sandboxes", r#"{"queue_timeout": "0"}"#).await;
    assert_eq!((busy.status.as_u16(), busy.error().error.code.as_str()), (429, "NODE_BUSY"));
    assert!(busy.headers.contains_key(RETRY_AFTER));
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_a_bad_gateway_with_its_cause() {
    let face = Face::open().await;
    face.world.driver.script(|at| match at.point {
        Point::StartSpawned => Act::Fail("no such file".to_owned()),
        _ => Act::Go,
    });
    let answer = face.call("POST", "/v1/sandboxes", "").await;
    let error = answer.error().error;
    assert_eq!((answer.status.as_u16(), error.code.as_str()), (502, "BROWSER_START_FAILED"));
    assert!(error.message.contains("no such file"), "{}", error.message);
    assert_eq!(error.sandbox_after, SandboxAfter::None);
}

#[tokio::test(start_paused = true)]
async fn a_drain_by_call_refuses_creates_until_it_is_undone() {
    let face = Face::open().await;
    let drained = face.call("POST", "/v1/node/drain", "").await;
    let info: NodeInfo = serde_json::from_value(drained.body).unwrap();
    assert_eq!((drained.status, info.status.as_str()), (StatusCode::ACCEPTED, "draining"));
    let refused = face.call("POST", "/v1/sandboxes", "").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.error().error.code, "NODE_DRAINING");
    assert!(refused.headers.contains_key(RETRY_AFTER));
    let standby = face.call("PUT", "/v1/node/status", r#"{"status": "standby"}"#).await;
    assert_eq!(standby.error().error.code, "STATUS_TRANSITION");
    let healthy = face.call("PUT", "/v1/node/status", r#"{"status": "healthy"}"#).await;
    assert_eq!(healthy.status, StatusCode::OK);
    assert_eq!(face.call("POST", "/v1/sandboxes", "").await.status, StatusCode::CREATED);
    face.world.node.begin_server_drain(None);
    let late = face.call("PUT", "/v1/node/status", r#"{"status": "healthy"}"#).await;
    assert_eq!((late.status.as_u16(), late.error().error.code.as_str()), (409, "SHUTTING_DOWN"));
    let info: NodeInfo =
        serde_json::from_value(face.call("GET", "/v1/node", "").await.body).unwrap();
    assert_eq!((info.accepting, info.phase.as_str()), (false, "server_gate"));
}
