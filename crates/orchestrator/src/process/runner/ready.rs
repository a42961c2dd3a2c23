//! Whether a runner is ready: one request, of which only the status is of interest.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Pause between two tries.
const AGAIN: Duration = Duration::from_millis(50);

/// How much of an answer is read.
const REST: u64 = 64 << 10;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);

/// Waits until a GET of `path` is answered with 2xx.
///
/// # Cancel safety
/// May be dropped at any time.
pub(super) async fn answers(port: u16, path: &str) {
    loop {
        match tokio::time::timeout(TRY, status(port, path)).await {
            Ok(Ok(b'2')) => return,
            Ok(Ok(first)) => tracing::debug!(port, first, "a runner is not ready"),
            Ok(Err(error)) => tracing::trace!(port, %error, "a runner does not answer"),
            Err(_) => tracing::debug!(port, "a runner takes its time"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The first digit of the status, as an ASCII character.
async fn status(port: u16, path: &str) -> io::Result<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    // `HTTP/1.1 200`, RFC 9112 section 4.
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    // A server that is cut off in its answer may make a fuss of it.
    let mut rest = stream.take(REST);
    let _ = tokio::time::timeout(AGAIN, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', first, _, _] => Ok(first),
        _ => Err(io::Error::other("it does not speak HTTP/1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Serves each connection one answer; what was asked.
    async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).await.unwrap();
            asked.push(String::from_utf8_lossy(&request[..count]).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    }

    async fn listen() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[tokio::test]
    async fn it_is_asked_until_it_answers_with_2xx() {
        let (listener, port) = listen().await;
        let replies = [
            "",
            "not HTTP at all, and long enough",
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "HTTP/1.0 404 Not Found\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ];
        let (asked, ()) = tokio::join!(serve(listener, &replies), answers(port, "/health?deep=1"));
        assert_eq!(asked.len(), 5);
        let head = "GET /health?deep=1 HTTP/1.1\r\nhost: 127.0.0.1:";
        assert!(asked[4].starts_with(head), "{asked:?}");
    }

    #[tokio::test]
    async fn what_speaks_no_http_is_no_answer() {
        let (listener, port) = listen().await;
        let replies = ["not HTTP at all, and long enough"];
        let (_, status) = tokio::join!(serve(listener, &replies), status(port, "/"));
        assert_eq!(status.unwrap_err().to_string(), "it does not speak HTTP/1");
    }
}
