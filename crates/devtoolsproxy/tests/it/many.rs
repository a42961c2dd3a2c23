//! Many sessions on one browser: the end of one is nobody else's.

use std::time::Duration;

use devtoolsproxy::EdgeSettings;

use crate::support::http::upgrade;
use crate::support::world::World;
use crate::support::ws::{Got, frame};

#[tokio::test]
async fn one_that_ends_in_any_way_leaves_the_others_alone() {
    let mut world = World::new().await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let mut others = Vec::new();
    for _ in 0..6 {
        let client = upgrade(edge, "/sandboxes/one", "").await.expect("connected");
        let (_, peer) = browser.socket().await;
        tokio::spawn(peer.serve_echo());
        world.events.connect().await;
        others.push(client);
    }
    for (how, detail) in [
        ("close", "client_closed"),
        ("vanish", "client_vanished"),
        ("reset", "client_vanished"),
        ("break", "client_protocol_error"),
        ("cut", "upstream_vanished"),
    ] {
        let mut one = upgrade(edge, "/sandboxes/one", "").await.expect("connected");
        let (_, peer) = browser.socket().await;
        world.events.connect().await;
        match how {
            "close" => one.close(Some(1000), "").await,
            "vanish" => drop(one),
            "reset" => one.reset(),
            "break" => one.raw(&frame(1, b"unmasked", false)).await,
            _ => {
                drop(peer);
                assert!(matches!(one.end().await, Got::Close(Some(1011), _)));
            }
        }
        assert_eq!(world.events.disconnect().await.detail(), detail, "{how}");
        for other in &mut others {
            other.echo(how).await;
        }
    }
    assert_eq!(world.edge.session_count(), others.len());
    assert_eq!(world.counted("lockkeeper_cdp_sessions "), ["lockkeeper_cdp_sessions 6"]);
    drop(others);
    world.nothing_left(&sandbox).await;
    assert_eq!(world.counted("lockkeeper_cdp_sessions "), Vec::<String>::new());
    let mut ended = world.counted("lockkeeper_cdp_sessions_total");
    ended.sort();
    let line = |reason, detail, count: u8| {
        format!("lockkeeper_cdp_sessions_total{{reason=\"{reason}\",detail=\"{detail}\"}} {count}")
    };
    assert_eq!(
        ended,
        [
            line("client_close", "client_closed", 1),
            line("client_close", "client_protocol_error", 1),
            line("client_close", "client_vanished", 8),
            line("upstream_error", "upstream_vanished", 1),
        ]
    );
}

#[tokio::test]
async fn every_connect_has_one_disconnect_over_many_sessions_at_once() {
    let mut world = World::with(EdgeSettings::default()).await;
    let (edge, sandbox, mut browser) = world.one(true).await;
    let total = 100;
    let clients = async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..total {
            tasks.spawn(async move {
                let mut client =
                    upgrade(edge, "/devtools/browser/one", "").await.expect("connected");
                client.echo("x").await;
                if number % 2 == 0 {
                    client.close(Some(1000), "").await;
                    client.end().await;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    };
    let serve = async {
        for _ in 0..total {
            let (_, peer) = browser.socket().await;
            tokio::spawn(peer.serve_echo());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(clients, serve) })
        .await
        .expect("all sessions ran");
    world.nothing_left(&sandbox).await;
    let mut ids = std::collections::HashMap::new();
    for event in world.events.all(2 * total).await {
        let counts: &mut (u32, u32) = ids.entry(event.str("connection_id").to_owned()).or_default();
        match event.kind() {
            "cdp_connect" => counts.0 += 1,
            "cdp_disconnect" => counts.1 += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(ids.len(), total);
    assert!(ids.values().all(|counts| *counts == (1, 1)));
    assert_eq!(world.events.rest().await, Vec::<String>::new());
}
