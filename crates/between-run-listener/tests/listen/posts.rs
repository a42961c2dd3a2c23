//! Runs that are posted to runners.

use std::time::Duration;

use between_run_listener::http::{Client, CollectError, Headers, Options, Request, SendError};
use between_run_listener::listener::Reason;
use bytes::Bytes;
use http::{HeaderValue, Method};
use testkit::runner::Runner;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::world::soon;

fn request<'a>(url: &'a Url, headers: &'a Headers) -> Request<'a> {
    Request {
        method: Method::POST,
        url,
        headers,
        traceparent: Some(HeaderValue::from_static("00-abc-def-01")),
        body: Bytes::from_static(b"{\"threadId\":\"t\"}"),
        head: Duration::from_secs(60),
    }
}

fn client() -> Client {
    Client::new(Options::default())
}

#[tokio::test]
async fn a_run_is_posted_as_it_is_and_its_answer_read_as_it_comes() {
    let runner = Runner::start().await;
    let url = runner.url("/run?x=1").parse().expect("a URL");
    let headers = Headers::new([("x-key", "hush")]).expect("headers");
    let cancel = CancellationToken::new();
    let play = async {
        let mut ask = runner.next().await;
        assert!(ask.head.starts_with("POST /run?x=1 HTTP/1.1\r\n"), "{}", ask.head);
        assert_eq!(ask.body, b"{\"threadId\":\"t\"}");
        assert_eq!(ask.field("content-type"), Some("application/json"));
        assert_eq!(ask.field("accept"), Some("text/event-stream"));
        assert_eq!(ask.field("x-key"), Some("hush"));
        assert_eq!(ask.field("traceparent"), Some("00-abc-def-01"));
        assert_eq!(ask.field("content-length"), Some("16"));
        ask.stream("data: a\n\n").await;
        ask
    };
    let client = client();
    let request = request(&url, &headers);
    let (mut ask, response) = tokio::join!(play, client.post_stream(&request, &cancel));
    let mut response = response.expect("an answer");
    assert_eq!(response.status, 200);
    assert!(response.is_event_stream());
    let first = soon(response.body.chunk()).await.expect("good");
    assert_eq!(first.as_deref(), Some(&b"data: a\n\n"[..]));
    ask.send("data: b\n\n").await;
    drop(ask);
    let rest = soon(response.body.collect(100)).await.expect("good");
    assert_eq!(&rest[..], b"data: b\n\n");
}

#[tokio::test]
async fn a_compressed_answer_to_a_run_is_no_event_stream() {
    let runner = Runner::start().await;
    let url = runner.url("/").parse().expect("a URL");
    let (headers, cancel) = (Headers::default(), CancellationToken::new());
    let play = async {
        let mut ask = runner.next().await;
        ask.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\
             Connection: close\r\n\r\n",
        )
        .await;
        ask
    };
    let client = client();
    let request = request(&url, &headers);
    let (_ask, response) = tokio::join!(play, client.post_stream(&request, &cancel));
    assert!(!response.expect("an answer").is_event_stream());
}

#[tokio::test]
async fn a_runner_that_starts_late_is_waited_for() {
    let (url, address) = {
        let runner = Runner::start().await;
        (runner.url("/").parse().expect("a URL"), runner.address())
    };
    let headers = Headers::default();
    let (client, cancel) = (client(), CancellationToken::new());
    let request = request(&url, &headers);
    let post = client.post_stream(&request, &cancel);
    tokio::pin!(post);
    // Refused at least once.
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut post).await.is_err());
    let runner = Runner::at(address).await;
    let play = async { runner.next().await.answer(202, &[]).await };
    let ((), response) = soon(async { tokio::join!(play, post) }).await;
    assert_eq!(response.expect("an answer").status, 202);
}

#[tokio::test]
async fn a_request_of_which_a_byte_was_sent_is_never_sent_again() {
    let runner = Runner::start().await;
    let url = runner.url("/").parse().expect("a URL");
    let headers = Headers::default();
    let (client, cancel) = (client(), CancellationToken::new());
    let request = request(&url, &headers);
    let play = async { drop(runner.next().await) };
    let ((), response) = tokio::join!(play, client.post_stream(&request, &cancel));
    let error = response.expect_err("no answer");
    assert!(matches!(error, SendError::Broken { reason: Reason::Reset }), "{error:?}");
    assert!(!error.is_retriable());
    assert!(!runner.is_asked_within(Duration::from_millis(700)).await);
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_is_not_there_is_tried_fifteen_times() {
    struct Nowhere(std::sync::atomic::AtomicU32);
    impl between_run_listener::http::Resolve for &'static Nowhere {
        fn resolve<'a>(
            &'a self,
            _: &'a str,
        ) -> between_run_listener::BoxFuture<'a, std::io::Result<Vec<std::net::IpAddr>>> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Box::pin(std::future::ready(Ok(Vec::new())))
        }
    }
    let nowhere: &'static Nowhere = Box::leak(Box::new(Nowhere(0.into())));
    let client = Client::new(Options { resolver: Box::new(nowhere), ..Options::default() });
    let url = "http://runner.test/".parse().expect("a URL");
    let headers = Headers::default();
    let begin = tokio::time::Instant::now();
    let error = client
        .post_stream(&request(&url, &headers), &CancellationToken::new())
        .await
        .expect_err("nobody is there");
    assert_eq!(error, SendError::Connect { reason: Reason::Dns });
    assert_eq!(nowhere.0.load(std::sync::atomic::Ordering::Relaxed), 15);
    // 0.5 + 0.75 + 1.125 + 1.69 + 2.53 + 3.8 + 8 times 5 seconds.
    assert_eq!(begin.elapsed().as_secs(), 50);
}

#[tokio::test]
async fn a_runner_that_refuses_a_large_run_before_it_has_read_it_is_heard() {
    let runner = Runner::start().await;
    let url = runner.url("/").parse().expect("a URL");
    let headers = Headers::default();
    let body = Bytes::from(vec![b' '; 64 << 20]);
    let request = Request { body, ..request(&url, &headers) };
    let (client, cancel) = (client(), CancellationToken::new());
    let play = async {
        // It reads nothing at all, and stays.
        let mut stream = runner.connection().await;
        let answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("it is written");
        stream
    };
    let (_stream, response) =
        soon(async { tokio::join!(play, client.post_stream(&request, &cancel)) }).await;
    assert_eq!(response.expect("an answer").status, 413);
}

#[tokio::test]
async fn a_cancelled_run_closes_its_connection() {
    let runner = Runner::start().await;
    let url = runner.url("/").parse().expect("a URL");
    let headers = Headers::default();
    let (client, cancel) = (client(), CancellationToken::new());
    let request = request(&url, &headers);
    let play = async {
        let mut ask = runner.next().await;
        cancel.cancel();
        ask.closed().await;
    };
    let ((), response) = tokio::join!(play, client.post_stream(&request, &cancel));
    assert_eq!(response.expect_err("no answer"), SendError::Cancelled);
}

#[tokio::test]
async fn a_status_comes_back_as_it_is_and_no_redirect_is_followed() {
    let (runner, url) = (Runner::start().await, |runner: &Runner| runner.url("/"));
    let url = url(&runner).parse().expect("a URL");
    let headers = Headers::default();
    for status in [302, 401, 500] {
        let client = client();
        let request = request(&url, &headers);
        let play = async { runner.next().await.answer(status, &["Location: /else"]).await };
        let ((), response) = tokio::join!(play, client.send(&request));
        assert_eq!(response.expect("an answer").status.as_u16(), status);
    }
    assert!(!runner.is_asked_within(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_too_large_is_an_error() {
    let runner = Runner::start().await;
    let url = runner.url("/").parse().expect("a URL");
    let headers = Headers::default();
    let ask = async |text: &'static str| {
        let client = client();
        let request = request(&url, &headers);
        let play = async { runner.next().await.send(text).await };
        let ((), response) = tokio::join!(play, client.send(&request));
        soon(response.expect("an answer").body.collect(4)).await
    };
    let whole = ask("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd").await;
    assert_eq!(whole.as_deref(), Ok(&b"abcd"[..]));
    let large = ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde").await;
    assert_eq!(large, Err(CollectError::TooLarge { limit: 4 }));
    let short = ask("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").await;
    let broken = SendError::Broken { reason: Reason::Reset };
    assert_eq!(short, Err(CollectError::Send(broken)));
}

#[test]
fn the_values_of_headers_are_shown_nowhere() {
    let headers = Headers::new([("Authorization", "Bearer hush"), ("x-b", "hush")]).expect("good");
    let shown = format!("{headers:?}");
    assert!(shown.contains("authorization") && !shown.contains("hush"), "{shown}");
    for (name, value) in [("a b", "v"), ("x", "hush\r\nHost: b"), ("Host", "v"), ("TE", "v")] {
        let error = Headers::new([(name, value)]).expect_err(name).to_string();
        assert!(error.contains(name) && !error.contains("hush"), "{error}");
    }
}
