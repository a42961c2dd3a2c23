//! HTTP by hand, for the client's side.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ws::{PATIENCE, Ws};

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The headers of a good handshake.
pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends a request head and leaves the rest to the caller.
pub async fn knock(to: SocketAddr, method: &str, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.expect("the edge listens");
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {to}\r\n") };
    let head = format!("{method} {path} HTTP/1.1\r\n{host}{headers}\r\n");
    stream.write_all(head.as_bytes()).await.expect("the edge reads");
    stream
}

/// One request on a connection of its own.
pub async fn request(to: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let headers = format!("{headers}Connection: close\r\n");
    let mut stream = knock(to, method, path, &headers).await;
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("no answer").expect("readable");
    let (mut answer, body) = head(&bytes).expect("a whole head");
    answer.body = unchunked(&answer, &bytes[body..]);
    answer
}

pub async fn get(to: SocketAddr, path: &str) -> Answer {
    request(to, "GET", path, "").await
}

/// A WebSocket, or the answer that refused it.
pub async fn upgrade(to: SocketAddr, path: &str, headers: &str) -> Result<Ws, Answer> {
    let stream = knock(to, "GET", path, &format!("{headers}{UPGRADE}")).await;
    upgraded(stream).await
}

/// Reads the answer to an upgrade that was sent.
pub async fn upgraded(mut stream: TcpStream) -> Result<Ws, Answer> {
    let mut bytes = Vec::new();
    let read = async {
        loop {
            if let Some((answer, body)) = head(&bytes) {
                if answer.status == 101 {
                    return Ok(Ws::client(stream, bytes.split_off(body)));
                }
                let length: usize =
                    answer.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
                if bytes.len() >= body + length {
                    let body = String::from_utf8_lossy(&bytes[body..]).into_owned();
                    return Err(Answer { body, ..answer });
                }
            }
            let read = stream.read_buf(&mut bytes).await.expect("readable");
            assert_ne!(read, 0, "the edge closed without an answer: {bytes:?}");
        }
    };
    timeout(PATIENCE, read).await.expect("no answer to the upgrade")
}

fn head(bytes: &[u8]) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = text.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Some((Answer { status, headers, body: String::new() }, end))
}

fn unchunked(answer: &Answer, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    if answer.header("transfer-encoding") != Some("chunked") {
        return text;
    }
    let (mut out, mut rest) = (String::new(), text.as_str());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        if size == 0 {
            break;
        }
        out.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    out
}
