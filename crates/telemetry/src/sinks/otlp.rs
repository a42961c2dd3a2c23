//! Events as log records of OTLP over HTTP, JSON encoded (OTLP 1.x, section OTLP/HTTP).

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};

use super::{Batch, BatchLimits, Refused, Sent, Then};

mod client;
mod encode;

#[cfg(test)]
mod tests;

pub(crate) use client::Client;
use client::{REQUEST_MAX, refused};

/// Its name in the configuration.
pub(super) const NAME: &str = "otlp";

/// An OTLP receiver: events go to `POST {endpoint}/v1/logs`, spans to `/v1/traces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    authority: Authority,
    /// Without a slash at its end.
    path: String,
    /// A file with the bearer token, read at the first attempt and again when it is refused.
    pub token_file: Option<PathBuf>,
    /// Whether it is on at first.
    pub enabled: bool,
}

/// An endpoint that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// It is no URL, or has more than a host and a path.
    #[error(
        "OTLP endpoint: write `http://host:port`, with a path if there is one, and nothing else"
    )]
    Malformed,
    /// It is not `http`.
    #[error("OTLP endpoint: only `http` is spoken here; send to a collector beside this host")]
    NotHttp,
}

impl Otlp {
    /// The defaults, for an endpoint such as `http://127.0.0.1:4318`.
    ///
    /// # Errors
    /// [`BadEndpoint`].
    pub fn new(endpoint: &str) -> Result<Self, BadEndpoint> {
        let uri: Uri = endpoint.parse().map_err(|_| BadEndpoint::Malformed)?;
        let authority = uri.authority().ok_or(BadEndpoint::Malformed)?;
        let scheme = uri.scheme().ok_or(BadEndpoint::Malformed)?;
        if *scheme != Scheme::HTTP {
            return Err(BadEndpoint::NotHttp);
        }
        if uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty()
        {
            return Err(BadEndpoint::Malformed);
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { authority: authority.clone(), path, token_file: None, enabled: true })
    }
}

pub(super) struct Target(Client);

impl Target {
    pub(super) fn new(settings: Otlp) -> Self {
        Self(Client::new(settings))
    }
}

impl super::Target for Target {
    fn limits(&self) -> BatchLimits {
        BatchLimits { events: 512, bytes: REQUEST_MAX / 2, wait: Duration::from_secs(1) }
    }

    async fn send(&mut self, batch: &Batch) -> Result<Sent, Refused> {
        let json = encode::request(batch);
        if json.len() > REQUEST_MAX && batch.events.len() > 1 {
            return Err(refused("too_large", "more than 4 MiB at once".into(), Then::Split));
        }
        let answer = self.0.send("logs", &json).await?;
        Ok(Sent { rejected: rejected(&answer) })
    }
}

/// `partialSuccess.rejectedLogRecords`: a number, or one in quotes.
fn rejected(body: &[u8]) -> u64 {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let rejected = &answer["partialSuccess"]["rejectedLogRecords"];
    let text = rejected.as_str().and_then(|text| text.parse().ok());
    rejected.as_u64().or(text).unwrap_or(0)
}
