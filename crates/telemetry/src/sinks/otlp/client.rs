//! One request after the other to an OTLP receiver over HTTP, JSON encoded (OTLP 1.x, section
//! OTLP/HTTP). Log records and spans go through it.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Otlp;
use crate::sinks::{Refused, Then};

/// Most bytes of a request before compression.
pub(crate) const REQUEST_MAX: usize = 4 * 1024 * 1024;
/// How long an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after the receiver refused our token, or refused us.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// What is read of an answer.
const ANSWER_MAX: usize = 64 * 1024;

/// The way to a receiver.
pub(crate) struct Client {
    settings: Otlp,
    /// The header with the token, once it was read.
    token: Option<HeaderValue>,
}

/// What the receiver said.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
}

impl Client {
    pub(crate) fn new(settings: Otlp) -> Self {
        Self { settings, token: None }
    }

    /// Sends one request of a signal, `logs` or `traces`, and gives the body of a good answer.
    ///
    /// # Cancel safety
    /// Whether the receiver has it is not known then.
    pub(crate) async fn send(&mut self, signal: &str, json: &[u8]) -> Result<Bytes, Refused> {
        let body = gzip(json).map_err(|error| refused("gzip", error.to_string(), Then::Retry))?;
        let token = self.token().await?;
        let answer = match tokio::time::timeout(TIMEOUT, self.post(signal, body, token)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Failure(error))) => return Err(refused("transport", error, Then::Retry)),
            Err(_) => return Err(refused("timeout", "no answer in 10 s".into(), Then::Retry)),
        };
        if answer.status == StatusCode::UNAUTHORIZED {
            self.token = None;
        }
        judge(answer)
    }

    async fn token(&mut self) -> Result<Option<HeaderValue>, Refused> {
        let (None, Some(path)) = (&self.token, self.settings.token_file.clone()) else {
            return Ok(self.token.clone());
        };
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        let problem = |error: String| refused("token", error, Then::RetryAfter(REFUSED_PAUSE));
        let text = match read {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => return Err(problem(format!("the token file: {error}"))),
            Err(error) => return Err(problem(error.to_string())),
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
            .map_err(|_| problem("the token file has no token".to_owned()))?;
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self.token.clone())
    }

    /// One request on a connection of its own, to the configured host and to no other.
    async fn post(
        &self,
        signal: &str,
        body: Bytes,
        token: Option<HeaderValue>,
    ) -> Result<Answer, Failure> {
        let Otlp { authority, path, .. } = &self.settings;
        let host = authority.host().trim_matches(['[', ']']);
        let address = (host, authority.port_u16().unwrap_or(80));
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::post(format!("{path}/v1/{signal}"))
            .header(header::HOST, authority.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, "gzip")
            .header(header::CONNECTION, "close");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure(error.to_string()))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let retry_after = parts.headers.get(header::RETRY_AFTER);
            let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
            // An answer that is too long or cut off says no more than its status.
            let body = Limited::new(body, ANSWER_MAX).collect().await;
            Ok(Answer {
                status: parts.status,
                retry_after: retry_after.map(Duration::from_secs),
                body: body.map(|body| body.to_bytes()).unwrap_or_default(),
            })
        };
        let exchange = std::pin::pin!(exchange);
        let connection = std::pin::pin!(connection);
        // The connection does the work of the exchange, so they run side by side in this task.
        match futures_util::future::select(exchange, connection).await {
            futures_util::future::Either::Left((answer, _)) => answer,
            futures_util::future::Either::Right((ended, exchange)) => {
                ended?;
                exchange.await
            }
        }
    }
}

/// A request that had no answer.
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn refused(cause: &'static str, error: String, then: Then) -> Refused {
    Refused { cause, error, then }
}

/// What an answer means for what was sent.
fn judge(answer: Answer) -> Result<Bytes, Refused> {
    let error = format!("the receiver answered {}", answer.status.as_u16());
    let again = answer.retry_after.map_or(Then::Retry, Then::RetryAfter);
    match answer.status.as_u16() {
        200..=299 => Ok(answer.body),
        429 | 502 | 503 | 504 => Err(refused("unavailable", error, again)),
        401 | 403 => Err(refused("unauthorised", error, Then::RetryAfter(REFUSED_PAUSE))),
        413 => Err(refused("too_large", error, Then::Split)),
        400..=499 => Err(refused("refused", error, Then::Drop)),
        300..=399 => Err(refused("redirect", error, Then::Retry)),
        _ => Err(refused("server", error, Then::Retry)),
    }
}

fn gzip(json: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(json)?;
    Ok(encoder.finish()?.into())
}

#[cfg(test)]
mod tests;
