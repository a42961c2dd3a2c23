//! One posted run: it is sent to the runner, and what comes back goes into the log.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Session;
use super::lane::Failure;
use crate::FeedError;
use crate::http::{Body, Client, Headers, Request, SendError};
use crate::sse::{Budget, Decoder, Item, Limits};

/// How long a runner may take to begin its answer.
const HEAD: std::time::Duration = std::time::Duration::from_secs(120);

/// What is sent, and where.
pub(super) struct Run {
    pub(super) session: Session,
    pub(super) number: u64,
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) headers: Headers,
    pub(super) traceparent: Option<HeaderValue>,
    pub(super) body: Bytes,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    /// Ends the reading of the answer.
    pub(super) cancel: CancellationToken,
    /// The process ends: the run stays open in the log.
    pub(super) ending: CancellationToken,
}

impl Run {
    /// Reads the runner's answer to its end, whoever still listens to it.
    pub(super) async fn run(self) {
        let why = tokio::select! {
            biased;
            () = self.ending.cancelled() => None,
            why = self.read() => Some(why),
        };
        if let Some(why) = why {
            // A session that was closed meanwhile has ended the run itself.
            let _ = self.session.run_ended(self.number, why).await;
        }
        self.session.remove_run(self.number);
    }

    /// Why the answer is over.
    async fn read(&self) -> Failure {
        let request = Request {
            method: Method::POST,
            url: &self.url,
            headers: &self.headers,
            traceparent: self.traceparent.clone(),
            body: self.body.clone(),
            head: HEAD,
        };
        let response = match self.client.post_stream(&request, &self.cancel).await {
            Ok(response) => response,
            Err(error) => return refused(&error),
        };
        if response.status != StatusCode::OK {
            let status = response.status.as_u16();
            return Failure {
                code: format!("RUNNER_HTTP_{status}"),
                message: format!("the runner answered with status {status}"),
            };
        }
        if !response.is_event_stream() {
            return Failure {
                code: "RUNNER_PROTOCOL".into(),
                message: "the runner's answer is no event stream".into(),
            };
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Failure::truncated(),
            why = self.stream(response.body) => why,
        }
    }

    async fn stream(&self, mut body: Body) -> Failure {
        let mut decoder = Decoder::new(self.limits, self.budget.clone());
        loop {
            match body.chunk().await {
                Ok(Some(chunk)) => decoder.feed(chunk),
                Ok(None) | Err(_) => return Failure::truncated(),
            }
            let mut items = Vec::new();
            while let Some(item) = decoder.next_item() {
                if !matches!(item, Item::Retry(_)) {
                    items.push(item);
                }
            }
            if items.is_empty() {
                continue;
            }
            match self.session.run_items(self.number, items).await {
                Ok(()) => {}
                Err(FeedError::Stalled) => return stalled(),
                // Nobody reads what is said of it.
                Err(FeedError::Closed) => return Failure::truncated(),
            }
        }
    }
}

fn stalled() -> Failure {
    Failure {
        code: "LOG_STALLED".into(),
        message: "the log took nothing for a minute, so the runner's answer was not read on".into(),
    }
}

fn refused(error: &SendError) -> Failure {
    let code = match error {
        SendError::BadHttp { .. } => "RUNNER_PROTOCOL",
        SendError::Blocked(_)
        | SendError::Connect { .. }
        | SendError::Broken { .. }
        | SendError::HeaderTimeout
        | SendError::Cancelled => "RUNNER_UNAVAILABLE",
    };
    Failure { code: code.into(), message: error.to_string() }
}
