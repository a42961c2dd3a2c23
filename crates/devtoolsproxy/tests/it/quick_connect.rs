//! `/connect`: a sandbox for the life of one socket.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use devtoolsproxy::{EdgeSettings, QuickRefused};
use telemetry::words::ContextDetail;

use crate::support::browser::Browser;
use crate::support::http::{UPGRADE, knock, upgrade};
use crate::support::world::{Sandbox, World, eventually, quickly};
use crate::support::ws::Got;

/// A world whose quick connects get this sandbox.
async fn quick(settings: EdgeSettings) -> (World, std::net::SocketAddr, Arc<Sandbox>, Browser) {
    let mut world = World::with(settings).await;
    let sandbox = Arc::new(Sandbox::new("q1", true));
    let browser = Browser::start("guid-1").await;
    sandbox.ready(&browser);
    let given = Arc::clone(&sandbox);
    world.sandboxes.quick(move |_, _| {
        let target = given.target.clone();
        Box::pin(async move { Ok(target) })
    });
    let edge = world.shared().await;
    (world, edge, sandbox, browser)
}

async fn deleted(world: &World, want: &[&str]) {
    eventually("deleted", || {
        let deleted = world.sandboxes.deleted();
        if deleted == want { Ok(()) } else { Err(format!("{deleted:?}")) }
    })
    .await;
}

#[tokio::test]
async fn the_sandbox_lives_as_long_as_the_socket() {
    let (mut world, edge, sandbox, mut browser) = quick(quickly()).await;
    let mut client =
        upgrade(edge, "/connect/?token=t&flavour=headless-shell", "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    tokio::spawn(peer.serve_echo());
    client.echo("x").await;
    let event = world.events.connect().await;
    assert_eq!((event.str("addressing"), event.sandbox()), ("quick", Some("q1")));
    assert!(world.sandboxes.deleted().is_empty());
    client.close(None, "").await;
    assert_eq!(world.events.disconnect().await.detail(), "client_closed");
    deleted(&world, &["q1/lc-q1"]).await;
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn any_other_end_deletes_it_too() {
    for kind in ["vanished", "stopped", "unreachable"] {
        let (mut world, edge, sandbox, mut browser) = quick(quickly()).await;
        match kind {
            "vanished" => {
                let client = upgrade(edge, "/connect", "").await.expect("connected");
                browser.socket().await;
                drop(client);
                world.events.connect().await;
                assert_eq!(world.events.disconnect().await.detail(), "client_vanished");
            }
            "stopped" => {
                let mut client = upgrade(edge, "/connect", "").await.expect("connected");
                browser.socket().await;
                sandbox.stop(ContextDetail::NodeDrain);
                assert!(matches!(client.end().await, Got::Close(Some(1001), _)));
                drop(client);
                world.events.connect().await;
                assert_eq!(world.events.disconnect().await.detail(), "node_drain");
            }
            _ => {
                browser.crash([]).await;
                assert_eq!(upgrade(edge, "/connect", "").await.expect_err("down").status, 502);
                assert_eq!(world.events.refused().await.detail(), "browser_unreachable");
            }
        }
        deleted(&world, &["q1/lc-q1"]).await;
        world.nothing_left(&sandbox).await;
    }
}

#[tokio::test]
async fn the_options_arrive_decoded_and_without_the_token() {
    let mut world = World::new().await;
    let seen = Arc::new(Mutex::new(None));
    let saw = Arc::clone(&seen);
    world.sandboxes.quick(move |options, _| {
        *saw.lock().unwrap() = Some(options);
        let refused = QuickRefused::BadOptions("unknown option: ttll; known: ttl, flavour".into());
        Box::pin(async move { Err(refused) })
    });
    let edge = world.shared().await;
    let path = "/connect?ttll=5%20m&token=secret&flavour=chromium";
    let refused = upgrade(edge, path, "").await.expect_err("refused");
    assert_eq!(refused.status, 400);
    assert!(refused.body.starts_with("unknown option: ttll; known: ttl, flavour ["));
    let options = seen.lock().unwrap().take().unwrap();
    let params: Vec<_> =
        options.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(params, [("ttll", "5 m"), ("flavour", "chromium")]);
    assert!(options.wait <= quickly().create_wait && options.wait > Duration::from_secs(1));
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn each_refusal_has_its_status_and_its_event() {
    for (why, status, retry, reason, detail) in [
        (QuickRefused::Draining, 503, Some("5"), "context_cancelled", "node_drain"),
        (
            QuickRefused::NoCapacity { retry_after: Some(Duration::from_secs(7)) },
            429,
            Some("7"),
            "context_cancelled",
            "over_limit",
        ),
        (
            QuickRefused::Busy { retry_after: None },
            429,
            Some("1"),
            "context_cancelled",
            "over_limit",
        ),
        (
            QuickRefused::Failed("the browser exited with code 1".into()),
            502,
            Some("1"),
            "upstream_error",
            "browser_unreachable",
        ),
        (
            QuickRefused::Cancelled(ContextDetail::ForcedStop),
            503,
            Some("5"),
            "context_cancelled",
            "forced_stop",
        ),
    ] {
        let mut world = World::new().await;
        let refusal = why.clone();
        world.sandboxes.quick(move |_, _| {
            let refusal = refusal.clone();
            Box::pin(async move { Err(refusal) })
        });
        let edge = world.shared().await;
        let refused = upgrade(edge, "/connect", "").await.expect_err("refused");
        assert_eq!((refused.status, refused.header("retry-after")), (status, retry), "{why:?}");
        let event = world.events.refused().await;
        assert_eq!((event.reason(), event.detail()), (reason, detail), "{why:?}");
        assert!(event.sandbox().is_none() && world.sandboxes.deleted().is_empty());
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_sandbox_starts_calls_the_start_off() {
    let mut world = World::with(EdgeSettings::default()).await;
    let sandbox = Sandbox::new("q1", true);
    let target = sandbox.target.clone();
    let cancelled = Arc::new(Mutex::new(false));
    let (begun, seen) = (Arc::new(Mutex::new(false)), Arc::clone(&cancelled));
    let starts = Arc::clone(&begun);
    world.sandboxes.quick(move |_, cancel| {
        let (target, seen) = (target.clone(), Arc::clone(&seen));
        *starts.lock().unwrap() = true;
        Box::pin(async move {
            // Comes out all the same, as a start that could not be called off any more.
            cancel.cancelled().await;
            *seen.lock().unwrap() = true;
            Ok(target)
        })
    });
    let edge = world.shared().await;
    let stream = knock(edge, "GET", "/connect", UPGRADE).await;
    eventually("starting", || if *begun.lock().unwrap() { Ok(()) } else { Err("no".into()) }).await;
    drop(stream);
    deleted(&world, &["q1/lc-q1"]).await;
    assert!(*cancelled.lock().unwrap());
    let event = world.events.refused().await;
    assert_eq!((event.reason(), event.detail()), ("context_cancelled", "request_cancelled"));
    assert!(event.f64("hold_ms") > 0.0);
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_start_that_takes_too_long_is_504_and_what_comes_late_is_deleted() {
    let mut settings = quickly();
    settings.create_wait = Duration::from_millis(200);
    let mut world = World::with(settings).await;
    let sandbox = Sandbox::new("q1", true);
    let target = sandbox.target.clone();
    world.sandboxes.quick(move |_, cancel| {
        let target = target.clone();
        Box::pin(async move {
            cancel.cancelled().await;
            Ok(target)
        })
    });
    let edge = world.shared().await;
    let refused = upgrade(edge, "/connect", "").await.expect_err("too slow");
    assert_eq!(refused.status, 504);
    assert_eq!(world.events.refused().await.detail(), "browser_unreachable");
    deleted(&world, &["q1/lc-q1"]).await;
}

#[tokio::test]
async fn a_drain_waits_for_the_deletion_and_a_linger_gives_way_to_it() {
    let mut settings = quickly();
    settings.quick_linger = Duration::from_secs(600);
    let (mut world, edge, sandbox, mut browser) = quick(settings).await;
    let client = upgrade(edge, "/connect", "").await.expect("connected");
    browser.socket().await;
    drop(client);
    world.events.connect().await;
    world.events.disconnect().await;
    assert!(world.sandboxes.deleted().is_empty());
    let report = world.edge.shutdown(tokio::time::Instant::now()).await;
    assert_eq!(report.cut, 0);
    assert_eq!(world.sandboxes.deleted(), ["q1/lc-q1"]);
    drop(sandbox);
}
