//! The checks in front of axum routes.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use telemetry::fields;

use super::{Access, AccessDenied, Need, without_token};

/// Puts host, origin and token in front of every route of `router`, its fallback included.
///
/// What passes carries its [`Principal`](super::Principal) as an extension and no token any more,
/// neither in the query nor in a header.
pub fn protect(access: &Access, router: Router) -> Router {
    let of_path = |parts: &Parts| Need::of(&parts.method, parts.uri.path());
    router.layer(from_fn_with_state((access.clone(), of_path as Needs), with_token))
}

/// The same, where any token will do: for answers that say no more than that nothing is there.
pub fn protect_known(access: &Access, router: Router) -> Router {
    let known = |_: &Parts| Need::Known;
    router.layer(from_fn_with_state((access.clone(), known as Needs), with_token))
}

/// Puts host and origin in front of every route of `router`, its fallback included. A token is not
/// asked for, and taken out if one is sent.
pub fn protect_without_token(access: &Access, router: Router) -> Router {
    router.layer(from_fn_with_state(access.clone(), open))
}

/// What a request needs of its sender.
type Needs = fn(&Parts) -> Need;

async fn with_token(
    State((access, needs)): State<(Access, Needs)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match access.check(&parts, peer(&parts), &needs(&parts)) {
        Ok(principal) => {
            parts.extensions.insert(principal.clone());
            take_token_out(&access, &mut parts);
            let mut response = next.run(Request::from_parts(parts, body)).await;
            // For whoever tells of the request further out.
            response.extensions_mut().insert(principal);
            response
        }
        Err(denied) => refuse(&parts, denied),
    }
}

async fn open(State(access): State<Access>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match access.check_without_token(&parts, peer(&parts)) {
        Ok(()) => {
            take_token_out(&access, &mut parts);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(denied) => refuse(&parts, denied),
    }
}

fn peer(parts: &Parts) -> Option<SocketAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

fn take_token_out(access: &Access, parts: &mut Parts) {
    parts.headers.remove(header::AUTHORIZATION);
    parts.uri = without_token(&parts.uri, access.token_in_query(parts.uri.path()));
}

fn refuse(parts: &Parts, denied: AccessDenied) -> Response {
    tracing::info!(
        { fields::HTTP_METHOD } = %parts.method,
        peer = peer(parts).map(tracing::field::display),
        cause = denied.kind(),
        "request refused"
    );
    denied.into_response()
}

/// The JSON body of a refusal.
pub fn denial_body(denied: AccessDenied) -> serde_json::Value {
    error_body(denied.code(), &denied.to_string())
}

pub(crate) fn error_body(code: &str, message: &str) -> serde_json::Value {
    serde_json::json!({ "error": { "code": code, "message": message } })
}

impl IntoResponse for AccessDenied {
    fn into_response(self) -> Response {
        let mut response = (self.status(), axum::Json(denial_body(self))).into_response();
        if self.status() == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
