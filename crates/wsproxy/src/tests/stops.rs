//! Stops from outside: soft, hard, and at a quiet moment.

use super::rig::{Duplex, Peer, play, rig, settle, since};
use crate::limits::Limits;
use crate::report::{CloseSent, Party, QuietEnd};
use crate::stop::{Stop, StopMode, StopSide, Stopper, stop_channel};
use crate::testing::{BINARY, CLOSE, CONTINUATION, Frame, TEXT, close_payload};
use crate::verdict::{Cause, Detail, Vanished};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn begin() -> (Duplex, Stopper, Peer<DuplexStream>, Peer<DuplexStream>) {
    let (relay, client, browser) = rig(Limits::default());
    let (stopper, token) = stop_channel();
    (relay.with_stop(token), stopper, client, browser)
}

fn order(mode: StopMode) -> Stop {
    Stop { side: StopSide::Context, mode, by: "drain" }
}

fn quiet(after: Duration) -> Stop {
    order(StopMode::Quiet { deadline: (Instant::now() + after).into_std() })
}

/// Both sides are told 1001, and answer.
async fn told(client: &mut Peer<DuplexStream>, browser: &mut Peer<DuplexStream>) {
    client.expect(&Frame::browser(CLOSE, close_payload(1001, "stopped"))).await;
    client.send(&Frame::client(CLOSE, close_payload(1001, ""))).await;
    browser.expect(&Frame::client(CLOSE, close_payload(1001, ""))).await;
    browser.send(&Frame::browser(CLOSE, close_payload(1001, ""))).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_between_messages_tells_both_sides_at_once() {
    let (relay, stopper, mut client, mut browser) = begin();
    let script = async {
        client.send(&Frame::client(TEXT, "x")).await;
        browser.expect(&Frame::client(TEXT, "x")).await;
        stopper.stop(order(StopMode::Soft));
        told(&mut client, &mut browser).await;
    };
    let (terminal, report, ()) = play(relay, script).await;
    let detail = Detail::Stopped { by: "drain" };
    assert_eq!((terminal.cause, terminal.detail), (Cause::Context, detail));
    assert_eq!(report.first_close.map(|close| close.by), Some(Party::Proxy));
    assert_eq!(report.client_close_sent, CloseSent::Code(1001));
    assert_eq!((report.teardown, report.quiet), (Duration::ZERO, None));
}

#[tokio::test(start_paused = true)]
async fn a_stop_on_the_upstream_s_account_is_its_cause() {
    let (relay, stopper, client, browser) = begin();
    let stop = Stop { side: StopSide::Upstream, mode: StopMode::Soft, by: "superseded" };
    stopper.stop(stop);
    let script = async {
        settle().await;
        drop((client, browser));
    };
    let (terminal, _, ()) = play(relay, script).await;
    let detail = Detail::Stopped { by: "superseded" };
    assert_eq!((terminal.cause, terminal.detail), (Cause::Upstream, detail));
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_lets_both_messages_end() {
    let (relay, stopper, mut client, mut browser) = begin();
    let down = Frame::browser(BINARY, vec![1; 40_000]);
    let up = [Frame::client(TEXT, "a").unfinished(), Frame::client(CONTINUATION, "b")];
    let script = async {
        browser.send_bytes(&down.bytes()[..20_000]).await;
        client.send(&up[0]).await;
        settle().await;
        let start = Instant::now();
        stopper.stop(order(StopMode::Soft));
        sleep(SECOND).await;
        browser.send_bytes(&down.bytes()[20_000..]).await;
        browser.send(&Frame::browser(TEXT, "after the boundary")).await;
        client.send(&up[1]).await;
        client.send(&Frame::client(TEXT, "after the boundary")).await;
        client.expect(&down).await;
        browser.expect(&Frame::client(TEXT, "ab")).await;
        told(&mut client, &mut browser).await;
        assert_eq!(since(start), SECOND);
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!((report.to_client.messages, report.to_browser.messages), (1, 1));
    assert_eq!(report.discarded_after_end, 1);
    assert_eq!(report.teardown, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_waits_for_a_message_no_longer_than_the_grace() {
    let (relay, stopper, mut client, mut browser) = begin();
    let script = async {
        browser.send(&Frame::browser(TEXT, "never ends").unfinished()).await;
        client.expect(&Frame::browser(TEXT, "never ends").unfinished()).await;
        let start = Instant::now();
        stopper.stop(order(StopMode::Soft));
        client.expect(&Frame::browser(CLOSE, close_payload(1001, "stopped"))).await;
        assert_eq!(since(start), 2 * SECOND);
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.teardown, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_hard_stop_ends_with_the_frame_that_is_out() {
    let (relay, stopper, mut client, mut browser) = begin();
    let frame = Frame::browser(BINARY, vec![1; 40_000]);
    let script = async {
        browser.send(&Frame::browser(TEXT, "a").unfinished()).await;
        let next = Frame { opcode: CONTINUATION, ..frame.clone() }.unfinished();
        browser.send_bytes(&next.bytes()[..20_000]).await;
        settle().await;
        stopper.stop(order(StopMode::Hard));
        settle().await;
        browser.send_bytes(&next.bytes()[20_000..]).await;
        client.expect(&Frame::browser(TEXT, "a").unfinished()).await;
        client.expect(&next).await;
        told(&mut client, &mut browser).await;
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!((report.to_client.frames, report.to_client.messages), (2, 0));
    assert_eq!(report.teardown, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_hard_stop_hurries_a_soft_one() {
    let (relay, stopper, mut client, mut browser) = begin();
    let script = async {
        browser.send(&Frame::browser(TEXT, "never ends").unfinished()).await;
        settle().await;
        stopper.stop(order(StopMode::Soft));
        sleep(SECOND).await;
        stopper.stop(Stop { side: StopSide::Upstream, mode: StopMode::Hard, by: "other" });
        client.expect(&Frame::browser(TEXT, "never ends").unfinished()).await;
        told(&mut client, &mut browser).await;
    };
    let (terminal, report, ()) = play(relay, script).await;
    assert_eq!(terminal.detail, Detail::Stopped { by: "drain" }, "the first order keeps its name");
    assert_eq!(report.teardown, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stop_waits_for_outstanding_commands() {
    let (relay, stopper, mut client, mut browser) = begin();
    let script = async {
        stopper.stop(quiet(60 * SECOND));
        settle().await;
        let start = Instant::now();
        client.send(&Frame::client(TEXT, r#"{"id":1,"method":"Page.navigate"}"#)).await;
        browser.recv().await.unwrap();
        sleep(10 * SECOND).await;
        browser.send(&Frame::browser(TEXT, r#"{"method":"event","params":{}}"#)).await;
        browser.send(&Frame::browser(TEXT, r#"{"id":1,"result":{}}"#)).await;
        client.recv().await.unwrap();
        client.recv().await.unwrap();
        sleep(Duration::from_millis(100)).await;
        browser.send(&Frame::browser(TEXT, r#"{"method":"event","params":{}}"#)).await;
        client.recv().await.unwrap();
        told(&mut client, &mut browser).await;
        let quiet_after = Duration::from_millis(100 + 250);
        assert_eq!(since(start), 10 * SECOND + quiet_after);
    };
    let (terminal, report, ()) = play(relay, script).await;
    assert_eq!(terminal.detail, Detail::Stopped { by: "drain" });
    assert_eq!(report.quiet, Some(QuietEnd::Quiet));
    assert_eq!(report.teardown, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stop_of_an_idle_session_takes_a_quarter_of_a_second() {
    let (relay, stopper, mut client, mut browser) = begin();
    let script = async {
        sleep(SECOND).await;
        let start = Instant::now();
        stopper.stop(quiet(60 * SECOND));
        told(&mut client, &mut browser).await;
        assert_eq!(since(start), Duration::from_millis(250));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.quiet, Some(QuietEnd::Quiet));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stop_ends_at_its_deadline() {
    let (relay, stopper, mut client, mut browser) = begin();
    let script = async {
        let start = Instant::now();
        stopper.stop(quiet(5 * SECOND));
        client.send(&Frame::client(TEXT, r#"{"id":1,"method":"x"}"#)).await;
        settle().await;
        browser.recv().await.unwrap();
        told(&mut client, &mut browser).await;
        assert_eq!(since(start), 5 * SECOND);
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.quiet, Some(QuietEnd::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_harder_order_overrules_a_quiet_stop() {
    let (relay, stopper, mut client, mut browser) = begin();
    let script = async {
        let start = Instant::now();
        stopper.stop(quiet(60 * SECOND));
        client.send(&Frame::client(TEXT, r#"{"id":1,"method":"x"}"#)).await;
        browser.recv().await.unwrap();
        sleep(SECOND).await;
        stopper.stop(order(StopMode::Soft));
        told(&mut client, &mut browser).await;
        assert_eq!(since(start), SECOND);
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.quiet, Some(QuietEnd::Overruled));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_the_session_before_the_quiet_moment_is_its_cause() {
    let (relay, stopper, client, browser) = begin();
    let script = async {
        stopper.stop(quiet(60 * SECOND));
        sleep(Duration::from_millis(100)).await;
        drop((client, browser));
    };
    let (terminal, report, ()) = play(relay, script).await;
    assert_eq!(terminal.detail, Detail::Vanished(Vanished::Eof));
    assert_eq!(report.quiet, None);
}
