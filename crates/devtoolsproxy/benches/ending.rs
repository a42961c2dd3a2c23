//! How long a client waits for the truth: from the moment at which a browser's socket has ended and
//! its exit is known, to the Close frame of the client and to the event.
//!
//! `cargo bench -p devtoolsproxy --bench ending -- [kills]`; one line of JSON, times in
//! milliseconds. The real handler over real sockets, a browser that is scripted, the default waits.
//! `cargo xtask bench relay` states the goals.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "stands on what the tests stand on, and needs only a part of it"
)]
#![allow(clippy::disallowed_methods, reason = "its runtime owns the tasks and drops them")]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use devtoolsproxy::EdgeSettings;
use upstream::Cause;

use support::browser::Browser;
use support::http::upgrade;
use support::world::{Sandbox, World};
use support::ws::Got;

const KILLED: Cause = Cause::Signalled { signal: 9 };

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let kills = args.next().map_or(200, |arg| arg.parse().expect("a number of kills"));
    // As the daemons run it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let (mut told, mut event) = runtime.expect("a runtime").block_on(measure(kills));
    told.sort_unstable();
    event.sort_unstable();
    let at = |times: &[Duration], share: f64| {
        times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3
    };
    println!(
        r#"{{"kills":{kills},"close_p50":{},"close_p99":{},"event_p50":{},"event_p99":{}}}"#,
        at(&told, 0.5),
        at(&told, 0.99),
        at(&event, 0.5),
        at(&event, 0.99)
    );
}

/// The waits of each kill: for the Close, and for the event. Which of the two facts comes first
/// alternates; the later one starts the clock.
async fn measure(kills: usize) -> (Vec<Duration>, Vec<Duration>) {
    let mut world = World::with(EdgeSettings::default()).await;
    let edge = world.shared().await;
    let (mut all_told, mut all_events) = (Vec::new(), Vec::new());
    for kill in 0..kills {
        let sandbox = Sandbox::new(&format!("s{kill}"), false);
        let mut browser = Browser::start("guid").await;
        sandbox.ready(&browser);
        world.sandboxes.know(&sandbox);
        let path = format!("/sandboxes/s{kill}");
        let mut client = upgrade(edge, &path, "").await.expect("connected");
        let (_, peer) = browser.socket().await;
        world.events.connect().await;
        let from = if kill % 2 == 0 {
            browser.crash([peer]).await;
            let from = Instant::now();
            sandbox.gave_up(KILLED);
            from
        } else {
            sandbox.gave_up(KILLED);
            let from = Instant::now();
            browser.crash([peer]).await;
            from
        };
        let told = async {
            assert_eq!(
                client.end().await,
                Got::Close(Some(1011), "browser killed: signal 9".into())
            );
            let took = from.elapsed();
            client.close(Some(1011), "").await;
            took
        };
        let event = async {
            let event = world.events.disconnect().await;
            let took = from.elapsed();
            assert_eq!((event.reason(), event.detail()), ("upstream_error", "browser_crashed"));
            took
        };
        let (told, event) = tokio::join!(told, event);
        all_told.push(told);
        all_events.push(event);
        world.nothing_left(&sandbox).await;
    }
    (all_told, all_events)
}
