//! The body of every error answer.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{GrpcCode, Mistakes, Reason, Retry};

/// What became of the sandbox that a failed call was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxAfter {
    /// As it was before the call: state, sessions and all.
    Untouched,
    /// There is none: none was made, or there was none.
    None,
    /// It runs again, but its sessions were lost.
    Running,
    /// It is gone.
    Gone,
}

/// An error answer before it is put on a wire.
///
/// No secret, token or host path belongs into `message` or `metadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Why.
    pub reason: Reason,
    /// The cause and the remedy, for a person.
    pub message: String,
    /// What became of the sandbox.
    pub sandbox_after: SandboxAfter,
    /// When to try again; [`Reason::retry`] fills it where the reason alone decides.
    pub retry_after: Option<Duration>,
    /// Facts for programs, such as the stop reason of a sandbox that has ended.
    pub metadata: BTreeMap<String, String>,
}

impl ApiError {
    /// An error about a sandbox that the call left as it was, or that there is none of.
    pub fn new(reason: Reason, after: SandboxAfter, message: impl Into<String>) -> Self {
        let retry_after = match reason.retry() {
            Retry::After(time) | Retry::OtherNode(Some(time)) => Some(time),
            Retry::No | Retry::Yes | Retry::Told | Retry::OtherNode(None) => None,
        };
        let metadata = BTreeMap::new();
        Self { reason, message: message.into(), sandbox_after: after, retry_after, metadata }
    }

    /// `BAD_REQUEST`, with each wrong field in the metadata.
    pub fn bad_request(after: SandboxAfter, mistakes: &Mistakes) -> Self {
        let mut error = Self::new(Reason::BadRequest, after, mistakes.to_string());
        for mistake in mistakes.list() {
            let problem = error.metadata.entry(mistake.field.clone()).or_default();
            if !problem.is_empty() {
                problem.push_str("; ");
            }
            problem.push_str(&mistake.problem);
        }
        error
    }

    /// Adds a fact.
    #[must_use = "the fact is in the returned error"]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Says when to try again.
    #[must_use = "the hint is in the returned error"]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// The value of a `Retry-After` header: whole seconds, rounded up, at least one.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after
            .map(|time| time.as_secs() + u64::from(time.subsec_nanos() > 0))
            .map(|seconds| seconds.max(1))
    }

    /// Whether a save failed and took the sandbox with it: no conflict that a client can solve.
    fn lost(&self) -> bool {
        matches!(self.reason, Reason::PauseNotSaved | Reason::CheckpointNotSaved)
            && self.sandbox_after == SandboxAfter::Gone
    }

    /// The status of a REST answer: that of the reason, but 500 for a sandbox lost in a save.
    pub fn http_status(&self) -> u16 {
        if self.lost() { 500 } else { self.reason.http_status() }
    }

    /// The code of a gRPC answer: that of the reason, but `INTERNAL` for a sandbox lost in a save.
    pub fn grpc(&self) -> GrpcCode {
        if self.lost() { GrpcCode::Internal } else { self.reason.grpc() }
    }

    /// The body.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorFields {
                code: self.reason.code().to_owned(),
                message: self.message.clone(),
                grpc: self.grpc().as_str().to_owned(),
                sandbox_after: self.sandbox_after,
                retry_after_ms: self
                    .retry_after
                    .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                metadata: self.metadata.clone(),
            },
        }
    }
}

/// The JSON of an error answer: `{"error": {...}}`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Everything is inside, so that an error cannot be taken for a result.
    pub error: ErrorFields,
}

/// The members of [`ErrorBody`].
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ErrorFields {
    /// [`Reason::code`].
    pub code: String,
    /// The cause and the remedy, for a person.
    pub message: String,
    /// The name of the gRPC code.
    pub grpc: String,
    /// What became of the sandbox.
    pub sandbox_after: SandboxAfter,
    /// When to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Facts for programs.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests;
