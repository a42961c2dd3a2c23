use std::time::Duration;

use axum::routing::post;
use http::Request as HttpRequest;
use tower::ServiceExt;

use super::*;

const AFTER: [SandboxAfter; 4] =
    [SandboxAfter::Untouched, SandboxAfter::None, SandboxAfter::Running, SandboxAfter::Gone];

#[test]
fn every_reason_says_over_grpc_what_it_says_over_rest() {
    for (reason, after) in Reason::ALL.iter().flat_map(|reason| AFTER.map(|after| (*reason, after)))
    {
        let error = ApiError::new(reason, after, "the cause")
            .with("field", "the problem")
            .retry_after(Duration::from_millis(1500));
        let (rest, told) = (error.body().error, status(&error));
        assert_eq!(told.message(), rest.message);
        assert_eq!(told.code() as i32, i32::from(error.grpc().number()), "{reason}");
        let details = told.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (rest.code.as_str(), DOMAIN));
        let after = serde_json::to_value(rest.sandbox_after).unwrap();
        assert_eq!(info.metadata["sandbox_after"], after.as_str().unwrap());
        assert_eq!(info.metadata["field"], rest.metadata["field"]);
        let retry = details.retry_info().unwrap().retry_delay.unwrap();
        assert_eq!(u64::try_from(retry.as_millis()).ok(), rest.retry_after_ms);
        assert_eq!(details.bad_request().is_some(), reason == Reason::BadRequest, "{reason}");
    }
}

#[test]
fn an_error_without_a_hint_has_none() {
    let error = ApiError::new(Reason::SandboxNotFound, SandboxAfter::None, "gone");
    assert!(status(&error).get_error_details().retry_info().is_none());
}

async fn call(router: Router, kind: &str) -> Response {
    let request = HttpRequest::post("/a").header(CONTENT_TYPE, kind).body(Body::empty()).unwrap();
    answer_grpc(router).oneshot(request).await.unwrap()
}

async fn told(router: Router) -> Status {
    let response = call(router, "application/grpc+proto").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(is_grpc(response.headers()));
    Status::from_header_map(response.headers()).unwrap()
}

#[tokio::test]
async fn what_refuses_a_request_in_front_of_its_call_is_readable_for_grpc_clients() {
    let refuse = || async {
        let body = r#"{"error": {"code": "TOKEN_REQUIRED", "message": "a token is required"}}"#;
        (StatusCode::UNAUTHORIZED, body)
    };
    let router = Router::new().route("/a", post(refuse));
    let status = told(router.clone()).await;
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "a token is required"));
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "TOKEN_REQUIRED");
    for kind in ["application/json", "application/grpc-web", "application/grpcx"] {
        assert_eq!(call(router.clone(), kind).await.status(), StatusCode::UNAUTHORIZED, "{kind}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_and_an_unreadable_answer_unknown() {
    let status = told(Router::new()).await;
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "ROUTE_NOT_FOUND");
    let odd = Router::new().route("/a", post(|| async { (StatusCode::IM_A_TEAPOT, "tea") }));
    let status = told(odd).await;
    assert_eq!(status.code(), Code::Unknown);
    assert!(status.message().contains("418"), "{status:?}");
}

#[tokio::test]
async fn a_panic_is_a_bug_of_ours_and_says_nothing_else() {
    let panics = || async {
        if std::hint::black_box(true) {
            panic!("secret");
        }
    };
    let status = told(Router::new().route("/a", post(panics))).await;
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "BUG");
    assert!(!format!("{status:?}").contains("secret"), "{status:?}");
}
