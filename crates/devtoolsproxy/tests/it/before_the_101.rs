//! From the knock to the 101 or the refusal: hold, dial, dial again, leave.

use std::time::{Duration, Instant};

use devtoolsproxy::EdgeSettings;
use telemetry::words::ContextDetail;
use upstream::{Cause, Fact};

use crate::support::browser::{Browser, Manner};
use crate::support::http::{self, UPGRADE, knock, upgrade};
use crate::support::world::{Sandbox, World, eventually, quickly};
use crate::support::ws::Got;

const PATH: &str = "/sandboxes/one";

#[tokio::test]
async fn a_browser_that_is_truly_down_is_502_and_never_a_connect() {
    let mut world = World::new().await;
    let (edge, sandbox, browser) = world.one(true).await;
    browser.crash([]).await;
    let began = Instant::now();
    let refused = upgrade(edge, PATH, "").await.expect_err("down");
    assert_eq!((refused.status, refused.header("retry-after")), (502, Some("1")));
    assert!(began.elapsed() < Duration::from_secs(12));
    let event = world.events.refused().await;
    assert_eq!(event.u64("status"), 502);
    assert_eq!((event.reason(), event.detail()), ("upstream_error", "browser_unreachable"));
    assert!(event.u64("dial_attempts") > 1);
    world.nothing_left(&sandbox).await;
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_browser_that_takes_tcp_and_never_answers_is_504() {
    let mut world = World::new().await;
    let (edge, sandbox, browser) = world.one(true).await;
    browser.manner(Manner::Silent);
    let refused = upgrade(edge, PATH, "").await.expect_err("silent");
    assert_eq!((refused.status, refused.header("retry-after")), (504, Some("1")));
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("upstream_error", "browser_unreachable"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn no_url_in_time_is_503_and_was_never_dialled() {
    let mut world = World::new().await;
    let sandbox = Sandbox::new("one", true);
    world.sandboxes.know(&sandbox);
    let edge = world.shared().await;
    let refused = upgrade(edge, PATH, "").await.expect_err("not ready");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("upstream_error", "browser_unreachable"));
    assert_eq!((event.u64("dial_attempts"), event.u64("generation")), (0, 0));
    assert!(event.f64("hold_ms") >= 590.0, "{}", event.f64("hold_ms"));
    world.nothing_left(&sandbox).await;
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_browser_that_is_gone_ends_the_hold_at_once() {
    let mut world = World::with(EdgeSettings::default()).await;
    let sandbox = Sandbox::new("one", false);
    world.sandboxes.know(&sandbox);
    let edge = world.shared().await;
    let knocking = tokio::spawn(async move { upgrade(edge, PATH, "").await });
    eventually("held", || if sandbox.inside() == 1 { Ok(()) } else { Err("no pass".into()) }).await;
    let began = Instant::now();
    sandbox.gave_up(Cause::StartTimeout);
    let refused = knocking.await.unwrap().expect_err("gone");
    assert_eq!((refused.status, refused.header("retry-after")), (502, None));
    assert!(began.elapsed() < Duration::from_secs(1));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_browser_that_becomes_ready_in_the_hold_is_dialled_at_once() {
    let mut world = World::with(EdgeSettings::default()).await;
    let sandbox = Sandbox::new("one", true);
    world.sandboxes.know(&sandbox);
    let edge = world.shared().await;
    let knocking = tokio::spawn(async move {
        let ws = upgrade(edge, PATH, "User-Agent: tester/1\r\n").await;
        (ws, Instant::now())
    });
    eventually("held", || if sandbox.inside() == 1 { Ok(()) } else { Err("no pass".into()) }).await;
    // A drain that begins now does not fail a client that was let in.
    sandbox.keeper.begin_drain();
    world.edge.begin_drain();
    let mut browser = Browser::start("guid-1").await;
    let ready = Instant::now();
    sandbox.ready(&browser);
    let (client, opened) = knocking.await.unwrap();
    let mut client = client.expect("connected");
    assert!(opened - ready < Duration::from_millis(500), "{:?}", opened - ready);
    let (_, peer) = browser.socket().await;
    tokio::spawn(peer.serve_echo());
    client.echo("hello").await;

    let event = world.events.connect().await;
    assert_eq!(event.str("addressing"), "path");
    assert_eq!(event.str("endpoint"), "browser");
    assert_eq!(event.str("user_agent"), "tester/1");
    assert_eq!((event.u64("generation"), event.u64("dial_attempts")), (1, 1));
    assert!(event.f64("hold_ms") > 0.0 && event.bool("local") && !event.bool("tls"));
    assert!(event.get("client_ip").is_none() && event.get("target_id").is_none());
}

#[tokio::test]
async fn a_first_dial_that_fails_goes_on_with_the_newer_url_without_a_pause() {
    let mut world = World::with(EdgeSettings::default()).await;
    let (edge, sandbox, first) = world.one(true).await;
    first.manner(Manner::Silent);
    let mut second = Browser::start("guid-2").await;
    let knocking = tokio::spawn(async move { upgrade(edge, PATH, "").await });
    eventually("dialled", || match first.requests().len() {
        0 => Err("not yet".into()),
        _ => Ok(()),
    })
    .await;
    let began = Instant::now();
    sandbox.ready(&second);
    let mut client = knocking.await.unwrap().expect("connected");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let (_, peer) = second.socket().await;
    tokio::spawn(peer.serve_echo());
    client.echo("x").await;
    let event = world.events.connect().await;
    assert_eq!((event.u64("generation"), event.u64("dial_attempts")), (2, 2));
}

#[tokio::test]
async fn the_same_url_is_tried_again_when_it_refused_once() {
    let mut world = World::new().await;
    let (edge, _sandbox, mut browser) = world.one(true).await;
    browser.manner(Manner::Refuses(503));
    let knocking = tokio::spawn(async move { upgrade(edge, PATH, "").await });
    eventually("dialled", || match browser.requests().len() {
        0 => Err("not yet".into()),
        _ => Ok(()),
    })
    .await;
    browser.manner(Manner::Normal);
    let _client = knocking.await.unwrap().expect("connected");
    browser.socket().await;
    assert_eq!(world.events.connect().await.u64("generation"), 1);
}

#[tokio::test]
async fn a_generation_that_moves_during_the_dial_leaves_no_session_on_the_old_browser() {
    let mut world = World::new().await;
    let (edge, sandbox, first) = world.one(true).await;
    first.manner(Manner::Silent);
    let knocking = tokio::spawn(async move { upgrade(edge, PATH, "").await });
    eventually("dialled", || match first.requests().len() {
        0 => Err("not yet".into()),
        _ => Ok(()),
    })
    .await;
    // Down while the dial is under way, then another one.
    sandbox.ended(Cause::Signalled { signal: 11 });
    let mut second = Browser::start("guid-2").await;
    sandbox.ready(&second);
    let _client = knocking.await.unwrap().expect("connected");
    second.socket().await;
    assert_eq!(world.events.connect().await.u64("generation"), 2);
    assert_eq!(first.untaken(), 0);
}

#[tokio::test]
async fn an_unknown_page_is_404_at_once() {
    let mut world = World::new().await;
    let (edge, sandbox, browser) = world.one(true).await;
    let refused = upgrade(edge, "/sandboxes/one/devtools/page/NOPE", "").await.expect_err("none");
    assert_eq!((refused.status, refused.header("retry-after")), (404, None));
    assert_eq!(browser.requests().len(), 1);
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("upstream_error", "target_closed"));
    world.nothing_left(&sandbox).await;
}

/// How long after a client has left its pass may still be held.
const NOTICED: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_client_that_leaves_during_the_hold_is_noticed() {
    let mut world = World::with(EdgeSettings::default()).await;
    let sandbox = Sandbox::new("one", true);
    world.sandboxes.know(&sandbox);
    let edge = world.shared().await;
    for reset in [false, true] {
        let stream = knock(edge, "GET", PATH, UPGRADE).await;
        eventually("held", || if sandbox.inside() == 1 { Ok(()) } else { Err("no".into()) }).await;
        assert_eq!(world.edge.sessions()[0].generation, None);
        if reset {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
        let left = Instant::now();
        eventually("noticed", || if sandbox.inside() == 0 { Ok(()) } else { Err("held".into()) })
            .await;
        assert!(left.elapsed() < NOTICED, "{:?}", left.elapsed());
        let event = world.events.refused().await;
        assert_eq!((event.reason(), event.detail()), ("context_cancelled", "request_cancelled"));
        assert!(event.get("status").is_none());
    }
    world.nothing_left(&sandbox).await;
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_leaves_during_the_dial_is_noticed() {
    let mut world = World::with(EdgeSettings::default()).await;
    let (edge, sandbox, browser) = world.one(true).await;
    browser.manner(Manner::Silent);
    let stream = knock(edge, "GET", PATH, UPGRADE).await;
    eventually("dialled", || match browser.requests().len() {
        0 => Err("not yet".into()),
        _ => Ok(()),
    })
    .await;
    drop(stream);
    let left = Instant::now();
    eventually("noticed", || if sandbox.inside() == 0 { Ok(()) } else { Err("held".into()) }).await;
    assert!(left.elapsed() < NOTICED, "{:?}", left.elapsed());
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "request_cancelled"));
    assert_eq!(event.u64("dial_attempts"), 1);
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_forced_stop_in_the_dial_is_503_at_once() {
    let mut world = World::with(EdgeSettings::default()).await;
    let (edge, sandbox, browser) = world.one(true).await;
    browser.manner(Manner::Silent);
    let knocking = tokio::spawn(async move { upgrade(edge, PATH, "").await });
    eventually("dialled", || match browser.requests().len() {
        0 => Err("not yet".into()),
        _ => Ok(()),
    })
    .await;
    let began = Instant::now();
    sandbox.stop(ContextDetail::ForcedStop);
    let refused = knocking.await.unwrap().expect_err("stopped");
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "forced_stop"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_closed_gate_refuses_with_503() {
    let mut world = World::new().await;
    let (edge, sandbox, browser) = world.one(true).await;
    sandbox.keeper.begin_drain();
    let refused = upgrade(edge, PATH, "").await.expect_err("draining");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "node_drain"));

    // The owner had said why before it closed the gate: then that is the reason.
    sandbox.stop(ContextDetail::SandboxDeleted);
    let refused = upgrade(edge, PATH, "").await.expect_err("deleted");
    assert_eq!(refused.status, 410);
    assert_eq!(world.events.refused().await.detail(), "sandbox_deleted");

    let two = Sandbox::new("two", true);
    two.ready(&browser);
    world.sandboxes.know(&two);
    world.edge.begin_drain();
    let refused = upgrade(edge, "/sandboxes/two", "").await.expect_err("draining");
    assert_eq!(refused.status, 503);
    assert_eq!(world.events.refused().await.detail(), "node_drain");
    assert!(browser.requests().is_empty());
}

#[tokio::test]
async fn one_session_too_many_is_429_for_the_sandbox_and_for_the_process() {
    let settings = EdgeSettings { sessions_per_sandbox: 2, sessions_total: 3, ..quickly() };
    let mut world = World::with(settings).await;
    let (edge, one, browser) = world.one(true).await;
    let two = Sandbox::new("two", true);
    two.ready(&browser);
    world.sandboxes.know(&two);
    let mut clients = Vec::new();
    for path in [PATH, PATH] {
        clients.push(upgrade(edge, path, "").await.expect("connected"));
        world.events.connect().await;
    }
    let refused = upgrade(edge, PATH, "").await.expect_err("full");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "over_limit"));
    clients.push(upgrade(edge, "/sandboxes/two", "").await.expect("connected"));
    world.events.connect().await;
    assert_eq!(upgrade(edge, "/sandboxes/two", "").await.expect_err("full").status, 429);
    assert_eq!(world.edge.session_count(), 3);
    assert_eq!(world.edge.sessions().len(), 3);

    // A place that is free again is given again.
    clients.pop();
    eventually("a free place", || match world.edge.session_count() {
        2 => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
    clients.push(upgrade(edge, "/sandboxes/two", "").await.expect("connected"));
    clients.clear();
    world.nothing_left(&one).await;
    world.nothing_left(&two).await;
}

#[tokio::test]
async fn bytes_that_came_with_the_handshakes_arrive_first_and_in_order() {
    let mut world = World::new().await;
    let (edge, _sandbox, mut browser) = world.one(true).await;
    let mut stream = knock(edge, "GET", PATH, UPGRADE).await;
    // Sent before the 101 is there: some stacks do.
    let early = crate::support::ws::frame(1, b"early", true);
    tokio::io::AsyncWriteExt::write_all(&mut stream, &early).await.unwrap();
    let mut client = http::upgraded(stream).await.expect("connected");
    let (_, mut peer) = browser.socket().await;
    assert_eq!(peer.next().await, Got::Text("early".to_owned()));
    client.send("later").await;
    assert_eq!(peer.next().await, Got::Text("later".to_owned()));
}

#[tokio::test]
async fn a_url_that_says_nothing_new_kicks_nobody() {
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut client = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    tokio::spawn(peer.serve_echo());
    for _ in 0..3 {
        sandbox.ready(&browser);
        sandbox.publisher.apply(Fact::Alive);
        client.echo("still here").await;
    }
    assert_eq!(world.events.connect().await.u64("generation"), 1);
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}
