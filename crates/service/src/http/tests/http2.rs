//! HTTP/2 on the same port, for clients that know beforehand that it is spoken.

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::sync::Notify;

use super::*;

type Sender = SendRequest<http_body_util::Full<Bytes>>;

/// A connection, and its task, which ends when the connection does.
async fn client(rig: &Rig) -> (Sender, JoinSet<()>) {
    let stream = TokioIo::new(rig.connect().await);
    let made = http2::handshake(TokioExecutor::new(), stream).await;
    let (sender, connection) = made.unwrap();
    let mut running = JoinSet::new();
    running.spawn(async move {
        // How it ends is up to each test.
        let _ = connection.await;
    });
    (sender, running)
}

fn request(rig: &Rig, path: &str) -> http::Request<http_body_util::Full<Bytes>> {
    let uri = format!("http://{}{path}", rig.address);
    http::Request::get(uri).body(http_body_util::Full::default()).unwrap()
}

async fn ended(mut running: JoinSet<()>) {
    timeout(PATIENCE, running.join_next()).await.expect("the connection is still open");
}

/// A route whose answer is held, and a route that does not end.
fn slow() -> (Router, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let held = Arc::clone(&go);
    let router = hello().route("/held", get(move || async move { held.notified().await })).route(
        "/endless",
        get(|| async { Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()) }),
    );
    (router, go)
}

#[tokio::test]
async fn both_versions_are_answered_on_one_port() {
    let router = Router::new().route(
        "/",
        get(|ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| async move {
            format!("{:?} {} {:?}", request.version(), peer.ip(), request.uri().authority())
        }),
    );
    let rig = start(router, limits()).await;
    let (mut sender, _running) = client(&rig).await;
    let answer = sender.send_request(request(&rig, "/")).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, http::Version::HTTP_2));
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let told = String::from_utf8_lossy(&body);
    assert!(told.starts_with("HTTP/2.0 127.0.0.1 Some("), "{told}");
    let old = rig.talk(GET_AND_CLOSE).await;
    assert!(old.contains("HTTP/1.1 127.0.0.1 None"), "{old}");
}

#[tokio::test]
async fn at_a_stop_open_requests_are_answered_and_the_connection_ends() {
    let (router, go) = slow();
    let rig = start(router, limits()).await;
    let (mut sender, running) = client(&rig).await;
    let answer = sender.send_request(request(&rig, "/held"));
    let mut answer = std::pin::pin!(answer);
    assert!(timeout(Duration::from_millis(50), answer.as_mut()).await.is_err());
    rig.stop.stop_by(Instant::now() + PATIENCE);
    go.notify_one();
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    ended(running).await;
    let report = rig.report().await;
    assert_eq!((report.connections, report.cut, report.panicked), (1, 0, 0));
}

#[tokio::test]
async fn at_a_stop_an_endless_answer_is_cut_when_its_time_is_over() {
    let (router, _go) = slow();
    let rig = start(router, limits()).await;
    let (mut sender, running) = client(&rig).await;
    let answer = sender.send_request(request(&rig, "/endless")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    rig.stop.stop_by(Instant::now() + Duration::from_millis(50));
    ended(running).await;
    assert_eq!(rig.report().await.cut, 1);
}

#[tokio::test]
async fn an_idle_connection_ends_and_one_with_an_open_request_does_not() {
    let (router, go) = slow();
    let short = HttpLimits { idle_timeout: Duration::from_millis(50), ..limits() };
    let rig = start(router, short).await;
    let (mut sender, running) = client(&rig).await;
    let mut answer = std::pin::pin!(sender.send_request(request(&rig, "/held")));
    assert!(timeout(Duration::from_millis(300), answer.as_mut()).await.is_err());
    go.notify_one();
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    ended(running).await;
}

#[tokio::test]
async fn more_requests_at_once_than_allowed_wait_for_their_turn() {
    let (router, go) = slow();
    let one = HttpLimits { streams: 1, ..limits() };
    let rig = start(router, one).await;
    let (mut sender, _running) = client(&rig).await;
    // The first answer brings the server's own limit with it.
    sender.send_request(request(&rig, "/")).await.unwrap();
    let mut second = sender.clone();
    let mut held = std::pin::pin!(sender.send_request(request(&rig, "/held")));
    assert!(timeout(Duration::from_millis(50), held.as_mut()).await.is_err());
    let mut waits = std::pin::pin!(second.send_request(request(&rig, "/")));
    assert!(timeout(Duration::from_millis(50), waits.as_mut()).await.is_err());
    go.notify_one();
    assert_eq!(held.await.unwrap().status(), StatusCode::OK);
    assert_eq!(waits.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused_and_the_connection_lives_on() {
    let small = HttpLimits { header_bytes: 8192, ..limits() };
    let rig = start(hello(), small).await;
    let (mut sender, _running) = client(&rig).await;
    let mut large = request(&rig, "/");
    large.headers_mut().insert("x-large", "x".repeat(9000).parse().unwrap());
    let refused = sender.send_request(large).await.unwrap();
    assert_eq!(refused.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(sender.send_request(request(&rig, "/")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_preface_and_nothing_else_is_not_kept_longer_than_an_idle_connection() {
    let brief = Duration::from_millis(50);
    let short = HttpLimits { idle_timeout: brief, header_timeout: brief, ..limits() };
    let rig = start(hello(), short).await;
    let mut stream = rig.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    rest(&mut stream).await;
}
