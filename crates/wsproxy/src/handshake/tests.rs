//! Facts of the handshakes.

use super::{ClientStream, HandshakeError, HandshakeRefused, accept, accept_value, connect};
use crate::endpoint::Endpoint as _;
use crate::handshake::into_stream;
use crate::limits::Limits;
use crate::relay::Relay;
use crate::testing::{CLOSE, Frame, TEXT, decode};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, StatusCode, Version};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

/// Key and answer of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ANSWER: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn request(change: impl FnOnce(&mut Parts)) -> Parts {
    let request = Request::get("/devtools/browser/x")
        .header("Connection", "keep-alive, Upgrade")
        .header("Upgrade", "WebSocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", KEY)
        .header("Sec-WebSocket-Extensions", "permessage-deflate")
        .header("Sec-WebSocket-Protocol", "cdp")
        .body(())
        .unwrap();
    let (mut parts, ()) = request.into_parts();
    change(&mut parts);
    parts
}

#[test]
fn a_proper_upgrade_is_answered_and_what_it_offers_is_declined() {
    let response = accept(&request(|_| ())).unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers();
    assert_eq!(headers["sec-websocket-accept"], ANSWER);
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["connection"], "Upgrade");
    assert_eq!(headers.len(), 3, "no extension, no sub-protocol");
}

#[test]
fn an_upgrade_that_lacks_something_is_refused_by_name() {
    let drop_header = |name: &'static str| {
        move |parts: &mut Parts| {
            parts.headers.remove(name);
        }
    };
    let set = |name: &'static str, value: &'static str| {
        move |parts: &mut Parts| {
            parts.headers.insert(name, value.parse().unwrap());
        }
    };
    let refused =
        |change: &dyn Fn(&mut Parts)| accept(&request(|parts| change(parts))).unwrap_err();
    let post = refused(&|parts| parts.method = http::Method::POST);
    assert_eq!((post, post.status()), (HandshakeRefused::Method, StatusCode::METHOD_NOT_ALLOWED));
    let old = refused(&|parts| parts.version = Version::HTTP_10);
    assert_eq!((old, old.status()), (HandshakeRefused::HttpVersion, StatusCode::BAD_REQUEST));
    for plain in [
        refused(&drop_header("upgrade")),
        refused(&drop_header("connection")),
        refused(&set("upgrade", "h2c")),
        refused(&set("connection", "close")),
    ] {
        assert_eq!(plain, HandshakeRefused::NotAnUpgrade);
        assert_eq!(plain.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(plain.header().unwrap().1, "websocket");
    }
    for version in [
        refused(&set("sec-websocket-version", "8")),
        refused(&drop_header("sec-websocket-version")),
    ] {
        assert_eq!(version, HandshakeRefused::WebSocketVersion);
        assert_eq!(version.header().unwrap().1, "13");
    }
    for key in ["", "short", "dGhlIHNhbXBsZSBub25jZSE=", "not base64 not base64 ab"] {
        assert_eq!(refused(&set("sec-websocket-key", key)), HandshakeRefused::Key, "{key}");
    }
    assert_eq!(refused(&drop_header("sec-websocket-key")), HandshakeRefused::Key);
}

async fn head(stream: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Dials a server that answers what `answer` makes of the request's key.
async fn dial(
    answer: impl FnOnce(&str) -> Vec<u8>,
) -> (Result<super::Connected<DuplexStream>, HandshakeError>, String, DuplexStream) {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let serve = async {
        let head = head(&mut far).await;
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        far.write_all(&answer(&accept_value(key.as_bytes()))).await.unwrap();
        (head, far)
    };
    let (connected, (head, far)) =
        tokio::join!(connect(near, "127.0.0.1:9222", "/devtools/browser/abc"), serve);
    (connected, head, far)
}

fn switching(accept: &str, more: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn the_request_upstream_carries_nothing_but_the_upgrade() {
    let hello = Frame::browser(TEXT, "hello").bytes();
    let (connected, head, mut far) =
        dial(|accept| [switching(accept, ""), hello.clone()].concat()).await;
    let mut connected = connected.unwrap();
    let mut lines: Vec<_> = head.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "GET /devtools/browser/abc HTTP/1.1");
    let mut names: Vec<_> = lines.iter().map(|line| line.split(':').next().unwrap()).collect();
    names.sort_unstable();
    let expected = ["connection", "host", "sec-websocket-key", "sec-websocket-version", "upgrade"];
    assert_eq!(names, expected);
    assert!(lines.contains(&"host: 127.0.0.1:9222"));
    assert_eq!(connected.prefix, hello, "what came with the answer is kept");
    connected.io.write_all(b"direct").await.unwrap();
    let mut bytes = [0; 6];
    far.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"direct");
}

#[tokio::test]
async fn each_connection_has_its_own_key() {
    let key = |head: &str| head.lines().find(|line| line.contains("-key")).unwrap().to_owned();
    let (_, one, _far) = dial(|accept| switching(accept, "")).await;
    let (_, two, _far) = dial(|accept| switching(accept, "")).await;
    assert_ne!(key(&one), key(&two));
}

#[tokio::test]
async fn an_answer_that_is_not_the_right_one_fails_the_dial() {
    let wrong = switching(ANSWER, "");
    let error = |answer: Vec<u8>| async { dial(|_| answer).await.0.unwrap_err() };
    assert_eq!(error(wrong).await, HandshakeError::Accept);
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (refused, ..) = dial(|accept| switching(accept, extension)).await;
    assert_eq!(refused.unwrap_err(), HandshakeError::NotOffered("an extension"));
    let (refused, ..) = dial(|accept| switching(accept, "Sec-WebSocket-Protocol: x\r\n")).await;
    assert_eq!(refused.unwrap_err(), HandshakeError::NotOffered("a sub-protocol"));
    let plain = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(error(plain.to_vec()).await, HandshakeError::NotWebSocket);
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(error(missing.to_vec()).await, HandshakeError::Status(StatusCode::NOT_FOUND));
    assert_eq!(error(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()).await, HandshakeError::NotHttp);
    let endless = [b"HTTP/1.1 101 X\r\nA: ", &[b'a'; 32 * 1024][..]].concat();
    assert_eq!(error(endless).await, HandshakeError::NotHttp);
}

#[tokio::test]
async fn a_server_that_goes_away_fails_the_dial() {
    let (near, far) = tokio::io::duplex(64);
    drop(far);
    let error = connect(near, "localhost", "/").await.unwrap_err();
    assert_eq!(error.kind(), "io");
    let (near, mut far) = tokio::io::duplex(4096);
    let serve = async {
        head(&mut far).await;
        drop(far);
    };
    let (error, ()) = tokio::join!(connect(near, "localhost", "/"), serve);
    assert_eq!(error.unwrap_err().kind(), "io");
}

#[tokio::test]
async fn an_address_that_does_not_fit_is_refused_before_a_byte_is_sent() {
    let (near, mut far) = tokio::io::duplex(64);
    let error = connect(near, "local\nhost", "/").await.unwrap_err();
    assert_eq!(error.kind(), "address");
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
}

/// Both halves over TCP, served by hyper, with bytes that come together with the upgrade.
#[tokio::test]
async fn a_client_served_by_hyper_is_relayed_over_its_own_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (upstream, mut browser) = tokio::io::duplex(4096);
    let early = Frame::client(TEXT, "early");

    let client = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        client.write_all(&[request.into_bytes(), early.bytes()].concat()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(client.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        client.write_all(&Frame::client(CLOSE, "").bytes()).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(decode(&rest), [Frame::browser(CLOSE, "")]);
    };
    let (upgrades, mut upgraded) = tokio::sync::mpsc::channel(1);
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(|mut request: Request<hyper::body::Incoming>| {
            let upgrade = hyper::upgrade::on(&mut request);
            let response = accept(&request.into_parts().0).unwrap();
            upgrades.try_send(upgrade).unwrap();
            async { Ok::<_, std::convert::Infallible>(response.map(|()| Empty::<Bytes>::new())) }
        });
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await
            .unwrap();
    };
    let relay = async {
        let upgraded = upgraded.recv().await.unwrap().await.unwrap();
        let (client, prefix) = into_stream(upgraded);
        assert!(matches!(client, ClientStream::Tcp(_)));
        assert!(client.socket().is_some(), "long payloads would be copied");
        let relay = Relay::new(client, upstream, Arc::new(Limits::default()));
        let ending = relay.with_client_prefix(prefix).run().await;
        let close = ending.terminal().suggested_client_close();
        ending.close(std::future::ready(close)).await
    };
    let browser = async {
        let mut bytes = vec![0; early.bytes().len()];
        browser.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, early.bytes());
        let mut close = [0; 6];
        browser.read_exact(&mut close).await.unwrap();
        browser.write_all(&Frame::browser(CLOSE, "").bytes()).await.unwrap();
    };
    let (report, ..) = tokio::join!(relay, serve, client, browser);
    assert_eq!(report.to_browser.messages, 1);
}

#[tokio::test]
async fn a_stream_that_is_no_tcp_socket_stays_inside_hyper() {
    let (near, mut far) = tokio::io::duplex(4096);
    let (upgrades, mut upgraded) = tokio::sync::mpsc::channel(1);
    let serve = async {
        let service = hyper::service::service_fn(|mut request: Request<hyper::body::Incoming>| {
            let upgrade = hyper::upgrade::on(&mut request);
            let response = accept(&request.into_parts().0).unwrap();
            upgrades.try_send(upgrade).unwrap();
            async { Ok::<_, std::convert::Infallible>(response.map(|()| Empty::<Bytes>::new())) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(near), service)
            .with_upgrades();
        connection.await.unwrap();
    };
    let client = async {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\nearly"
        );
        far.write_all(request.as_bytes()).await.unwrap();
        head(&mut far).await;
        far
    };
    let (mut far, ()) = tokio::join!(client, serve);
    let (mut stream, prefix) = into_stream(upgraded.recv().await.unwrap().await.unwrap());
    assert!(matches!(stream, ClientStream::Other(_)) && prefix.is_empty());
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"early");
    stream.write_all(b"back").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"back");
}
