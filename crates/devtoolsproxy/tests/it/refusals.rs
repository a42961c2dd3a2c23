//! Requests that are not served: the status, the words, and no event.

use telemetry::words::ContextDetail;

use crate::support::http::{self, UPGRADE, get, request, upgrade};
use crate::support::world::World;

#[tokio::test]
async fn access_is_checked_before_everything_else_and_leaves_no_event() {
    let mut world = World::new().await;
    let (edge, _sandbox, browser) = world.one(true).await;
    for path in ["/sandboxes/one", "/sandboxes/nobody", "/devtools/browser/one", "/connect"] {
        for (why, status) in [("host", 400), ("token", 401), ("origin", 403)] {
            let headers = format!("X-Denied: {why}\r\n");
            for headers in [headers.clone(), format!("{headers}{UPGRADE}")] {
                let answer = request(edge, "GET", path, &headers).await;
                assert_eq!(answer.status, status, "{path} {why}");
                let bearer = (status == 401).then_some("Bearer");
                assert_eq!(answer.header("www-authenticate"), bearer);
            }
        }
    }
    assert!(browser.requests().is_empty());
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn each_wrong_request_is_told_what_would_be_right() {
    let mut world = World::new().await;
    let (edge, _sandbox, _browser) = world.one(true).await;
    world.sandboxes.stopped("old", "ttl");
    for (method, path, headers, status, header) in [
        ("GET", "/sandboxes/nobody", UPGRADE, 404, None),
        ("GET", "/sandboxes/nobody/json/version", "", 404, None),
        ("GET", "/devtools/browser/nobody", UPGRADE, 404, None),
        ("GET", "/sandboxes/old", UPGRADE, 410, None),
        ("GET", "/sandboxes/old/json", "", 410, None),
        ("GET", "/sandboxes/UPPER", UPGRADE, 404, None),
        ("GET", "/sandboxes/one/devtools/page/a%20b", UPGRADE, 404, None),
        ("GET", "/sandboxes/one/devtools/page/", UPGRADE, 404, None),
        ("GET", "/sandboxes/one/json/close/", "", 426, Some(("upgrade", "websocket"))),
        ("GET", "/sandboxes/one", "", 426, Some(("upgrade", "websocket"))),
        ("GET", "/sandboxes/one/devtools/browser/one", "", 426, Some(("upgrade", "websocket"))),
        ("GET", "/connect", "", 426, Some(("upgrade", "websocket"))),
        ("POST", "/sandboxes/one", "Content-Length: 0\r\n", 405, Some(("allow", "GET"))),
        ("DELETE", "/sandboxes/one/json/version", "", 405, Some(("allow", "GET, HEAD"))),
        (
            "GET",
            "/sandboxes/one",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: short\r\n",
            400,
            None,
        ),
        (
            "GET",
            "/sandboxes/one",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            426,
            Some(("sec-websocket-version", "13")),
        ),
    ] {
        let stream = http::knock(edge, method, path, headers).await;
        let answer = http::upgraded(stream).await.expect_err(path);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        if let Some((name, value)) = header {
            assert_eq!(answer.header(name), Some(value), "{method} {path}");
        }
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let body = answer.body.trim_end();
        assert!(answer.body.len() <= 200 && body.ends_with(']') && body.contains(" [c"), "{body}");
        assert!(!body.contains("nobody") && !body.contains("one]"), "{body}");
    }
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_path_of_somebody_else_is_left_to_them() {
    let mut world = World::new().await;
    let theirs =
        axum::Router::new().route("/v1/sandboxes", axum::routing::get(|| async { "theirs" }));
    let router = world.edge.router().merge(theirs);
    let edge = world.serve(router).await;
    assert_eq!(get(edge, "/v1/sandboxes").await.body, "theirs");
    assert_eq!(get(edge, "/").await.status, 404);
}

#[tokio::test]
async fn a_stopped_edge_refuses_with_the_reason_it_was_stopped_for() {
    let mut world = World::new().await;
    let (edge, sandbox, _browser) = world.one(true).await;
    world.edge.stop_all(ContextDetail::NodeDrain);
    world.edge.stop_all(ContextDetail::ForcedStop);
    let refused = upgrade(edge, "/sandboxes/one", "").await.expect_err("stopped");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "node_drain"));
    assert_eq!(get(edge, "/sandboxes/one/json/version").await.status, 503);
    world.nothing_left(&sandbox).await;
}
