use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::stream;
use http::{StatusCode, header};
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::*;

mod bodies;
mod http2;
mod tls;

/// Longer than anything here takes, so that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Rig {
    address: SocketAddr,
    stop: HttpStop,
    server: JoinSet<HttpReport>,
}

async fn start(router: Router, limits: HttpLimits) -> Rig {
    start_with(router, limits, None).await
}

async fn start_with(router: Router, limits: HttpLimits, tls: Option<Arc<Tls>>) -> Rig {
    let listener = bind("127.0.0.1:0".parse().unwrap(), "API_LISTEN").await.unwrap();
    let server = HttpServer::new(listener, router, limits).with_tls(tls);
    let (address, stop) = (server.local_addr().unwrap(), server.stop_handle());
    let mut running = JoinSet::new();
    running.spawn(server.run());
    Rig { address, stop, server: running }
}

impl Rig {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `text` on a new connection and reads until the server closes it.
    async fn talk(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    async fn report(mut self) -> HttpReport {
        timeout(PATIENCE, self.server.join_next()).await.expect("it ends").unwrap().unwrap()
    }
}

/// Reads until the other side closes; a reset counts as that.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let _ = read.unwrap_or_else(|_| panic!("still open: {}", String::from_utf8_lossy(&bytes)));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `wanted` was seen.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let mut bytes = [0; 1024];
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await;
        let count = read.unwrap_or_else(|_| panic!("only {seen:?}")).unwrap();
        assert!(count > 0, "closed after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    seen
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

fn limits() -> HttpLimits {
    HttpLimits::default()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
const GET_AND_CLOSE: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn answers_and_tells_handlers_who_asked() {
    let router = Router::new().route(
        "/",
        get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
    );
    let rig = start(router, limits()).await;
    let answer = rig.talk(GET_AND_CLOSE).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn a_slow_head_is_answered_408() {
    let short = HttpLimits { header_timeout: Duration::from_millis(50), ..limits() };
    let rig = start(hello(), short).await;
    let answer = rig.talk("GET / HTTP/1.1\r\nhost: loc").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.ends_with("did not arrive within the time\n"), "{answer}");
}

#[tokio::test]
async fn a_slow_head_after_an_answered_request_is_answered_408_long_before_the_idle_time() {
    let short = HttpLimits {
        header_timeout: Duration::from_millis(50),
        idle_timeout: PATIENCE * 100,
        ..limits()
    };
    let rig = start(hello(), short).await;
    let mut stream = rig.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut stream, "hello").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_sends_nothing_is_closed_without_a_word() {
    let short = HttpLimits { header_timeout: Duration::from_millis(50), ..limits() };
    let rig = start(hello(), short).await;
    assert_eq!(rig.talk("").await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let short = HttpLimits { idle_timeout: Duration::from_millis(50), ..limits() };
    let rig = start(hello(), short).await;
    let mut stream = rig.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut stream, "hello").await;
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_fields_is_answered_431() {
    let rig = start(hello(), limits()).await;
    let large = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    assert!(rig.talk(&large).await.starts_with("HTTP/1.1 431"));
    let fields = "x: y\r\n".repeat(100);
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
    assert!(rig.talk(&many).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_413_whether_or_not_its_size_is_told() {
    let router =
        Router::new().route("/", post(|body: Bytes| async move { body.len().to_string() }));
    let rig = start(router, HttpLimits { body_bytes: 10, ..limits() }).await;
    let post = |head: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n\r\n{body}")
    };
    let told = rig.talk(&post("content-length: 11", "12345678901")).await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");
    assert!(told.contains("the request body is larger than 10 bytes"), "{told}");
    let chunked =
        rig.talk(&post("transfer-encoding: chunked", "b\r\n12345678901\r\n0\r\n\r\n")).await;
    assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
    let fits = rig.talk(&post("content-length: 10", "1234567890")).await;
    assert!(fits.starts_with("HTTP/1.1 200") && fits.ends_with("10"), "{fits}");
}

#[tokio::test]
async fn a_panic_in_a_handler_is_answered_500_and_the_connection_goes_on() {
    let panics = get(|| async { assert!(std::hint::black_box(false), "wires crossed") });
    let rig = start(hello().route("/panics", panics), limits()).await;
    let mut stream = rig.connect().await;
    stream.write_all(b"GET /panics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "}}").await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("\"BUG\""), "{answer}");
    assert!(!answer.contains("wires crossed"), "{answer}");
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut stream, "hello").await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_until_one_ends() {
    let rig = start(hello(), HttpLimits { connections: 1, ..limits() }).await;
    let mut first = rig.connect().await;
    first.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut first, "hello").await;
    let refused = rig.talk("").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    first.write_all(GET_AND_CLOSE.as_bytes()).await.unwrap();
    rest(&mut first).await;
    let until = Instant::now() + PATIENCE;
    while !rig.talk(GET_AND_CLOSE).await.starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < until, "the place of the first was never given back");
    }
    rig.stop.stop_by(Instant::now());
    let report = rig.report().await;
    assert!(report.refused >= 1 && report.connections == 2, "{report}");
}

#[tokio::test]
async fn an_upgraded_connection_is_the_accepted_socket_and_counts_no_more() {
    let (hand, mut handed) = mpsc::channel(1);
    let upgrade = move |mut request: Request| {
        let hand = hand.clone();
        async move {
            let upgrade = hyper::upgrade::on(&mut request);
            hand.send(upgrade).await.unwrap();
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(header::UPGRADE, "echo")
                .header(header::CONNECTION, "upgrade")
                .body(Body::empty())
                .unwrap()
        }
    };
    let router = Router::new().route("/", get(upgrade));
    let rig = start(router, HttpLimits { connections: 1, ..limits() }).await;
    let mut stream = rig.connect().await;
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let upgraded = handed.recv().await.unwrap().await.unwrap();
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().expect("the accepted socket");
    assert_eq!(&parts.read_buf[..], b"early");
    let mut ours = parts.io.into_inner();
    assert!(ours.nodelay().unwrap());
    read_until(&mut stream, "\r\n\r\n").await;

    rig.stop.finish(Instant::now()).await;
    let report = rig.report().await;
    assert_eq!((report.connections, report.cut), (1, 0), "what was upgraded is not the server's");
    ours.write_all(b"still here").await.unwrap();
    drop(ours);
    assert_eq!(rest(&mut stream).await, "still here");
}

/// A route that says when it was entered and answers when it is let.
fn held() -> (Router, watch::Receiver<bool>, watch::Sender<bool>) {
    let (entered, has_entered) = watch::channel(false);
    let (release, released) = watch::channel(false);
    let handler = move || {
        entered.send_replace(true);
        let mut released = released.clone();
        async move {
            let _ = released.wait_for(|go| *go).await;
            "late"
        }
    };
    (Router::new().route("/", get(handler)), has_entered, release)
}

#[tokio::test]
async fn a_stop_lets_open_requests_end_and_takes_no_new_connection() {
    let (router, mut entered, release) = held();
    let rig = start(router, limits()).await;
    let mut stream = rig.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    entered.wait_for(|entered| *entered).await.unwrap();
    let mut idle = rig.connect().await;
    rig.stop.stop_by(Instant::now() + PATIENCE);
    assert_eq!(rest(&mut idle).await, "", "who asks nothing is closed at once");
    assert!(TcpStream::connect(rig.address).await.is_err(), "the listener is closed");
    release.send_replace(true);
    assert!(rest(&mut stream).await.ends_with("late"));
    assert_eq!(rig.report().await.cut, 0);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_at_the_deadline_of_the_stop() {
    let endless = || async {
        let chunks = stream::once(async { Ok::<_, std::io::Error>("first") });
        Body::from_stream(futures_util::StreamExt::chain(chunks, stream::pending()))
    };
    let rig = start(Router::new().route("/", get(endless)), limits()).await;
    let mut stream = rig.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut stream, "first").await;
    rig.stop.stop_by(Instant::now() + PATIENCE * 100);
    let early = Instant::now() + Duration::from_millis(50);
    timeout(PATIENCE, rig.stop.finish(early)).await.expect("the earlier deadline holds");
    assert_eq!(rig.report().await.cut, 1);
}

#[tokio::test]
async fn waiting_for_the_end_of_a_server_that_was_dropped_returns() {
    let listener = bind("127.0.0.1:0".parse().unwrap(), "API_LISTEN").await.unwrap();
    let server = HttpServer::new(listener, hello(), limits());
    let stop = server.stop_handle();
    drop(server.run());
    timeout(PATIENCE, stop.ended()).await.expect("nobody is left to wait for");
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let rig = start(hello(), limits()).await;
    let error = bind(rig.address, "LOCKKEEPER_API_LISTEN").await.expect_err("taken");
    assert_eq!(error.kind(), "address_taken");
    let text = error.to_string();
    assert!(text.contains(&rig.address.to_string()) && text.contains("LOCKKEEPER_API_LISTEN"));
}

#[tokio::test]
async fn requests_are_counted_by_route_pattern_never_by_path() {
    let mut registry = Registry::default();
    let metrics = HttpMetrics::register(&mut registry);
    let router = Router::new().route("/v1/things/{id}", get(|| async { "thing" }));
    let rig =
        start(observe_requests(&metrics, &telemetry::Telemetry::disconnected(), router), limits())
            .await;
    for path in ["/v1/things/a", "/v1/things/b", "/nowhere"] {
        let ask = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        rig.talk(&ask).await;
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let line = |labels: &str, count: u32| format!("http_requests_total{{{labels}}} {count}\n");
    assert!(text.contains(&line("route=\"/v1/things/{id}\",status=\"200\"", 2)), "{text}");
    assert!(text.contains(&line("route=\"none\",status=\"404\"", 1)), "{text}");
    assert!(!text.contains("things/a"), "{text}");
}

mod head_timer {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::Poll;

    use hyper::rt::{Sleep, Timer};
    use tokio::time::sleep;

    use super::super::head_timer::{HeadTimer, Polls};
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    async fn pending_now(wait: &mut Pin<Box<dyn Sleep>>) -> bool {
        poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending())).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_the_header_time_from_the_accept() {
        let timer = HeadTimer::new(Arc::new(Polls::default()), HEAD, IDLE);
        let began = Instant::now();
        timer.sleep_until(timer.now()).await;
        assert_eq!(began.elapsed(), HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_the_idle_time_holds_until_bytes_arrive() {
        let polls = Arc::new(Polls::default());
        let timer = HeadTimer::new(Arc::clone(&polls), HEAD, IDLE);
        drop(timer.sleep_until(timer.now()));

        let began = Instant::now();
        let mut wait = timer.sleep_until(timer.now());
        // Every wake-up is another poll of the connection, the timer's own too.
        poll_fn(|cx| {
            let over = wait.as_mut().poll(cx);
            polls.next();
            over
        })
        .await;
        assert_eq!(began.elapsed(), IDLE);

        let began = Instant::now();
        let mut wait = timer.sleep_until(timer.now());
        assert!(pending_now(&mut wait).await);
        assert!(pending_now(&mut wait).await, "polled twice for one wake-up");
        sleep(Duration::from_secs(30)).await;
        polls.next();
        assert!(pending_now(&mut wait).await);
        wait.await;
        assert_eq!(began.elapsed(), Duration::from_secs(40), "ten seconds after the bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_shortly_before_the_idle_time_still_has_the_header_time() {
        let polls = Arc::new(Polls::default());
        let timer = HeadTimer::new(Arc::clone(&polls), HEAD, IDLE);
        drop(timer.sleep_until(timer.now()));
        let began = Instant::now();
        let mut wait = timer.sleep_until(timer.now());
        assert!(pending_now(&mut wait).await);
        sleep(Duration::from_secs(74)).await;
        polls.next();
        wait.await;
        assert_eq!(began.elapsed(), Duration::from_secs(84));
    }
}
