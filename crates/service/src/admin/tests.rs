use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::access::AccessSettings;

fn admin(readiness: &Readiness, metrics_public: bool) -> Router {
    let counter = Counter::<u64>::default();
    counter.inc_by(7);
    let mut registry = Registry::default();
    registry.register("things", "Things", counter);
    let token = Some("s3cret".to_owned());
    let access = Access::new(AccessSettings { token, ..AccessSettings::default() });
    let admin = Admin {
        name: "testd",
        version: "1.2.3",
        readiness: readiness.clone(),
        registry: Arc::new(registry),
        metrics_public,
    };
    admin.router(&access)
}

async fn ask(router: &Router, path: &str, token: bool) -> (StatusCode, String) {
    let mut request = Request::builder().uri(path).header("host", "localhost");
    if token {
        request = request.header("authorization", "Bearer s3cret");
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = to_bytes(response.into_body(), 65_536).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn healthz_is_200_at_every_stage_and_needs_no_token() {
    let readiness = Readiness::starting("lock");
    let router = admin(&readiness, false);
    let status = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let (code, text) = ask(&router, "/healthz", false).await;
    assert_eq!((code.as_u16(), &status(&text)["status"]), (200, &"starting".into()));
    assert_eq!(status(&text)["version"], "1.2.3");
    readiness.ending();
    let (code, text) = ask(&router, "/healthz", false).await;
    assert_eq!((code.as_u16(), &status(&text)["status"]), (200, &"draining".into()));
}

#[tokio::test]
async fn readyz_names_the_step_then_says_ready_then_draining() {
    let readiness = Readiness::starting("records");
    let router = admin(&readiness, false);
    let expect = |code: u16, text: &str| (StatusCode::from_u16(code).expect("a code"), text.into());
    let starting = r#"{"status":"starting","step":"records"}"#;
    assert_eq!(ask(&router, "/readyz", false).await, expect(503, starting));
    readiness.started();
    assert_eq!(ask(&router, "/readyz", false).await, expect(200, r#"{"status":"ready"}"#));
    readiness.ending();
    assert_eq!(ask(&router, "/readyz", false).await, expect(503, r#"{"status":"draining"}"#));
}

#[tokio::test]
async fn metrics_need_the_token_unless_they_are_public() {
    let readiness = Readiness::starting("records");
    let router = admin(&readiness, false);
    assert_eq!(ask(&router, "/metrics", false).await.0, StatusCode::UNAUTHORIZED);
    let (code, text) = ask(&router, "/metrics", true).await;
    assert_eq!(code, StatusCode::OK);
    assert!(text.contains("# TYPE things_total counter\nthings_total 7\n"), "{text}");
    let (code, _) = ask(&admin(&readiness, true), "/metrics", false).await;
    assert_eq!(code, StatusCode::OK);
}
