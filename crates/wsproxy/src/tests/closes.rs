//! Closing: who is told what, what is delivered before, and how long it may take.

use super::rig::{finish, finish_with, play, rig, rig_with, settle, since};
use crate::close::{CloseCode, CloseFrame};
use crate::limits::Limits;
use crate::report::{CloseSent, FirstClose, Party};
use crate::testing::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, close_payload};
use crate::verdict::{Cause, Detail, Vanished};
use std::future::{pending, ready};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn first(by: Party, code: u16, text: &str) -> Option<FirstClose> {
    Some(FirstClose { by, code: Some(code), text: text.into() })
}

#[tokio::test(start_paused = true)]
async fn a_client_s_close_goes_to_the_browser_and_back() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let script = async {
        client.send(&Frame::client(TEXT, "last")).await;
        client.send(&Frame::client(CLOSE, close_payload(4321, "done"))).await;
        browser.expect(&Frame::client(TEXT, "last")).await;
        browser.expect(&Frame::client(CLOSE, close_payload(4321, "done"))).await;
        client.expect(&Frame::browser(CLOSE, close_payload(4321, ""))).await;
        assert_eq!(client.recv().await, None);
        browser.send(&Frame::browser(CLOSE, close_payload(1000, ""))).await;
        assert_eq!(browser.recv().await, None);
    };
    let (terminal, report, ()) = play(relay, script).await;
    let detail = Detail::Closed { code: Some(4321) };
    assert_eq!((terminal.cause, terminal.detail), (Cause::Client, detail));
    assert_eq!(report.first_close, first(Party::Client, 4321, "done"));
    assert_eq!(report.client_close_sent, CloseSent::Code(4321));
    assert_eq!(report.browser_close_sent, CloseSent::Code(4321));
    assert_eq!(report.teardown, Duration::ZERO);
    assert_eq!(report.to_browser.messages, 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_code_is_answered_without_one() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let script = async {
        client.send(&Frame::client(CLOSE, "")).await;
        browser.expect(&Frame::client(CLOSE, "")).await;
        client.expect(&Frame::browser(CLOSE, "")).await;
        browser.send(&Frame::browser(CLOSE, "")).await;
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(
        (report.client_close_sent, report.browser_close_sent),
        (CloseSent::Empty, CloseSent::Empty)
    );
    assert_eq!(report.client_close_sent.code(), None);
}

#[tokio::test(start_paused = true)]
async fn a_browser_s_close_goes_back_to_it_and_the_owner_decides_about_the_client() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let owner = async {
        sleep(SECOND / 2).await;
        Some(CloseFrame::new(CloseCode::RESTART, "browser restarting, reconnect"))
    };
    let start = Instant::now();
    let script = async {
        browser.send(&Frame::browser(TEXT, "last words")).await;
        browser.send(&Frame::browser(CLOSE, close_payload(4001, "bye"))).await;
        browser.expect(&Frame::client(CLOSE, close_payload(4001, ""))).await;
        assert_eq!(browser.recv().await, None);
        assert_eq!(since(start), Duration::ZERO, "the browser does not wait for the owner");
        client.expect(&Frame::browser(TEXT, "last words")).await;
        assert_eq!(since(start), Duration::ZERO);
        let close = close_payload(1012, "browser restarting, reconnect");
        client.expect(&Frame::browser(CLOSE, close)).await;
        assert_eq!(since(start), SECOND / 2);
        client.send(&Frame::client(CLOSE, close_payload(1012, ""))).await;
        assert_eq!(client.recv().await, None);
    };
    let (report, ()) = tokio::join!(finish_with(relay, owner), script);
    assert_eq!(
        (report.cause, report.detail),
        (Cause::Upstream, Detail::Closed { code: Some(4001) })
    );
    assert_eq!(report.first_close, first(Party::Browser, 4001, "bye"));
    assert_eq!(report.client_close_sent, CloseSent::Code(1012));
    assert_eq!(report.teardown, SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_never_decides_is_not_waited_for() {
    let (relay, mut client, browser) = rig(Limits::default());
    let start = Instant::now();
    let script = async {
        drop(browser);
        let close = close_payload(1011, "upstream connection lost");
        client.expect(&Frame::browser(CLOSE, close)).await;
        assert_eq!(since(start), 2 * SECOND);
        client.send(&Frame::client(CLOSE, "")).await;
    };
    let (report, ()) = tokio::join!(finish_with(relay, pending()), script);
    assert_eq!(report.detail, Detail::Vanished(Vanished::Eof));
    assert_eq!(report.first_close, first(Party::Proxy, 1011, "upstream connection lost"));
    assert_eq!(report.teardown, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_owner_may_write_no_close() {
    let (relay, mut client, browser) = rig(Limits::default());
    let script = async {
        drop(browser);
        assert_eq!(client.recv().await, None);
        drop(client);
    };
    let (report, ()) = tokio::join!(finish_with(relay, ready(None)), script);
    assert_eq!((report.client_close_sent, report.first_close), (CloseSent::No, None));
    assert_eq!(report.teardown, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn silent_peers_delay_their_own_end_only_and_never_beyond_three_seconds() {
    // Neither answers.
    let (relay, client, browser) = rig(Limits::default());
    let (stopper, token) = crate::stop::stop_channel();
    stopper.stop(crate::stop::Stop {
        side: crate::stop::StopSide::Context,
        mode: crate::stop::StopMode::Soft,
        by: "test",
    });
    let (_, report) = finish(relay.with_stop(token)).await;
    assert_eq!(report.teardown, 2 * SECOND);
    drop((client, browser));

    // The client answers at once, the browser never.
    let (relay, mut client, browser) = rig(Limits::default());
    let start = Instant::now();
    let script = async {
        client.send(&Frame::client(CLOSE, "")).await;
        client.expect(&Frame::browser(CLOSE, "")).await;
        assert_eq!(client.recv().await, None);
        assert_eq!(since(start), Duration::ZERO, "the client does not wait for the browser");
        browser
    };
    let (_, report, _browser) = play(relay, script).await;
    assert_eq!(report.teardown, 2 * SECOND);

    // Neither reads any more when the session is stopped inside a message.
    let (relay, client, mut browser) = rig_with(Limits::default(), 1000, 64 * 1024);
    let (stopper, token) = crate::stop::stop_channel();
    let script = async {
        browser.send(&Frame::browser(BINARY, vec![0; 40_000])).await;
        settle().await;
        stopper.stop(crate::stop::Stop {
            side: crate::stop::StopSide::Context,
            mode: crate::stop::StopMode::Soft,
            by: "test",
        });
        (client, browser)
    };
    let (_, report, _peers) = play(relay.with_stop(token), script).await;
    assert_eq!(report.teardown, 3 * SECOND);
    assert!(report.client_mid_frame);
}

#[tokio::test(start_paused = true)]
async fn an_end_of_file_is_no_close() {
    let (relay, client, mut browser) = rig(Limits::default());
    let script = async {
        drop(client);
        browser.expect(&Frame::client(CLOSE, close_payload(1001, ""))).await;
        browser.send(&Frame::browser(CLOSE, "")).await;
        assert_eq!(browser.recv().await, None);
    };
    let (terminal, report, ()) = play(relay, script).await;
    let detail = Detail::Vanished(Vanished::Eof);
    assert_eq!(
        (terminal.cause, terminal.detail, terminal.mid_frame),
        (Cause::Client, detail, false)
    );
    assert_eq!(report.first_close, first(Party::Proxy, 1001, ""));
    assert_eq!(
        (report.client_close_sent, report.browser_close_sent),
        (CloseSent::No, CloseSent::Code(1001))
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_browser_sent_before_arrives_before_the_close() {
    let (relay, mut client, mut browser) = rig_with(Limits::default(), 500, 64 * 1024);
    let whole = Frame::browser(BINARY, vec![1; 20_000]);
    let cut = Frame::browser(BINARY, vec![2; 10_000]);
    let script = async {
        browser.send(&whole).await;
        browser.send(&Frame::browser(TEXT, "the reply")).await;
        browser.send_bytes(&cut.bytes()[..100]).await;
        drop(browser);
        client.expect(&whole).await;
        client.expect(&Frame::browser(TEXT, "the reply")).await;
        let close = close_payload(1011, "upstream connection lost");
        client.expect(&Frame::browser(CLOSE, close)).await;
        client.send(&Frame::client(CLOSE, "")).await;
    };
    let (terminal, report, ()) = play(relay, script).await;
    assert!(terminal.mid_frame, "the browser died inside a frame");
    assert!(!report.client_mid_frame, "a short frame goes out only once it is whole");
    assert_eq!(report.to_client.messages, 2);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_dies_inside_a_frame_that_is_out_ends_the_client_at_once() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let start = Instant::now();
    let script = async {
        browser.send_bytes(&Frame::browser(BINARY, vec![2; 60_000]).bytes()[..30_000]).await;
        settle().await;
        drop(browser);
        assert_eq!(client.rest().await.len(), 30_000);
        assert_eq!(since(start), Duration::ZERO);
        drop(client);
    };
    let ending = async {
        let ending = relay.run().await;
        assert!(ending.terminal().mid_frame);
        assert!(!ending.client_can_be_told());
        ending.close(pending()).await
    };
    let (report, ()) = tokio::join!(ending, script);
    assert!(report.client_mid_frame);
    assert_eq!((report.client_close_sent, report.first_close), (CloseSent::No, None));
    assert_eq!((report.to_client.messages, report.to_client.bytes), (0, 29_996));
    assert_eq!(report.teardown, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_close_fits_between_fragments_of_a_browser_that_died() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let script = async {
        browser.send(&Frame::browser(TEXT, "a").unfinished()).await;
        drop(browser);
        client.expect(&Frame::browser(TEXT, "a").unfinished()).await;
        assert_eq!(client.recv().await.unwrap().opcode, CLOSE);
        client.send(&Frame::client(CLOSE, "")).await;
    };
    let (terminal, report, ()) = play(relay, script).await;
    assert!(!terminal.mid_frame);
    assert_eq!((report.to_client.messages, report.to_client.frames), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_frame_to_a_client_that_closes_is_finished_first() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let frame = Frame::browser(BINARY, vec![1; 50_000]);
    let script = async {
        browser.send_bytes(&frame.bytes()[..20_000]).await;
        settle().await;
        client.send(&Frame::client(CLOSE, "")).await;
        settle().await;
        browser.send_bytes(&frame.bytes()[20_000..]).await;
        browser.send(&Frame::browser(TEXT, "too late")).await;
        client.expect(&frame).await;
        client.expect(&Frame::browser(CLOSE, "")).await;
        assert_eq!(client.recv().await, None);
        browser.expect(&Frame::client(CLOSE, "")).await;
        browser.send(&Frame::browser(CLOSE, "")).await;
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.to_client.messages, 1);
    assert_eq!(report.discarded_after_end, 0, "only the client's messages count");
}

#[tokio::test(start_paused = true)]
async fn messages_of_the_client_after_the_end_are_counted_and_go_nowhere() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let script = async {
        browser.send(&Frame::browser(CLOSE, close_payload(1000, ""))).await;
        client.expect(&Frame::browser(CLOSE, close_payload(1000, ""))).await;
        client.send(&Frame::client(TEXT, "one")).await;
        client.send(&Frame::client(PING, "unanswered")).await;
        client.send(&Frame::client(TEXT, "tw").unfinished()).await;
        client.send(&Frame::client(CONTINUATION, "o")).await;
        client.send(&Frame::client(CLOSE, close_payload(1000, ""))).await;
        assert_eq!(client.recv().await, None);
        browser.expect(&Frame::client(CLOSE, close_payload(1000, ""))).await;
        assert_eq!(browser.recv().await, None);
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.discarded_after_end, 2);
    assert_eq!((report.to_browser.messages, report.pings_answered), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_our_own_frame_that_is_half_written() {
    let (relay, mut client, mut browser) = rig_with(Limits::default(), 100, 64 * 1024);
    let script = async {
        client.send(&Frame::client(PING, vec![1; 80])).await;
        client.send(&Frame::client(PING, vec![2; 80])).await;
        settle().await;
        browser.send(&Frame::browser(CLOSE, "")).await;
        settle().await;
        client.expect(&Frame::browser(PONG, vec![1; 80])).await;
        client.expect(&Frame::browser(PONG, vec![2; 80])).await;
        client.expect(&Frame::browser(CLOSE, "")).await;
        client.send(&Frame::client(CLOSE, "")).await;
        drop(browser);
    };
    play(relay, script).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_while_it_is_told_ends_the_wait() {
    let (relay, mut client, browser) = rig(Limits::default());
    let script = async {
        drop(browser);
        assert_eq!(client.recv().await.unwrap().opcode, CLOSE);
        sleep(SECOND).await;
        drop(client);
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.teardown, SECOND);
    assert_eq!(report.client_close_sent, CloseSent::Code(1011));
}
