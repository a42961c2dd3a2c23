//! Sessions whose browser crashed, restarted, closed, broke the rules, or was replaced.

use std::time::{Duration, Instant};

use upstream::{Cause, Fact};

use crate::support::browser::Browser;
use crate::support::events::Seen;
use crate::support::http::upgrade;
use crate::support::world::{Sandbox, World, quickly};
use crate::support::ws::{Got, Ws, frame};

const KILLED: Cause = Cause::Signalled { signal: 9 };
const AGAIN: &str = "browser restarting, reconnect";

struct Open {
    world: World,
    edge: std::net::SocketAddr,
    sandbox: Sandbox,
    browser: Browser,
    client: Ws,
    peer: Ws,
}

async fn open(path: &str, restart_expected: bool) -> Open {
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(restart_expected).await;
    let client = upgrade(edge, path, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    world.events.connect().await;
    Open { world, edge, sandbox, browser, client, peer }
}

/// The next frame of the client is this Close, and it came within a second of `since`.
async fn told(client: &mut Ws, since: Instant, code: u16, text: &str) {
    assert_eq!(client.end().await, Got::Close(Some(code), text.to_owned()));
    assert!(since.elapsed() < Duration::from_secs(1), "told after {:?}", since.elapsed());
    client.close(Some(code), "").await;
}

fn verdict(event: &Seen) -> (&str, &str) {
    (event.reason(), event.detail())
}

#[tokio::test]
async fn crash_then_restart_says_upstream_changed_browser_crashed() {
    let Open { mut world, edge, sandbox, browser, mut client, peer } =
        open("/sandboxes/one", true).await;
    let died = Instant::now();
    browser.crash([peer]).await;
    sandbox.ended(KILLED);
    told(&mut client, died, 1012, AGAIN).await;
    // The verdict waits for the next browser, the client did not.
    assert_eq!(sandbox.inside(), 1);
    let mut second = Browser::start("guid-2").await;
    sandbox.ready(&second);
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_changed", "browser_crashed"));
    assert_eq!((event.str("ended_by"), event.u64("close_code")), ("upstream", 1012));
    assert_eq!((event.u64("generation"), event.u64("new_generation")), (1, 2));
    assert_eq!(event.get("upstream_cause").unwrap()["signal"], 9);
    world.nothing_left(&sandbox).await;

    // The same URL leads to the next browser.
    let mut client = upgrade(edge, "/sandboxes/one", "").await.expect("connected");
    let (_, peer) = second.socket().await;
    tokio::spawn(peer.serve_echo());
    client.echo("back").await;
    assert_eq!(world.events.connect().await.u64("generation"), 2);
}

#[tokio::test]
async fn crash_without_restart_says_upstream_error_browser_crashed() {
    // Nobody will restart it, and its owner says so.
    let Open { mut world, edge: _, sandbox, browser, mut client, peer } =
        open("/sandboxes/one", false).await;
    let died = Instant::now();
    browser.crash([peer]).await;
    sandbox.gave_up(KILLED);
    told(&mut client, died, 1011, "browser killed: signal 9").await;
    let event = world.events.disconnect().await;
    assert!(died.elapsed() < Duration::from_secs(1), "{:?}", died.elapsed());
    assert_eq!(verdict(&event), ("upstream_error", "browser_crashed"));
    world.nothing_left(&sandbox).await;

    // A restart is expected and does not come.
    let Open { mut world, edge: _, sandbox, browser, mut client, peer } =
        open("/sandboxes/one", true).await;
    let died = Instant::now();
    browser.crash([peer]).await;
    sandbox.ended(Cause::Exited { code: 139 });
    told(&mut client, died, 1012, AGAIN).await;
    let event = world.events.disconnect().await;
    assert!(died.elapsed() >= quickly().waits.confirm);
    assert_eq!(verdict(&event), ("upstream_error", "browser_crashed"));
    assert_eq!(event.get("upstream_cause").unwrap()["code"], 139);
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_source_that_cannot_know_says_browser_restarted_or_unreachable() {
    // Nothing tells that the browser ended; then the next one is there.
    let Open { mut world, edge: _, sandbox, browser, mut client, peer } =
        open("/sandboxes/one", true).await;
    let died = Instant::now();
    browser.crash([peer]).await;
    told(&mut client, died, 1012, AGAIN).await;
    let second = Browser::start("guid-2").await;
    sandbox.ready(&second);
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_changed", "browser_restarted"));
    world.nothing_left(&sandbox).await;

    // Nothing tells it, and nothing comes.
    let Open { mut world, edge: _, sandbox, browser, mut client, peer } =
        open("/sandboxes/one", false).await;
    let died = Instant::now();
    browser.crash([peer]).await;
    told(&mut client, died, 1011, "browser connection lost").await;
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_error", "browser_unreachable"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_newer_browser_while_the_old_socket_lives_supersedes_the_session() {
    let Open { mut world, edge: _, sandbox, browser, mut client, mut peer } =
        open("/sandboxes/one", true).await;
    let second = Browser::start("guid-2").await;
    let began = Instant::now();
    sandbox.ready(&second);
    told(&mut client, began, 1012, AGAIN).await;
    assert!(matches!(peer.end().await, Got::Close(..)));
    drop(peer);
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_changed", "superseded"));
    assert_eq!(event.u64("new_generation"), 2);
    world.nothing_left(&sandbox).await;
    assert_eq!(second.untaken(), 0);
    drop(browser);
}

#[tokio::test]
async fn a_url_that_vanishes_while_the_socket_lives_ends_nothing() {
    let Open { mut world, edge: _, sandbox, browser, mut client, mut peer } =
        open("/sandboxes/one", true).await;
    sandbox.ended(Cause::UnknownExit);
    client.send("still here").await;
    assert_eq!(peer.next().await, Got::Text("still here".to_owned()));
    assert_eq!(world.events.rest().await, Vec::<String>::new());
    let died = Instant::now();
    browser.crash([peer]).await;
    told(&mut client, died, 1012, AGAIN).await;
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_error", "browser_unreachable"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_browser_that_was_told_to_close_answers_first_and_has_closed() {
    for restart in [false, true] {
        let Open { mut world, edge: _, sandbox, browser, mut client, mut peer } =
            open("/sandboxes/one", restart).await;
        client.send(r#"{"id":1,"method":"Browser.close"}"#).await;
        peer.next().await;
        peer.send(r#"{"id":1,"result":{}}"#).await;
        let died = Instant::now();
        browser.crash([peer]).await;
        let closed = Cause::Exited { code: 0 };
        if restart {
            sandbox.ended(closed);
        } else {
            sandbox.gave_up(closed);
        }
        assert_eq!(client.next().await, Got::Text(r#"{"id":1,"result":{}}"#.to_owned()));
        let (code, text) = if restart { (1012, AGAIN) } else { (1011, "browser exited: code 0") };
        told(&mut client, died, code, text).await;
        let second = Browser::start("guid-2").await;
        sandbox.ready(&second);
        let event = world.events.disconnect().await;
        let reason = if restart { "upstream_changed" } else { "upstream_error" };
        assert_eq!(verdict(&event), (reason, "browser_closed"));
        assert_eq!(event.u64("messages_to_client"), 1);
        world.nothing_left(&sandbox).await;
    }
}

#[tokio::test]
async fn a_memory_kill_is_named_with_and_without_a_restart() {
    for restart in [false, true] {
        let Open { mut world, edge: _, sandbox, browser, mut client, peer } =
            open("/sandboxes/one", restart).await;
        let died = Instant::now();
        browser.crash([peer]).await;
        if restart {
            sandbox.ended(Cause::OomKilled);
            told(&mut client, died, 1012, AGAIN).await;
        } else {
            sandbox.gave_up(Cause::OomKilled);
            told(&mut client, died, 1011, "browser out of memory").await;
        }
        let second = Browser::start("guid-2").await;
        sandbox.ready(&second);
        let event = world.events.disconnect().await;
        let reason = if restart { "upstream_changed" } else { "upstream_error" };
        assert_eq!(verdict(&event), (reason, "browser_oom_killed"));
        assert_eq!(event.get("upstream_cause").unwrap()["kind"], "oom_killed");
        world.nothing_left(&sandbox).await;
    }
}

#[tokio::test]
async fn a_restart_that_was_asked_for_needs_no_confirmation() {
    let Open { mut world, edge: _, sandbox, browser, mut client, peer } =
        open("/sandboxes/one", true).await;
    sandbox.publisher.apply(Fact::RestartRequested);
    let died = Instant::now();
    browser.crash([peer]).await;
    sandbox.ended(Cause::Signalled { signal: 15 });
    told(&mut client, died, 1012, AGAIN).await;
    let event = world.events.disconnect().await;
    assert!(died.elapsed() < quickly().waits.confirm, "{:?}", died.elapsed());
    assert_eq!(verdict(&event), ("upstream_changed", "browser_restarted"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_page_that_was_closed_ends_with_1000() {
    let Open { mut world, edge: _, sandbox, browser, mut client, mut peer } =
        open("/sandboxes/one/devtools/page/PAGE1", true).await;
    browser.targets(&[]);
    let began = Instant::now();
    peer.send("last words").await;
    drop(peer);
    assert_eq!(client.next().await, Got::Text("last words".to_owned()));
    told(&mut client, began, 1000, "target closed").await;
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_error", "target_closed"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_socket_that_is_cut_while_the_browser_lives_has_vanished() {
    for path in ["/sandboxes/one", "/sandboxes/one/devtools/page/PAGE1"] {
        let Open { mut world, edge: _, sandbox, browser: _browser, mut client, peer } =
            open(path, true).await;
        let began = Instant::now();
        drop(peer);
        told(&mut client, began, 1011, "browser connection lost").await;
        let event = world.events.disconnect().await;
        assert_eq!(verdict(&event), ("upstream_error", "upstream_vanished"));
        world.nothing_left(&sandbox).await;
    }
}

#[tokio::test]
async fn a_close_of_a_living_browser_keeps_its_code_and_text() {
    let Open { mut world, edge: _, sandbox, browser: _browser, mut client, mut peer } =
        open("/sandboxes/one", true).await;
    let began = Instant::now();
    peer.close(Some(4001), "own words").await;
    told(&mut client, began, 4001, "own words").await;
    assert_eq!(peer.end().await, Got::Close(Some(4001), String::new()));
    drop(peer);
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_error", "upstream_closed"));
    assert_eq!((event.str("first_close"), event.u64("close_code")), ("browser", 4001));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_browser_that_breaks_the_rules_is_told_apart_from_one_that_died() {
    let mut reserved = frame(1, b"x", false);
    reserved[0] |= 0x20;
    for (bytes, rule) in [
        (frame(1, b"x", true), "masked_server_frame"),
        (reserved, "reserved_bits"),
        (frame(0, b"x", false), "continuation_outside_message"),
    ] {
        let Open { mut world, edge: _, sandbox, browser: _browser, mut client, mut peer } =
            open("/sandboxes/one", true).await;
        let began = Instant::now();
        peer.raw(&bytes).await;
        told(&mut client, began, 1011, &format!("browser broke the protocol: {rule}")).await;
        drop(peer);
        let event = world.events.disconnect().await;
        assert_eq!(verdict(&event), ("upstream_error", "upstream_protocol_error"));
        assert_eq!(event.str("error"), rule);
        world.nothing_left(&sandbox).await;
    }
}

#[tokio::test]
async fn a_message_of_the_browser_over_the_limit_is_1009() {
    let mut settings = quickly();
    settings.relay.max_browser_message = 1000;
    let mut world = World::with(settings).await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut client = upgrade(edge, "/sandboxes/one", "").await.expect("connected");
    let (_, mut peer) = browser.socket().await;
    let began = Instant::now();
    peer.raw(&frame(1, &[b'x'; 1001], false)[..4]).await;
    told(&mut client, began, 1009, "browser message over 1000 bytes").await;
    drop(peer);
    world.events.connect().await;
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_error", "message_too_large"));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_browser_that_does_not_read_is_named() {
    let mut settings = quickly();
    // Long enough for the kernel's probes of a closed window, which tell slow from gone.
    settings.relay.write_stall_upstream = Duration::from_secs(2);
    let mut world = World::with(settings).await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut client = upgrade(edge, "/sandboxes/one", "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    let message = "x".repeat(1 << 20);
    for _ in 0..64 {
        let sent = tokio::time::timeout(Duration::from_millis(500), client.try_send(&message));
        if !matches!(sent.await, Ok(Ok(()))) {
            break;
        }
    }
    world.events.connect().await;
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_error", "write_stalled"));
    assert_eq!(event.u64("close_code"), 1011);
    drop((client, peer));
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_browser_killed_inside_a_frame_leaves_no_close_and_says_mid_frame() {
    let Open { mut world, edge: _, sandbox, browser, mut client, mut peer } =
        open("/sandboxes/one", true).await;
    // The header of 50 MiB and a part of it.
    let mut start = vec![0x81, 127];
    start.extend((50u64 << 20).to_be_bytes());
    start.extend(vec![b'x'; 300_000]);
    peer.raw(&start).await;
    browser.crash([peer]).await;
    sandbox.ended(KILLED);
    assert!(matches!(client.end().await, Got::Eof | Got::Reset));
    let second = Browser::start("guid-2").await;
    sandbox.ready(&second);
    let event = world.events.disconnect().await;
    assert_eq!(verdict(&event), ("upstream_changed", "browser_crashed"));
    assert!(event.bool("mid_frame") && event.get("close_code").is_none());
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn the_end_is_stamped_when_it_happened_and_not_when_it_was_judged() {
    let Open { mut world, edge: _, sandbox, browser, mut client, peer } =
        open("/sandboxes/one", true).await;
    let wall = std::time::SystemTime::now();
    let died = Instant::now();
    browser.crash([peer]).await;
    told(&mut client, died, 1012, AGAIN).await;
    // So long the next browser takes.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = Browser::start("guid-2").await;
    sandbox.ready(&second);
    let event = world.events.disconnect().await;
    let died = wall.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((event.ts() - died).abs() < 150_000, "{} {died}", event.ts());
    assert!(event.f64("resolve_ms") >= 300.0);
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn binary_empty_tiny_and_malformed_messages_pass_unchanged() {
    let Open { mut world, edge: _, sandbox: _sandbox, browser: _browser, mut client, mut peer } =
        open("/sandboxes/one", true).await;
    client.raw(&frame(2, &[0, 159, 255], true)).await;
    assert_eq!(peer.next().await, Got::Binary(vec![0, 159, 255]));
    for text in ["", "{not json", "\u{0}", &"y".repeat(300_000)] {
        client.send(text).await;
        assert_eq!(peer.next().await, Got::Text(text.to_owned()));
        peer.send(text).await;
        assert_eq!(client.next().await, Got::Text(text.to_owned()));
    }
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}
