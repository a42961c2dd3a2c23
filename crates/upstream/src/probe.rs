//! Asking the thing at an address whether it is the browser we know.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::url::{WsUrl, host_header};

/// Time for the whole question: connect, request and answer.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(250);
/// Longest answer that is read. A real one has some 500 bytes.
const MAX_BODY: usize = 64 * 1024;
/// Room for the answer's header.
const MAX_HEADER: usize = 16 * 1024;

/// What [`Upstream::verify`](crate::Upstream::verify) found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// The instance that was asked for answers.
    SameAlive,
    /// A browser answers at its address, but it is another instance.
    OtherAlive {
        /// The address of that instance.
        url: WsUrl,
    },
    /// Nothing listens there, or something that is no browser.
    Refused,
    /// No answer in time, or no address to ask.
    NoAnswer,
}

/// What a place answers when it is asked which browser it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A browser, with this instance id.
    Alive {
        /// The id, as the browser gave it.
        guid: String,
    },
    /// Nothing listens there, or something that is no browser.
    Refused,
    /// No answer in time.
    NoAnswer,
}

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How a place is asked. [`HttpProbe`] is the real one; another serves a browser that is not
/// reached over TCP, or a test in paused time.
pub trait Probe: Send + Sync + 'static {
    /// Asks `host:port`, once, and answers within about [`PROBE_TIMEOUT`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the question and leaves nothing behind.
    fn ask<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Answer>;
}

/// One GET of `/json/version`: no redirects, at most 64 KiB, [`PROBE_TIMEOUT`] for all of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpProbe;

impl Probe for HttpProbe {
    fn ask<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            match tokio::time::timeout(PROBE_TIMEOUT, ask(host, port)).await {
                Ok(answer) => answer,
                Err(_elapsed) => Answer::NoAnswer,
            }
        })
    }
}

async fn ask(host: &str, port: u16) -> Answer {
    let stream = match TcpStream::connect((host, port)).await {
        Ok(stream) => stream,
        Err(error) => return unreachable_because(&error),
    };
    let Ok(peer) = stream.peer_addr() else {
        return Answer::Refused;
    };
    let handshake =
        http1::Builder::new().max_buf_size(MAX_HEADER).handshake(TokioIo::new(stream)).await;
    let Ok((mut sender, connection)) = handshake else {
        return Answer::NoAnswer;
    };
    let request = Request::get("/json/version")
        .header(HOST, host_header(host, port, peer))
        .body(Empty::<Bytes>::new());
    let Ok(request) = request else {
        return Answer::Refused;
    };
    let reply = async {
        let Ok(response) = sender.send_request(request).await else {
            return Answer::NoAnswer;
        };
        if response.status() != StatusCode::OK {
            return Answer::Refused;
        }
        match Limited::new(response.into_body(), MAX_BODY).collect().await {
            Ok(body) => read_version(&body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Answer::Refused,
            Err(_) => Answer::NoAnswer,
        }
    };
    // The connection is driven here and not by a task, so that nothing outlives the question. Its
    // end does not end the wait: what it has read may still be on its way to `reply`.
    let drive = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = reply => answer,
        () = drive => Answer::NoAnswer,
    }
}

fn unreachable_because(error: &io::Error) -> Answer {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Answer::Refused,
        _ => Answer::NoAnswer,
    }
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "webSocketDebuggerUrl")]
    url: String,
}

/// Takes the instance id out of the answer. Its host and port are an echo of our own `Host`.
fn read_version(body: &[u8]) -> Answer {
    let guid = serde_json::from_slice::<Version>(body).ok().and_then(|version| {
        version.url.rsplit_once("/devtools/browser/").map(|(_, guid)| guid.to_owned())
    });
    match guid {
        Some(guid) if WsUrl::from_parts("localhost", 1, &guid).is_ok() => Answer::Alive { guid },
        Some(_) | None => Answer::Refused,
    }
}

#[cfg(test)]
mod tests;
