//! `/json/*`: what clients ask before they connect.

use devtoolsproxy::EdgeSettings;
use serde_json::Value;
use telemetry::words::Addressing;
use upstream::Cause;

use crate::support::browser::{Browser, Manner};
use crate::support::http::{get, request, upgrade};
use crate::support::world::{Sandbox, World, eventually, quickly};

fn debugger_url(body: &str) -> String {
    let value: Value = serde_json::from_str(body).expect("JSON");
    value["webSocketDebuggerUrl"].as_str().expect("a url").to_owned()
}

#[tokio::test]
async fn the_advertised_url_is_the_clients_own_and_it_works() {
    let mut world = World::new().await;
    let (shared, _sandbox, mut browser) = world.one(true).await;
    let port = world.edge.fixed_router("one", Addressing::Port);
    let port = world.serve(port).await;
    let sidecar = world.edge.fixed_router("one", Addressing::Sidecar);
    let sidecar = world.serve(sidecar).await;
    let rest = axum::Router::new().fallback(|| async { "rest" });
    let subdomains = world.edge.with_subdomains("boxes.test", rest);
    let subdomains = world.serve(subdomains).await;

    for (to, path, host, want) in [
        (
            shared,
            "/sandboxes/one/json/version",
            None,
            format!("ws://{shared}/sandboxes/one/devtools/browser/one"),
        ),
        (
            shared,
            "/sandboxes/one/json/version/?x=1",
            None,
            format!("ws://{shared}/sandboxes/one/devtools/browser/one"),
        ),
        (
            shared,
            "/sandboxes/one/json/version?token=a%2Bb",
            None,
            format!("ws://{shared}/sandboxes/one/devtools/browser/one?token=a%2Bb"),
        ),
        (port, "/json/version", None, format!("ws://{port}/devtools/browser/one")),
        (sidecar, "/json/version/", None, format!("ws://{sidecar}/devtools/browser/one")),
        (
            subdomains,
            "/json/version",
            Some("one--abcdefghijklmnopqrstuvwxyz.boxes.test"),
            "ws://one--abcdefghijklmnopqrstuvwxyz.boxes.test/devtools/browser/one".to_owned(),
        ),
    ] {
        let headers = host.map(|host| format!("Host: {host}\r\n")).unwrap_or_default();
        let answer = request(to, "GET", path, &headers).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
        let url = debugger_url(&answer.body);
        assert_eq!(url, want);
        assert!(!answer.body.contains("guid-1"), "{}", answer.body);
        assert!(!answer.body.contains(&browser.port().to_string()), "{}", answer.body);

        let path = &url["ws://".len()..];
        let path = &path[path.find('/').unwrap()..];
        let _client = upgrade(to, path, &headers).await.expect("the advertised url works");
        assert_eq!(browser.socket().await.0, "/devtools/browser/guid-1");
    }
    let answer = request(subdomains, "GET", "/json/version", "Host: other.test\r\n").await;
    assert_eq!(answer.body, "rest");
}

#[tokio::test]
async fn both_lists_are_the_same_and_pages_lead_to_pages() {
    let mut world = World::new().await;
    let (edge, _sandbox, mut browser) = world.one(true).await;
    let list = get(edge, "/sandboxes/one/json/list").await;
    assert_eq!(list.body, get(edge, "/sandboxes/one/json").await.body);
    let want = format!(
        "[ {{ \"devtoolsFrontendUrl\": \"/devtools/inspector.html?ws={edge}/sandboxes/one/devtools/page/PAGE1\", \
         \"id\": \"PAGE1\", \
         \"webSocketDebuggerUrl\": \"ws://{edge}/sandboxes/one/devtools/page/PAGE1\" }} ]"
    );
    assert_eq!(list.body, want);
    for kind in ["page", "worker", "iframe"] {
        let path = format!("/sandboxes/one/devtools/{kind}/PAGE1/?token=x");
        let _client = upgrade(edge, &path, "").await.expect("connected");
        assert_eq!(browser.socket().await.0, "/devtools/page/PAGE1");
    }
}

#[tokio::test]
async fn new_is_a_put_and_its_query_is_the_url_without_our_token() {
    let mut world = World::new().await;
    let (edge, _sandbox, browser) = world.one(true).await;
    let path = "/sandboxes/one/json/new?token=secret&http://x.test/?a=1&b=2";
    let refused = get(edge, path).await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("PUT")));
    let made = request(edge, "PUT", path, "Content-Length: 0\r\n").await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(
        debugger_url(&made.body),
        format!("ws://{edge}/sandboxes/one/devtools/page/NEW?token=secret")
    );
    assert!(made.body.contains("\"url\": \"http://x.test/?a=1&b=2\""), "{}", made.body);
    let requests = browser.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("PUT /json/new?http://x.test/?a=1&b=2 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn close_and_activate_pass_status_and_text_on() {
    let mut world = World::new().await;
    let (edge, _sandbox, _browser) = world.one(true).await;
    for method in ["GET", "PUT"] {
        let headers = "Content-Length: 0\r\n";
        let closed = request(edge, method, "/sandboxes/one/json/close/PAGE1/", headers).await;
        assert_eq!((closed.status, closed.body.as_str()), (200, "Target is closing"));
        let unknown = request(edge, method, "/sandboxes/one/json/activate/NOPE", headers).await;
        assert_eq!(unknown.status, 404);
        assert_eq!(unknown.body, "No such target id: /json/activate/NOPE");
    }
}

#[tokio::test]
async fn protocol_comes_whole_and_head_comes_without_a_body() {
    let mut world = World::new().await;
    let (edge, _sandbox, _browser) = world.one(true).await;
    let protocol = get(edge, "/sandboxes/one/json/protocol/").await;
    assert_eq!((protocol.status, protocol.body.len()), (200, 200_000 + 14));
    let head = request(edge, "HEAD", "/sandboxes/one/json/version", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn nothing_of_the_clients_request_reaches_the_browser() {
    let mut world = World::new().await;
    let (edge, _sandbox, mut browser) = world.one(true).await;
    let secrets = "Origin: http://evil.test\r\nCookie: a=secret\r\nAuthorization: Bearer secret\r\n\
                   X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\
                   Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: x\r\n";
    let paths = ["json/version", "json/list", "json/protocol", "json/close/PAGE1"];
    for path in paths {
        let path = format!("/sandboxes/one/{path}?token=secret");
        assert_eq!(request(edge, "GET", &path, secrets).await.status, 200);
    }
    let _client = upgrade(edge, "/sandboxes/one?token=secret", secrets).await.expect("connected");
    browser.socket().await;
    let requests = browser.requests();
    assert_eq!(requests.len(), paths.len() + 1);
    for head in requests {
        let lower = head.to_ascii_lowercase();
        for word in ["secret", "origin", "cookie", "forwarded", "extensions", "protocol:", "evil"] {
            assert!(!lower.contains(word), "{word} in {head}");
        }
        assert!(lower.contains(&format!("host: 127.0.0.1:{}", browser.port())), "{head}");
    }
}

/// Until a request waits for the state of the browser to change.
async fn waits(sandbox: &Sandbox) {
    eventually("a request waits", || match sandbox.target.upstream.subscribers() {
        0 => Err("nobody does".to_owned()),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn json_waits_for_the_browser_as_a_session_does() {
    let mut world = World::new().await;
    let sandbox = Sandbox::new("one", true);
    world.sandboxes.know(&sandbox);
    let edge = world.shared().await;
    let asked = tokio::spawn(async move { get(edge, "/sandboxes/one/json/version").await });
    waits(&sandbox).await;
    let browser = Browser::start("g").await;
    sandbox.ready(&browser);
    assert_eq!(asked.await.unwrap().status, 200);
}

#[tokio::test]
async fn json_says_which_of_not_ready_gone_silent_and_garbage_it_is() {
    let mut world = World::with(EdgeSettings { fetch_body_max: 1 << 20, ..quickly() }).await;
    let sandbox = Sandbox::new("one", true);
    world.sandboxes.know(&sandbox);
    let edge = world.shared().await;
    let path = "/sandboxes/one/json/version";
    let answer = get(edge, path).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")), "{answer:?}");

    let browser = Browser::start("g").await;
    sandbox.ready(&browser);
    for (manner, status) in [
        (Manner::Silent, 504),
        (Manner::Says("<html>".to_owned()), 502),
        (Manner::Says(format!("\"{}\"", "x".repeat(2 << 20))), 502),
    ] {
        browser.manner(manner);
        let answer = get(edge, path).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.lines().count() == 1 && answer.body.len() <= 200);
    }
    browser.crash([]).await;
    assert_eq!(get(edge, path).await.status, 502);
    sandbox.gave_up(Cause::Signalled { signal: 9 });
    let answer = get(edge, path).await;
    assert_eq!((answer.status, answer.header("retry-after")), (502, None));
}

#[tokio::test]
async fn json_asks_the_new_browser_when_the_old_one_has_just_died() {
    let mut world = World::new().await;
    let (edge, sandbox, browser) = world.one(true).await;
    browser.crash([]).await;
    let asked = tokio::spawn(async move { get(edge, "/sandboxes/one/json/version").await });
    waits(&sandbox).await;
    sandbox.ended(Cause::Signalled { signal: 9 });
    let second = Browser::start("guid-2").await;
    sandbox.ready(&second);
    assert_eq!(asked.await.unwrap().status, 200);
    assert_eq!(second.requests().len(), 1);
}

#[tokio::test]
async fn forwarded_headers_and_the_public_url_name_the_outside_address() {
    let settings =
        EdgeSettings { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..quickly() };
    let mut world = World::with(settings).await;
    let (edge, _sandbox, _browser) = world.one(true).await;
    let forwarded = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: boxes.test\r\n\
                     X-Forwarded-Prefix: /lk\r\n";
    let answer = request(edge, "GET", "/sandboxes/one/json/version", forwarded).await;
    let want = "wss://boxes.test/lk/sandboxes/one/devtools/browser/one";
    assert_eq!(debugger_url(&answer.body), want);

    let settings =
        EdgeSettings { public_url: Some("https://public.test".parse().unwrap()), ..quickly() };
    let mut world = World::with(settings).await;
    let (edge, _sandbox, _browser) = world.one(true).await;
    let answer = request(edge, "GET", "/sandboxes/one/json/list", forwarded).await;
    assert!(answer.body.contains("?wss=public.test/sandboxes/one/devtools/page/PAGE1"));
    assert!(answer.body.contains("\"wss://public.test/sandboxes/one/devtools/page/PAGE1\""));
}

#[tokio::test]
async fn the_public_url_does_not_replace_a_port_of_a_sandboxes_own() {
    let settings =
        EdgeSettings { public_url: Some("https://public.test/lk".parse().unwrap()), ..quickly() };
    let mut world = World::with(settings).await;
    let (_edge, _sandbox, _browser) = world.one(true).await;
    let port = world.edge.fixed_router("one", Addressing::Port);
    let port = world.serve(port).await;
    let answer = request(port, "GET", "/json/list", "").await;
    let page = format!("\"ws://{port}/devtools/page/PAGE1\"");
    assert!(answer.body.contains(&page), "{}", answer.body);
    assert!(!answer.body.contains("public.test"), "{}", answer.body);
}
