use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request as AxumRequest;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

/// Says what arrived behind the checks.
async fn echo(request: AxumRequest) -> String {
    let who = request.extensions().get::<Principal>().map(Principal::name).map(str::to_owned);
    let authorization = request.headers().contains_key("authorization");
    format!("{} {authorization} {}", request.uri(), who.unwrap_or_default())
}

fn router(metrics: AccessMetrics) -> Router {
    let token = Some("s3cret".to_owned());
    let access = Access::new(AccessSettings { token, metrics, ..AccessSettings::default() });
    let api = protect(&access, Router::new().route("/v1/x", get(echo)).fallback(echo));
    let open = protect_without_token(&access, Router::new().route("/healthz", get(echo)));
    api.merge(open)
}

async fn ask(router: &Router, target: &str, headers: &[(&str, &str)]) -> (Response<()>, String) {
    let request = Request::from_parts(request(target, headers), Body::empty());
    let response = router.clone().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 4096).await.expect("a body");
    (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn what_is_let_in_carries_its_principal_and_no_token() {
    let router = router(AccessMetrics::default());
    let bearer = ("authorization", "Bearer s3cret");
    let host = ("host", "localhost");
    let (_, text) = ask(&router, "/v1/x?a=1&token=s3cret", &[host]).await;
    assert_eq!(text, "/v1/x?a=1 false token");
    let (_, text) = ask(&router, "/v1/x", &[host, bearer]).await;
    assert_eq!(text, "/v1/x false token");
    let (_, text) = ask(&router, "/healthz?token=s3cret", &[host, bearer]).await;
    assert_eq!(text, "/healthz false ", "not asked for, and still taken out");
}

#[tokio::test]
async fn refusals_are_json_and_name_the_scheme_of_the_token() {
    let router = router(AccessMetrics::default());
    let (response, text) = ask(&router, "/v1/x", &[("host", "localhost")]).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(body, denial_body(AccessDenied::TokenRequired));
    let message = AccessDenied::TokenRequired.to_string();
    assert_eq!(body, json!({ "error": { "code": "TOKEN_REQUIRED", "message": message } }));
    let (response, _) = ask(&router, "/v1/x", &[("host", "evil.example")]).await;
    assert_eq!(response.status(), 403);
    assert!(!response.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn every_route_and_the_fallback_are_behind_the_checks() {
    let router = router(AccessMetrics::default());
    for path in ["/v1/x", "/healthz", "/no/such/path"] {
        let (response, _) = ask(&router, path, &[("host", "evil.example")]).await;
        assert_eq!(response.status(), 403, "{path}");
        let (response, _) = ask(&router, path, &[]).await;
        assert_eq!(response.status(), 400, "{path}");
    }
    let (response, _) = ask(&router, "/no/such/path", &[("host", "localhost")]).await;
    assert_eq!(response.status(), 401, "the token is asked for before the route is looked up");
}

#[tokio::test]
async fn refusals_are_counted_by_cause() {
    let mut registry = Registry::default();
    let router = router(AccessMetrics::register(&mut registry));
    for _ in 0..3 {
        ask(&router, "/v1/x", &[("host", "evil.example")]).await;
    }
    ask(&router, "/v1/x", &[("host", "localhost")]).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    assert!(text.contains("access_refused_total{cause=\"host_refused\"} 3\n"), "{text}");
    assert!(text.contains("access_refused_total{cause=\"token_required\"} 1\n"), "{text}");
}
