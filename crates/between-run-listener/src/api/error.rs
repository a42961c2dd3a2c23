//! Answers that refuse.

use std::fmt::Display;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::SessionKey;
use crate::session::sessions::PostError;
use crate::session::{Closed, SessionsError};

/// A refusal: status, code for programs, message for people.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, code: &'static str, message: &dyn Display) -> Self {
        Self { status, code, message: message.to_string() }
    }

    pub(super) fn bad(code: &'static str, message: &dyn Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn no_session(key: &SessionKey) -> Self {
        let (project, session) = (key.project(), key.session());
        let message = format!("project {project} has no session {session}; PUT it first");
        Self::new(StatusCode::NOT_FOUND, "no_session", &message)
    }

    pub(super) fn too_large(most: usize) -> Self {
        let message = format!("the body has more than {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &message)
    }

    pub(super) fn gateway(code: &'static str, message: &dyn Display) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, code, message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<SessionsError> for Refused {
    fn from(error: SessionsError) -> Self {
        let status = match &error {
            SessionsError::Blocked(_) => StatusCode::FORBIDDEN,
            SessionsError::Draining
            | SessionsError::Open(_)
            | SessionsError::Append(_)
            | SessionsError::Read(_)
            | SessionsError::Session(_)
            | SessionsError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.kind(), &error)
    }
}

impl From<PostError> for Refused {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Refused(refused) => {
                Self::new(StatusCode::CONFLICT, refused.kind(), &refused)
            }
            PostError::Path(path) => Self::bad("bad_path", &path),
            PostError::Sessions(error) => error.into(),
        }
    }
}

impl From<Closed> for Refused {
    fn from(closed: Closed) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "session_closed", &closed)
    }
}

impl From<eventlog::ReadError> for Refused {
    fn from(error: eventlog::ReadError) -> Self {
        SessionsError::Read(error).into()
    }
}
