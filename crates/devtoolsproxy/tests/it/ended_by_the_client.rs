//! Sessions that the client ended, in every way it can.

use std::time::Duration;

use devtoolsproxy::EdgeSettings;

use crate::support::browser::Browser;
use crate::support::http::upgrade;
use crate::support::world::{Sandbox, World, quickly};
use crate::support::ws::{Got, Ws, frame};

const PATH: &str = "/devtools/browser/one";

struct Open {
    world: World,
    sandbox: Sandbox,
    browser: Browser,
    client: Ws,
    peer: Ws,
}

async fn open(settings: EdgeSettings) -> Open {
    let mut world = World::with(settings).await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let client = upgrade(edge, PATH, "").await.expect("connected");
    let (_, peer) = browser.socket().await;
    assert_eq!(world.events.connect().await.str("addressing"), "browser_path");
    Open { world, sandbox, browser, client, peer }
}

#[tokio::test]
async fn a_clean_close_is_echoed_with_its_own_code() {
    for code in [Some(1000), Some(4321), None] {
        let Open { mut world, sandbox, browser: _browser, mut client, mut peer } =
            open(quickly()).await;
        client.send("one").await;
        peer.next().await;
        peer.send("two!").await;
        client.next().await;
        let text = if code.is_some() { "bye" } else { "" };
        client.close(code, text).await;
        assert_eq!(peer.next().await, Got::Close(code, text.to_owned()));
        peer.close(code, "").await;
        assert_eq!(client.next().await, Got::Close(code, String::new()));
        assert_eq!(client.next().await, Got::Eof);

        let event = world.events.disconnect().await;
        assert_eq!((event.reason(), event.detail()), ("client_close", "client_closed"));
        assert_eq!((event.str("ended_by"), event.str("first_close")), ("client", "client"));
        assert_eq!(event.get("close_code").and_then(|code| code.as_u64()), code.map(u64::from));
        assert_eq!(event.u64("message_count"), 2);
        assert_eq!((event.u64("messages_to_browser"), event.u64("messages_to_client")), (1, 1));
        assert_eq!((event.u64("bytes_to_browser"), event.u64("bytes_to_client")), (3, 4));
        assert_eq!((event.u64("telemetry_dropped"), event.u64("telemetry_excluded")), (0, 0));
        assert!(!event.bool("mid_frame") && event.get("error").is_none());
        assert!(event.get("upstream_cause").is_none() && event.get("new_generation").is_none());
        world.nothing_left(&sandbox).await;
    }
}

#[tokio::test]
async fn an_end_without_a_close_is_a_client_that_vanished() {
    for reset in [false, true] {
        let Open { mut world, sandbox, browser: _browser, client, mut peer } =
            open(quickly()).await;
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        assert!(matches!(peer.end().await, Got::Close(Some(1001), _)));
        drop(peer);
        let event = world.events.disconnect().await;
        assert_eq!((event.reason(), event.detail()), ("client_close", "client_vanished"));
        assert!(event.get("close_code").is_none());
        world.nothing_left(&sandbox).await;
    }
}

#[tokio::test]
async fn each_broken_rule_is_a_protocol_error_of_the_client() {
    let mut reserved = frame(1, b"x", true);
    reserved[0] |= 0x40;
    let mut half_ping = frame(9, b"", true);
    half_ping[0] &= 0x7f;
    for (bytes, code, rule) in [
        (frame(1, b"x", false), 1002, "unmasked_client_frame"),
        (reserved, 1002, "reserved_bits"),
        (frame(3, b"", true), 1002, "unknown_opcode"),
        (half_ping, 1002, "fragmented_control"),
        (frame(9, &[0; 126], true), 1002, "control_too_long"),
        (frame(0, b"x", true), 1002, "continuation_outside_message"),
        (frame(8, &[3], true), 1002, "close_payload"),
        (frame(8, &1005u16.to_be_bytes(), true), 1002, "close_code"),
        (frame(8, &[3, 232, 0xff, 0xfe], true), 1007, "close_text"),
    ] {
        let Open { mut world, sandbox, browser: _browser, mut client, peer } =
            open(quickly()).await;
        client.raw(&bytes).await;
        assert_eq!(client.end().await, Got::Close(Some(code), rule.to_owned()));
        drop((client, peer));
        let event = world.events.disconnect().await;
        assert_eq!((event.reason(), event.detail()), ("client_close", "client_protocol_error"));
        assert_eq!((event.str("error"), event.u64("close_code")), (rule, u64::from(code)));
        world.nothing_left(&sandbox).await;
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_at_its_header() {
    let mut settings = quickly();
    settings.relay.max_client_message = 1000;
    settings.relay.join_max = 1000;
    let Open { mut world, sandbox, browser: _browser, mut client, mut peer } = open(settings).await;
    // Only the header: not one byte of it goes to the browser.
    client.raw(&frame(1, &[b'x'; 1001], true)[..8]).await;
    let text = "client message over 1000 bytes".to_owned();
    assert_eq!(client.end().await, Got::Close(Some(1009), text));
    drop(client);
    assert!(matches!(peer.next().await, Got::Close(..)));
    drop(peer);
    let event = world.events.disconnect().await;
    assert_eq!((event.reason(), event.detail()), ("client_close", "message_too_large"));
    assert_eq!(event.str("error"), "limit 1000 bytes");
    assert_eq!(event.u64("bytes_to_browser"), 0);
    world.nothing_left(&sandbox).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_too_slow() {
    let mut settings = quickly();
    // Long enough for the kernel's probes of a closed window, which tell slow from gone.
    settings.relay.write_stall_client = Duration::from_secs(2);
    let Open { mut world, sandbox, browser: _browser, client, mut peer } = open(settings).await;
    let message = "x".repeat(1 << 20);
    let flood = tokio::spawn(async move {
        for _ in 0..64 {
            // The edge stops taking bytes when the client does.
            if tokio::time::timeout(Duration::from_secs(5), peer.try_send(&message)).await.is_err()
            {
                return;
            }
        }
    });
    let event = world.events.disconnect().await;
    assert_eq!((event.reason(), event.detail()), ("client_close", "write_stalled"));
    drop(client);
    world.nothing_left(&sandbox).await;
    flood.await.unwrap();
}

#[tokio::test]
async fn pings_are_answered_by_the_edge_and_never_reach_the_browser() {
    let Open { mut world, sandbox: _sandbox, browser: _browser, mut client, mut peer } =
        open(quickly()).await;
    for round in 0..3u8 {
        client.raw(&frame(9, &[round, 1, 2], true)).await;
        assert_eq!(client.next().await, Got::Pong(vec![round, 1, 2]));
    }
    client.send("after").await;
    assert_eq!(peer.next().await, Got::Text("after".to_owned()));
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_sends_a_close_and_drops_its_socket_at_once_has_closed() {
    for _ in 0..20 {
        let Open { mut world, sandbox, browser: _browser, mut client, mut peer } =
            open(quickly()).await;
        // The browser is in the middle of a burst, so that there is something to write as well.
        peer.send(&"x".repeat(10_000)).await;
        client.close(Some(1000), "").await;
        drop(client);
        assert!(matches!(peer.end().await, Got::Close(Some(1000), _)));
        drop(peer);
        let event = world.events.disconnect().await;
        assert_eq!((event.reason(), event.detail()), ("client_close", "client_closed"));
        world.nothing_left(&sandbox).await;
    }
}
