use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Answer, HttpProbe, PROBE_TIMEOUT, Probe};

/// Serves one connection with `serve` while it is asked.
async fn ask_while<F: Future>(serve: impl FnOnce(TcpStream, String) -> F) -> Answer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        serve(stream, String::from_utf8(request).unwrap()).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = HttpProbe.ask("127.0.0.1", port) => answer,
        () = server => panic!("the server does not end by itself"),
    }
}

async fn answer_to(response: String) -> Answer {
    ask_while(|mut stream, _| async move {
        // It may be closed by then: a large answer is not read to its end.
        let _ = stream.write_all(response.as_bytes()).await;
    })
    .await
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn version(guid: &str) -> String {
    format!(
        r#"{{"Browser":"HeadlessChrome/156","webSocketDebuggerUrl":"ws://elsewhere:1/devtools/browser/{guid}"}}"#
    )
}

fn alive(guid: &str) -> Answer {
    Answer::Alive { guid: guid.to_owned() }
}

#[tokio::test]
async fn the_id_is_read_and_the_place_is_not() {
    assert_eq!(answer_to(http("200 OK", &version("a-1"))).await, alive("a-1"));
}

#[tokio::test]
async fn the_request_is_one_plain_get_with_the_address_as_its_host() {
    let answer = ask_while(|mut stream, request| async move {
        let peer = stream.local_addr().unwrap();
        let mut lines = request.lines();
        assert_eq!(lines.next(), Some("GET /json/version HTTP/1.1"));
        let headers: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        assert_eq!(headers, [format!("host: {peer}")]);
        stream.write_all(http("200 OK", &version("a")).as_bytes()).await.unwrap();
    });
    assert_eq!(answer.await, alive("a"));
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_is_whole() {
    let answer = ask_while(|mut stream, _| async move {
        let response = format!("HTTP/1.0 200 OK\r\n\r\n{}", version("a"));
        stream.write_all(response.as_bytes()).await.unwrap();
        drop(stream);
    });
    assert_eq!(answer.await, alive("a"));
}

#[tokio::test]
async fn whatever_is_no_browser_refuses() {
    for (what, response) in [
        ("an error", http("500 Internal Server Error", &version("a"))),
        ("not found", http("404 Not Found", "")),
        ("no JSON", http("200 OK", "<html>")),
        ("no address", http("200 OK", "{}")),
        ("a page", http("200 OK", r#"{"webSocketDebuggerUrl":"ws://h/devtools/page/a"}"#)),
        ("a bad id", http("200 OK", &version("a/b"))),
        ("an empty id", http("200 OK", &version(""))),
        ("a huge answer", http("200 OK", &(version("a") + &" ".repeat(70_000)))),
        (
            "a redirect",
            "HTTP/1.1 302 Found\r\nLocation: /json/version/\r\nContent-Length: 0\r\n\r\n".into(),
        ),
    ] {
        assert_eq!(answer_to(response).await, Answer::Refused, "{what}");
    }
}

#[tokio::test]
async fn a_broken_answer_is_no_answer() {
    for response in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", "nonsense\r\n\r\n"] {
        let answer = ask_while(|mut stream, _| async move {
            stream.write_all(response.as_bytes()).await.unwrap();
            drop(stream);
        });
        assert_eq!(answer.await, Answer::NoAnswer, "{response:?}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
    assert_eq!(answer_to(endless).await, Answer::NoAnswer);
}

#[tokio::test]
async fn a_closed_port_refuses_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(HttpProbe.ask("127.0.0.1", port).await, Answer::Refused);
}

#[tokio::test]
async fn silence_ends_with_the_time_for_the_whole_question() {
    let start = Instant::now();
    let silent = ask_while(|stream, _| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    });
    assert_eq!(silent.await, Answer::NoAnswer);
    // A byte now and then does not make it longer.
    let slow = ask_while(|mut stream, _| async move {
        loop {
            let _ = stream.write_all(b"H").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(slow.await, Answer::NoAnswer);
    let took = start.elapsed();
    assert!(took >= 2 * PROBE_TIMEOUT && took < 2 * PROBE_TIMEOUT + Duration::from_secs(2));
}
