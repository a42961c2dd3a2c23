//! Errors as gRPC tells them: a code, the reason with its facts, a hint, every wrong field.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use lockkeeper_api::{ApiError, Reason, SandboxAfter};
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Who gives the reasons their meaning.
const DOMAIN: &str = "lockkeeper";
/// The most that is read of an answer that was not made for gRPC.
const READ: usize = 64 * 1024;

/// An error of the API.
pub(super) fn status(error: &ApiError) -> Status {
    let after = match error.sandbox_after {
        SandboxAfter::Untouched => "untouched",
        SandboxAfter::None => "none",
        SandboxAfter::Running => "running",
        SandboxAfter::Gone => "gone",
    };
    let facts = error.metadata.clone().into_iter();
    let facts = facts.chain([("sandbox_after".to_owned(), after.to_owned())]);
    let mut details = ErrorDetails::new();
    details.set_error_info(error.reason.code(), DOMAIN, facts.collect::<HashMap<_, _>>());
    if let Some(time) = error.retry_after {
        details.set_retry_info(Some(time));
    }
    if error.reason == Reason::BadRequest {
        for (field, problem) in &error.metadata {
            details.add_bad_request_violation(field, problem);
        }
    }
    let code = Code::from_i32(i32::from(error.grpc().number()));
    Status::with_error_details(code, &error.message, details)
}

/// Answers gRPC requests as gRPC, whoever answers: what refuses a request before its call is reached
/// (access checks, unknown paths) speaks HTTP, and a defect would end the connection.
pub fn answer_grpc(router: Router) -> Router {
    router.layer(from_fn(translate))
}

async fn translate(request: Request, next: Next) -> Response {
    if !is_grpc(request.headers()) {
        return next.run(request).await;
    }
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) if is_grpc(response.headers()) => response,
        Ok(mut response) => {
            // What is known of the request, for whoever tells of it further out.
            let known = std::mem::take(response.extensions_mut());
            let mut response = from_http(response).await.into_http();
            *response.extensions_mut() = known;
            response
        }
        Err(panic) => {
            let what = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            tracing::error!("a handler panicked: {what}");
            let text = "a defect in this service; its log says which";
            status(&ApiError::new(Reason::Bug, SandboxAfter::Untouched, text)).into_http()
        }
    }
}

/// `application/grpc`, with or without the name of a message format.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.strip_prefix("application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

async fn from_http(response: Response<Body>) -> Status {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, READ).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |field| body.pointer(field).and_then(Value::as_str);
    let message = text("/error/message").unwrap_or("no such method").to_owned();
    let reason = text("/error/code").and_then(Reason::from_code);
    let reason =
        reason.or((parts.status == StatusCode::NOT_FOUND).then_some(Reason::RouteNotFound));
    match reason {
        Some(reason) => status(&ApiError::new(reason, SandboxAfter::Untouched, message)),
        None => Status::unknown(format!("HTTP {}: {message}", parts.status.as_u16())),
    }
}

#[cfg(test)]
mod tests;
