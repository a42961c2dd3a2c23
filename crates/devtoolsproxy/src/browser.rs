//! Talking to the browser: one connection for each dial and each `/json` request.
//!
//! Requests are built from nothing, so neither Origin nor cookies nor tokens of the client can
//! reach the browser.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use upstream::WsUrl;
use wsproxy::handshake::{Connected, HandshakeError};

use crate::dial::DialFailure;
use crate::facts::TargetSeen;
use crate::route::Endpoint;

/// Room for the head of an answer.
const MAX_HEAD: usize = 16 * 1024;

/// Why a `/json` request got no answer that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    /// Nothing listens there, or the connection broke, or what answers is not HTTP.
    #[error("the browser refused the request")]
    Refused,
    /// Not in time.
    #[error("the browser did not answer in time")]
    TimedOut,
    /// The answer is over the limit.
    #[error("the browser's answer is too large")]
    TooLarge,
}

/// Dials one of the browser's sockets: TCP and handshake. The caller bounds the time.
pub(crate) async fn dial(
    url: &WsUrl,
    endpoint: &Endpoint,
) -> Result<Connected<TcpStream>, DialFailure> {
    let (stream, authority) = connect(url).await.map_err(|error| {
        tracing::debug!(error = %error, "dial failed");
        DialFailure::Refused
    })?;
    let path = endpoint.upstream_path(url.path());
    wsproxy::handshake::connect(stream, &authority, &path).await.map_err(|error| {
        tracing::debug!(error = %error, "dial failed");
        match (endpoint, error) {
            // Chromium 156 answers 500 for a page that it does not have.
            (Endpoint::Page { .. }, HandshakeError::Status(status))
                if matches!(status.as_u16(), 404 | 500) =>
            {
                DialFailure::NoSuchTarget
            }
            (Endpoint::Page { .. } | Endpoint::Browser, _) => DialFailure::Refused,
        }
    })
}

/// Connects, and gives the `Host` to use: Chromium serves only an address or localhost there, so
/// a browser that is reached by name is asked under the address that the name has led to.
async fn connect(url: &WsUrl) -> std::io::Result<(TcpStream, String)> {
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, url.port())).await?;
    stream.set_nodelay(true)?;
    let by_name = host != "localhost" && host.parse::<std::net::IpAddr>().is_err();
    let authority =
        if by_name { stream.peer_addr()?.to_string() } else { url.authority().to_owned() };
    Ok((stream, authority))
}

/// A whole answer.
pub(crate) async fn fetch(
    url: &WsUrl,
    method: Method,
    path: &str,
    limit: Duration,
    body_max: usize,
) -> Result<Response<Bytes>, FetchError> {
    let work = async {
        let (response, connection) = request(url, method, path).await?;
        let (parts, body) = response.into_parts();
        let body = async {
            match Limited::new(body, body_max).collect().await {
                Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                    Err(FetchError::TooLarge)
                }
                Err(_broken) => Err(FetchError::Refused),
            }
        };
        tokio::select! {
            body = body => body,
            never = connection => match never {},
        }
    };
    tokio::time::timeout(limit, work).await.unwrap_or(Err(FetchError::TimedOut))
}

/// The head of an answer, and the connection that must be polled for its body to come. The
/// connection never ends: when it is over, the body is.
pub(crate) async fn request(
    url: &WsUrl,
    method: Method,
    path: &str,
) -> Result<
    (Response<Incoming>, impl Future<Output = std::convert::Infallible> + Send + use<>),
    FetchError,
> {
    let (stream, authority) = connect(url).await.map_err(|_| FetchError::Refused)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| FetchError::Refused)?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority)
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Refused)?;
    let mut connection = Box::pin(async move {
        let _ = connection.await;
        std::future::pending().await
    });
    let response = tokio::select! {
        response = sender.send_request(request) => response.map_err(|_| FetchError::Refused)?,
        never = &mut connection => match never {},
    };
    Ok((response, connection))
}

/// One look at the list of targets of a living browser.
pub(crate) async fn look_for(url: &WsUrl, target: &str, limit: Duration, max: usize) -> TargetSeen {
    let Ok(answer) = fetch(url, Method::GET, "/json/list", limit, max).await else {
        return TargetSeen::NotKnown;
    };
    match serde_json::from_slice::<Vec<Listed>>(answer.body()) {
        Ok(list) if list.iter().any(|listed| listed.id == target) => TargetSeen::Listed,
        Ok(_) => TargetSeen::Unlisted,
        Err(_) => TargetSeen::NotKnown,
    }
}

#[derive(serde::Deserialize)]
struct Listed {
    id: String,
}
