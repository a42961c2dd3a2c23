//! Sessions that we ended: the owner of the sandbox, a drain, a forced stop, an idle timer.

use std::time::{Duration, Instant};

use devtoolsproxy::EdgeReport;
use telemetry::words::ContextDetail;
use tokio::time::Instant as Deadline;
use upstream::Cause;

use crate::support::http::upgrade;
use crate::support::world::{World, eventually, quickly};
use crate::support::ws::Got;

const PATH: &str = "/sandboxes/one";

#[tokio::test]
async fn each_stop_tells_the_client_and_the_event_why() {
    for (why, code, text) in [
        (ContextDetail::SandboxDeleted, 1001, "sandbox deleted"),
        (ContextDetail::SandboxPaused, 1001, "sandbox paused"),
        (ContextDetail::TtlExpired, 1001, "sandbox expired"),
        (ContextDetail::NodeDrain, 1001, "node draining"),
        (ContextDetail::ForcedStop, 1001, "stopped"),
        (ContextDetail::AuthRevoked, 1008, "access revoked"),
    ] {
        let mut world = World::new().await;
        let (edge, sandbox, mut browser) = world.one(true).await;
        let mut client = upgrade(edge, PATH, "").await.expect("connected");
        let (_, mut peer) = browser.socket().await;
        world.events.connect().await;
        let began = Instant::now();
        sandbox.stop(why);
        assert_eq!(client.end().await, Got::Close(Some(code), text.to_owned()));
        client.close(Some(code), "").await;
        assert!(matches!(peer.end().await, Got::Close(Some(1001), _)));
        drop(peer);
        let event = world.events.disconnect().await;
        assert_eq!((event.reason(), event.detail()), ("context_cancelled", why.as_str()));
        assert_eq!((event.str("ended_by"), event.str("first_close")), ("context", "proxy"));
        assert_eq!(event.u64("close_code"), u64::from(code));
        world.nothing_left(&sandbox).await;
        assert!(began.elapsed() < Duration::from_secs(4));
    }
}

#[tokio::test]
async fn an_idle_session_ends_with_1001_if_that_is_wanted() {
    let mut settings = quickly();
    settings.relay.idle = Some(Duration::from_millis(150));
    let mut world = World::with(settings).await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut client = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    tokio::spawn(peer.serve_echo());
    client.echo("x").await;
    assert_eq!(client.end().await, Got::Close(Some(1001), "idle".to_owned()));
    drop(client);
    world.events.connect().await;
    let event = world.events.disconnect().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "idle_timeout"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_stop_while_the_verdict_is_open_decides_it_and_keeps_what_happened() {
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut client = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    world.events.connect().await;
    browser.crash([peer]).await;
    sandbox.ended(Cause::Signalled { signal: 11 });
    let again = "browser restarting, reconnect".to_owned();
    assert_eq!(client.end().await, Got::Close(Some(1012), again));
    client.close(Some(1012), "").await;
    let began = Instant::now();
    sandbox.stop(ContextDetail::NodeDrain);
    let event = world.events.disconnect().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "node_drain"));
    assert_eq!((event.str("ended_by"), event.u64("close_code")), ("upstream", 1012));
    assert_eq!(event.get("upstream_cause").unwrap()["signal"], 11);
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_stop_that_is_set_first_wins_over_what_the_sockets_do_then() {
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut client = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    world.events.connect().await;
    sandbox.stop(ContextDetail::SandboxDeleted);
    browser.crash([peer]).await;
    sandbox.gave_up(Cause::Signalled { signal: 9 });
    assert_eq!(client.end().await, Got::Close(Some(1001), "sandbox deleted".to_owned()));
    drop(client);
    let event = world.events.disconnect().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "sandbox_deleted"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn an_owner_that_drains_its_gate_sees_the_sessions_end_before_it_touches_the_browser() {
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(upgrade(edge, PATH, "").await.expect("connected"));
        // A browser that never answers the Close does not delay the others.
        let (_, peer) = browser.socket().await;
        std::mem::drop(tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(peer)
        }));
        world.events.connect().await;
    }
    let began = Instant::now();
    sandbox.stop(ContextDetail::SandboxDeleted);
    sandbox.keeper.begin_drain();
    tokio::time::timeout(Duration::from_secs(4), sandbox.target.gate.drained())
        .await
        .expect("all sessions end in parallel");
    assert!(began.elapsed() < Duration::from_secs(4));
    for _ in 0..8 {
        let event = world.events.disconnect().await;
        assert_eq!(event.detail(), "sandbox_deleted");
    }
    drop(clients);
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn shutdown_waits_for_sessions_and_then_stops_them_by_force() {
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut quick = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    let echo = tokio::spawn(peer.serve_echo());
    let mut stays = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    tokio::spawn(peer.serve_echo());
    world.events.connect().await;
    world.events.connect().await;

    let deadline = Deadline::now() + Duration::from_millis(400);
    let leaves = async {
        tokio::task::yield_now().await;
        assert_eq!(upgrade(edge, PATH, "").await.expect_err("closed").status, 503);
        quick.echo("still served").await;
        quick.close(Some(1000), "").await;
        assert_eq!(quick.end().await, Got::Close(Some(1000), String::new()));
        assert_eq!(echo.await.unwrap(), Got::Close(Some(1000), String::new()));
        assert_eq!(stays.end().await, Got::Close(Some(1001), "stopped".to_owned()));
        stays.close(Some(1001), "").await;
    };
    let (report, ()) = tokio::join!(world.edge.shutdown(deadline), leaves);
    assert_eq!(report, EdgeReport { open: 2, forced: 1, cut: 0 });
    assert_eq!(world.events.refused().await.detail(), "node_drain");
    assert_eq!(world.events.disconnect().await.detail(), "client_closed");
    assert_eq!(world.events.disconnect().await.detail(), "forced_stop");
    assert_eq!(upgrade(edge, PATH, "").await.expect_err("closed").status, 503);
    world.nothing_left(&sandbox).await;
    // Again is allowed and has nothing to do.
    assert_eq!(world.edge.shutdown(Deadline::now()).await, EdgeReport::default());
}

#[tokio::test]
async fn an_edge_that_is_dropped_takes_its_sessions_with_it_and_each_has_its_event() {
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut client = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    world.events.connect().await;
    let World { edge, mut events, .. } = world;
    drop(edge);
    assert!(matches!(client.end().await, Got::Eof | Got::Reset));
    let event = events.disconnect().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "internal_error"));
    eventually("the pass is back", || match sandbox.inside() {
        0 => Ok(()),
        inside => Err(inside.to_string()),
    })
    .await;
    drop(peer);
}

#[tokio::test]
async fn a_delete_is_never_a_crash_and_a_crash_is_never_a_delete() {
    // The owner said why, then the browser was stopped.
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let client = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    world.events.connect().await;
    sandbox.stop(ContextDetail::TtlExpired);
    sandbox.ended(Cause::Signalled { signal: 9 });
    browser.crash([peer]).await;
    drop(client);
    assert_eq!(world.events.disconnect().await.detail(), "ttl_expired");

    // The browser ended by itself, and that ended the sandbox.
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(false).await;
    let mut client = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    world.events.connect().await;
    browser.crash([peer]).await;
    sandbox.gave_up(Cause::Exited { code: 0 });
    sandbox.keeper.begin_drain();
    assert!(matches!(client.end().await, Got::Close(Some(1011), _)));
    client.close(Some(1011), "").await;
    let event = world.events.disconnect().await;
    assert_eq!((event.reason(), event.detail()), ("upstream_error", "browser_closed"));
}
