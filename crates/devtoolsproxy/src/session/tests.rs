//! Sessions over in-memory streams in paused time: exact bounds, and every order of events.

mod commands;
mod quiet;
pub(crate) mod stage;

use std::sync::atomic::Ordering;

use eventlog::memory::MemoryStore;
use eventlog::{LogName, LogOptions, Store};
use telemetry::metrics::registry;
use telemetry::{Settings, Telemetry, TelemetryMetrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant as Clock;
use upstream::{Cause, Fact};

use super::*;
use stage::{KILLED, Stage};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_at_once_and_judged_when_the_next_browser_is_ready() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(Some(KILLED));
    assert_eq!(bench.told().await, (1012, Duration::ZERO));
    tokio::time::sleep(7 * SECOND).await;
    bench.ready(2);
    let after = bench.ended().await;
    assert_eq!(stage.verdicts().await, ["upstream_changed/browser_crashed"]);
    assert_eq!(after, 7 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_crash_that_is_known_later_than_its_eof_is_told_when_it_is_known() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(None);
    tokio::time::sleep(65 * MS).await;
    bench.publisher.apply(Fact::Ended { cause: KILLED });
    assert_eq!(bench.told().await, (1012, 65 * MS));
    bench.ready(2);
    bench.ended().await;
    assert_eq!(stage.verdicts().await, ["upstream_changed/browser_crashed"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_next_browser_the_verdict_comes_at_the_end_of_the_window() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(Some(Cause::Exited { code: 1 }));
    assert_eq!(bench.told().await.0, 1012);
    let after = bench.ended().await;
    assert_eq!(stage.verdicts().await, ["upstream_error/browser_crashed"]);
    assert_eq!(after, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn gone_is_told_and_judged_at_once() {
    let stage = Stage::new();
    let mut bench = stage.session(false);
    bench.dies(None);
    bench.publisher.apply(Fact::GaveUp { cause: KILLED });
    assert_eq!(bench.told().await, (1011, Duration::ZERO));
    assert_eq!(bench.ended().await, Duration::ZERO);
    assert_eq!(stage.verdicts().await, ["upstream_error/browser_crashed"]);
}

#[tokio::test(start_paused = true)]
async fn what_no_source_knows_is_told_within_a_second_and_judged_at_the_end() {
    let stage = Stage::new();
    for (restart_expected, code) in [(true, 1012), (false, 1011)] {
        let mut bench = stage.session(restart_expected);
        bench.dies(None);
        // 250 ms to settle, 200 ms until nobody has answered, and what is left of the time in
        // which a client has to be told.
        assert_eq!(bench.told().await, (code, 900 * MS));
        assert_eq!(bench.ended().await, 10 * SECOND);
    }
    assert_eq!(stage.verdicts().await, ["upstream_error/browser_unreachable"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_is_slow_to_exit_is_told_by_its_exit() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(None);
    tokio::time::sleep_until(bench.began + 700 * MS).await;
    bench.publisher.apply(Fact::GaveUp { cause: Cause::Exited { code: 0 } });
    assert_eq!(bench.told().await, (1011, 700 * MS));
    assert_eq!(bench.ended().await, 700 * MS);
    assert_eq!(stage.verdicts().await, ["upstream_error/browser_closed"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_source_that_sees_only_the_restart_says_so_seven_seconds_later() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(None);
    assert_eq!(bench.told().await.0, 1012);
    tokio::time::sleep_until(bench.began + 7 * SECOND).await;
    bench.ready(2);
    assert_eq!(bench.ended().await, 7 * SECOND);
    assert_eq!(stage.verdicts().await, ["upstream_changed/browser_restarted"]);
}

#[tokio::test(start_paused = true)]
async fn a_living_browser_is_told_apart_after_one_question() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.browser = tokio::io::duplex(1).0;
    assert_eq!(bench.told().await, (1011, 450 * MS));
    assert_eq!(bench.ended().await, 450 * MS);
    assert_eq!(stage.verdicts().await, ["upstream_error/upstream_vanished"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_was_asked_for_is_judged_without_waiting() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.publisher.apply(Fact::RestartRequested);
    bench.settle().await;
    bench.dies(Some(Cause::Signalled { signal: 15 }));
    assert_eq!(bench.told().await, (1012, Duration::ZERO));
    assert_eq!(bench.ended().await, Duration::ZERO);
    assert_eq!(stage.verdicts().await, ["upstream_changed/browser_restarted"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_an_open_verdict_at_once_and_what_was_told_stays() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.dies(Some(KILLED));
    assert_eq!(bench.told().await.0, 1012);
    tokio::time::sleep(3 * SECOND).await;
    bench.stop.send_replace(Some(ContextDetail::NodeDrain));
    assert_eq!(bench.ended().await, 3 * SECOND);
    assert_eq!(stage.verdicts().await, ["context_cancelled/node_drain"]);
}

#[tokio::test(start_paused = true)]
async fn two_silent_peers_delay_the_end_by_three_seconds_at_most() {
    let stage = Stage::new();
    let bench = stage.session(true);
    bench.stop.send_replace(Some(ContextDetail::SandboxDeleted));
    // Neither side reads, answers or closes.
    let after = bench.ended().await;
    assert_eq!(stage.verdicts().await, ["context_cancelled/sandbox_deleted"]);
    assert!(after <= 3 * SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_and_a_newer_browser_in_any_order_are_always_a_change() {
    let stage = Stage::new();
    for seed in 0..1000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = stage.session(random.bool());
        let mut steps = vec!["eof", "newer"];
        // A source that can know reports the end as well, at any moment before the next one.
        if random.bool() {
            steps.insert(random.usize(..=1), "ended");
        }
        let newer_first = random.bool() && steps.len() == 2;
        if newer_first {
            steps.reverse();
        }
        for step in steps {
            match step {
                "eof" => bench.dies(None),
                "ended" => drop(bench.publisher.apply(Fact::Ended { cause: KILLED })),
                _ => bench.ready(2),
            }
            match random.u8(..3) {
                0 => {}
                1 => bench.settle().await,
                _ => tokio::time::sleep(random.u32(..3000) * MS).await,
            }
        }
        let (code, _) = bench.told().await;
        assert!([1011, 1012].contains(&code), "seed {seed}: {code}");
        bench.ended().await;
    }
    let seen: std::collections::BTreeSet<_> = stage.verdicts().await.into_iter().collect();
    let want = ["browser_crashed", "browser_restarted", "superseded"];
    assert_eq!(Vec::from_iter(seen), want.map(|detail| format!("upstream_changed/{detail}")));
}

#[tokio::test(start_paused = true)]
async fn a_newer_browser_and_a_stop_together_are_always_the_stop() {
    let stage = Stage::new();
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = stage.session(true);
        let mut steps = [0, 1, 2];
        random.shuffle(&mut steps);
        for step in steps {
            match step {
                0 => bench.ready(2),
                1 => drop(bench.stop.send_replace(Some(ContextDetail::TtlExpired))),
                _ => bench.browser = tokio::io::duplex(1).0,
            }
        }
        let (code, _) = bench.told().await;
        assert_eq!(code, 1001, "seed {seed}");
        bench.ended().await;
    }
    assert_eq!(stage.verdicts().await, ["context_cancelled/ttl_expired"; 300]);
}

#[tokio::test(start_paused = true)]
async fn a_close_and_the_browsers_eof_in_one_poll_are_the_clients_close() {
    let stage = Stage::new();
    for _ in 0..200 {
        let mut bench = stage.session(true);
        // Both are there before the session is polled for the first time.
        bench.client.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 232]).await.unwrap();
        bench.dies(Some(KILLED));
        assert_eq!(bench.ended().await, Duration::ZERO);
    }
    assert_eq!(stage.verdicts().await, ["client_close/client_closed"; 200]);
}

#[tokio::test(start_paused = true)]
async fn every_session_ends_with_exactly_one_disconnect_and_no_subscriber() {
    let stage = Stage::new();
    for seed in 0..10_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = stage.session(random.bool());
        for _ in 0..random.u8(1..4) {
            match random.u8(..7) {
                0 => bench.dies(Some(KILLED)),
                1 => bench.dies(None),
                2 => bench.ready(2),
                3 => drop(bench.stop.send_replace(Some(ContextDetail::ForcedStop))),
                4 => bench.client = tokio::io::duplex(1).0,
                5 => drop(bench.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await),
                _ => drop(bench.publisher.apply(Fact::GaveUp { cause: KILLED })),
            }
            if random.bool() {
                bench.settle().await;
            }
        }
        // Whatever is still open ends here.
        bench.stop.send_replace(Some(ContextDetail::SandboxDeleted));
        let after = bench.ended().await;
        assert!(after <= 4 * SECOND, "seed {seed}: after {after:?}");
    }
    assert_eq!(stage.verdicts().await.len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_task_is_cut_still_has_its_disconnect() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    bench.settle().await;
    bench.task.abort_all();
    while bench.task.join_next().await.is_some() {}
    bench.ended().await;
    assert_eq!(stage.verdicts().await, ["context_cancelled/internal_error"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_relay_ends_its_own_session_with_1011_and_no_other() {
    let stage = Stage::new();
    let mut other = stage.session(true);
    let mut bench = stage.session(true);
    bench.settle().await;
    bench.faulty.store(true, Ordering::Relaxed);
    bench.client.write_all(&[0x81, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(bench.told().await.0, 1011);
    bench.ended().await;
    other.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    other.ended().await;
    let verdicts = stage.verdicts().await;
    assert_eq!(verdicts, ["client_close/client_closed", "context_cancelled/internal_error"]);
}

#[tokio::test(start_paused = true)]
async fn pings_every_twenty_seconds_keep_a_quiet_session_for_as_long_as_one_likes() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    for round in 0..30u8 {
        tokio::time::sleep(20 * SECOND).await;
        let ping = [0x89, 0x81, 0, 0, 0, 0, round];
        bench.client.write_all(&ping).await.unwrap();
        let mut pong = [0; 3];
        let asked = Clock::now();
        bench.client.read_exact(&mut pong).await.unwrap();
        assert_eq!((pong, asked.elapsed()), ([0x8a, 1, round], Duration::ZERO));
    }
    bench.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    bench.ended().await;
    assert_eq!(stage.verdicts().await, ["client_close/client_closed"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_as_without_when_telemetry_takes_nothing() {
    let stage = Stage::new();
    // Its writer is gone: whatever is published now is refused and counted.
    let Stage { edge, telemetry, log, sessions } = stage;
    telemetry.close(SECOND).await;
    let name = LogName::new("unused").unwrap();
    let metrics = TelemetryMetrics::register(&mut registry(), "memory");
    let unused = MemoryStore::default().open(&name, LogOptions::default()).await.unwrap();
    let (_, telemetry) = Telemetry::start(Settings::new("node"), unused, metrics);
    let stage = Stage { edge, telemetry, log, sessions };
    let mut bench = stage.session(true);
    bench.dies(Some(KILLED));
    assert_eq!(bench.told().await, (1012, Duration::ZERO));
    bench.ready(2);
    assert_eq!(bench.ended().await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_takes_little_room() {
    let stage = Stage::new();
    let bench = stage.session(true);
    // The room for its end, some 10 KiB with an HTTP request in it, is taken when the end comes.
    assert!(bench.size <= 1280, "{} bytes", bench.size);
    drop(bench);
}
