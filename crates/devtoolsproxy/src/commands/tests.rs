use telemetry::commands::{CommandRoom, IN_FLIGHT_MESSAGES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant as Clock;
use wsproxy::{Plain, Relay};

use super::*;
use crate::session::tests::stage::Stage;

const ARM: &str = r#"{"categories": {"control": {"enabled": true}}}"#;

fn watched(edge: &Arc<Inner>) -> Watched {
    let session = Of { sandbox: "one".into(), connection_id: "c".into(), generation: 1 };
    Watched::new(Arc::clone(edge), session, Arc::default())
}

fn session() -> commands::Session {
    commands::Session { sandbox: None, connection_id: "c".into(), generation: 1 }
}

/// Relays 400 commands with this tap and gives what the browser read.
async fn relay(tap: Watched) -> Vec<u8> {
    let (mut client, client_end) = tokio::io::duplex(1 << 16);
    let (mut browser, browser_end) = tokio::io::duplex(1 << 16);
    let limits = Arc::new(wsproxy::Limits::default());
    let relay = Relay::new(Plain(client_end), Plain(browser_end), limits).with_tap(tap);
    let script = async {
        let mut read = Vec::new();
        for id in 0..400 {
            let text = format!(r#"{{"id":{id},"method":"Page.reload"}}"#);
            let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
            client.write_all(&[&head, text.as_bytes()].concat()).await.unwrap();
            let at = read.len();
            read.resize(at + 6 + text.len(), 0);
            browser.read_exact(&mut read[at..]).await.unwrap();
        }
        drop((client, browser));
        read
    };
    let began = Clock::now();
    let (_ending, read) = tokio::join!(relay.run(), script);
    assert_eq!(began.elapsed(), std::time::Duration::ZERO, "the relay waited");
    read
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_blocks_or_has_failed_changes_nothing_for_the_relay() {
    let stage = Stage::new();
    stage.configure(ARM).await;
    let inner = stage.edge.inner();
    let plain = relay(watched(Stage::new().edge.inner())).await;
    let room = CommandRoom::default();
    for fails in [false, true] {
        let (tap, worker) = inner.reports.commands(session(), &room);
        let tally = tap.tally();
        // Never polled, as one that blocks its thread; or gone, as one that panicked.
        let worker = (!fails).then_some(worker);
        let tap = Watched { tap: Some(tap), ..watched(inner) };
        assert!(relay(tap).await == plain, "the browser read something else");
        assert_eq!(tally.counts().dropped, 400, "{IN_FLIGHT_MESSAGES} of them wait for ever");
        drop(worker);
        assert_eq!(room.used(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_waits_a_second_at_most_for_its_worker() {
    let stage = Stage::new();
    stage.configure(ARM).await;
    let (mut tap, _worker) =
        stage.edge.inner().reports.commands(session(), &CommandRoom::default());
    let text = br#"{"method":"Page.reload"}"#;
    assert_eq!(tap.reserve(text.len()), text.len());
    tap.offer(text.as_slice().into(), text.len() as u64);
    let (_hangs, ended) = oneshot::channel();
    let worker = Worker { tally: tap.tally(), ended, _wanted: oneshot::channel().0 };
    let commands = Commands(Mutex::new(Some(worker)));
    let began = Clock::now();
    assert_eq!(commands.end().await, CommandCounts { dropped: 1, excluded: 0 });
    assert_eq!(began.elapsed(), FLUSH);
    assert_eq!(commands.end().await, CommandCounts::default(), "it is asked once");
}
