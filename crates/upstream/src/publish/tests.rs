use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Applied, Publisher, WaitReady};
use crate::counts::UrlRefusal;
use crate::probe::Verify;
use crate::state::{Cause, Fact, Phase};
use crate::testing::{Place, World, url};

const CRASH: Cause = Cause::Exited { code: 1 };

fn ready(id: &str) -> Fact {
    Fact::Ready { url: url(9222, id) }
}

/// Polls once, by hand.
async fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    let mut future = future;
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test]
async fn a_subscriber_sees_the_present_state_at_once() {
    let publisher = Publisher::new(false);
    publisher.apply(ready("a"));
    let mut changes = publisher.upstream().changes();
    let state = timeout(Duration::from_secs(1), changes.changed()).await.unwrap();
    assert_eq!((state.generation, state.phase), (1, Phase::Ready));
}

#[tokio::test]
async fn an_update_between_reading_and_waiting_ends_the_wait() {
    let publisher = Publisher::new(false);
    let mut changes = publisher.upstream().changes();
    for n in 1..=1000 {
        let seen = changes.current();
        publisher.apply(ready(&n.to_string()));
        let mut wait = Box::pin(changes.changed());
        match poll_once(wait.as_mut()).await {
            Poll::Ready(state) => assert_eq!(state.generation, seen.generation + 1),
            Poll::Pending => panic!("update {n} was missed"),
        }
        // A task that never pauses is made to wait by its runtime, which is not meant here.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let publisher = Publisher::new(false);
    let mut changes = publisher.upstream().changes();
    changes.current();
    {
        let mut wait = Box::pin(changes.changed());
        assert!(poll_once(wait.as_mut()).await.is_pending());
        publisher.apply(ready("a"));
    }
    let mut wait = Box::pin(changes.changed());
    assert!(poll_once(wait.as_mut()).await.is_ready());
}

#[tokio::test]
async fn a_state_that_is_equal_wakes_nobody() {
    let publisher = Publisher::new(false);
    publisher.apply(ready("a"));
    let mut changes = publisher.upstream().changes();
    changes.current();
    assert_eq!(publisher.apply(ready("a")), Applied::Unchanged);
    assert_eq!(publisher.apply(Fact::Alive), Applied::Unchanged);
    assert!(matches!(publisher.apply(Fact::Starting), Applied::Refused(_)));
    let mut wait = Box::pin(changes.changed());
    assert!(poll_once(wait.as_mut()).await.is_pending());
    let counts = publisher.upstream().counts();
    assert_eq!((counts.published, counts.refused_steps), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_is_never_newer_than_what_can_be_read() {
    let publisher = Publisher::new(false);
    let upstream = publisher.upstream();
    let reader = std::thread::spawn(move || {
        let mut changes = upstream.changes();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut seen = 0;
            loop {
                let notice = changes.changed().await;
                let read = upstream.current();
                assert!(read.generation >= notice.generation, "{read:?} after {notice:?}");
                assert!(notice.generation >= seen);
                seen = notice.generation;
                if notice.is_gone() {
                    return seen;
                }
            }
        })
    });
    for n in 0..5000 {
        publisher.apply(ready(&n.to_string()));
    }
    publisher.apply(Fact::GaveUp { cause: CRASH });
    assert_eq!(reader.join().unwrap(), 5000);
}

#[tokio::test]
async fn dropping_the_publisher_tells_every_reader_that_it_is_gone() {
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    let mut changes = upstream.changes();
    publisher.apply(ready("a"));
    publisher.apply(Fact::Ended { cause: CRASH });
    changes.current();
    drop(publisher);
    assert_eq!(changes.changed().await.phase, Phase::Gone { cause: CRASH });
    // Nothing can follow, with or without handles that are left.
    let mut wait = Box::pin(changes.changed());
    assert!(poll_once(wait.as_mut()).await.is_pending());
    drop(upstream);
    assert!(poll_once(wait.as_mut()).await.is_pending());
}

#[tokio::test]
async fn a_drop_after_giving_up_is_no_refused_step() {
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    publisher.apply(Fact::GaveUp { cause: CRASH });
    drop(publisher);
    assert_eq!(upstream.current().phase, Phase::Gone { cause: CRASH });
    assert_eq!(upstream.counts().refused_steps, 0);
}

#[tokio::test(start_paused = true)]
async fn ready_and_gone_end_a_wait_at_once_even_past_its_deadline() {
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    let past = Instant::now();
    tokio::time::advance(Duration::from_secs(1)).await;
    publisher.apply(ready("a"));
    let found = upstream.wait_ready(past).await;
    assert_eq!(found, WaitReady::Ready { generation: 1, url: url(9222, "a") });
    publisher.apply(Fact::GaveUp { cause: CRASH });
    assert_eq!(upstream.wait_ready(past).await, WaitReady::Gone { cause: CRASH });
    assert_eq!(Instant::now() - past, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline_and_says_what_it_waited_for() {
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    let start = Instant::now();
    let deadline = start + Duration::from_secs(10);
    let found = upstream.wait_ready(deadline).await;
    assert_eq!(found, WaitReady::TimedOut { phase: Phase::Starting });
    assert_eq!(Instant::now(), deadline);
}

#[tokio::test(start_paused = true)]
async fn a_wait_goes_on_through_other_phases_until_ready() {
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    publisher.apply(ready("a"));
    publisher.apply(Fact::Ended { cause: CRASH });
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut wait = Box::pin(upstream.wait_ready(deadline));
    assert!(poll_once(wait.as_mut()).await.is_pending());
    publisher.apply(Fact::Starting);
    assert!(poll_once(wait.as_mut()).await.is_pending());
    assert_eq!(upstream.subscribers(), 1);
    publisher.apply(ready("b"));
    match poll_once(wait.as_mut()).await {
        Poll::Ready(found) => {
            assert_eq!(found, WaitReady::Ready { generation: 2, url: url(9222, "b") });
        }
        Poll::Pending => panic!("the next instance is ready"),
    }
}

#[tokio::test]
async fn a_cancelled_wait_leaves_no_subscriber() {
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    let mut wait = Box::pin(upstream.wait_ready(Instant::now() + Duration::from_secs(10)));
    assert!(poll_once(wait.as_mut()).await.is_pending());
    assert_eq!(upstream.subscribers(), 1);
    drop(wait);
    assert_eq!(upstream.subscribers(), 0);
}

#[tokio::test]
async fn a_fact_about_a_state_that_has_passed_is_not_applied() {
    let publisher = Publisher::new(true);
    publisher.apply(ready("a"));
    let seen = publisher.current();
    publisher.apply(ready("b"));
    let late = Fact::Ended { cause: Cause::UnknownExit };
    assert_eq!(publisher.apply_if(&seen, late.clone()), Applied::Stale);
    assert_eq!(publisher.current().phase, Phase::Ready);
    let seen = publisher.current();
    assert_eq!(publisher.apply_if(&seen, late), Applied::Published);
    assert_eq!(publisher.upstream().counts().refused_steps, 0);
}

#[tokio::test]
async fn many_hints_are_one_and_none_is_lost_while_nobody_waits() {
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    let mut hints = publisher.hints();
    for _ in 0..100 {
        upstream.hint();
    }
    let mut wait = Box::pin(hints.hinted());
    assert!(poll_once(wait.as_mut()).await.is_ready());
    drop(wait);
    let mut wait = Box::pin(hints.hinted());
    assert!(poll_once(wait.as_mut()).await.is_pending());
    upstream.hint();
    assert!(poll_once(wait.as_mut()).await.is_ready());
}

#[tokio::test(start_paused = true)]
async fn verify_tells_the_same_instance_from_another() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    assert_eq!(upstream.verify(0).await, Verify::NoAnswer, "there is nobody to ask");
    assert_eq!(world.questions(), 0);

    publisher.apply(ready("a"));
    world.browser(9222, "a");
    assert_eq!(upstream.verify(1).await, Verify::SameAlive);
    publisher.apply(Fact::Ended { cause: Cause::UnknownExit });
    assert_eq!(upstream.verify(1).await, Verify::SameAlive, "its address is still known");
    world.browser(9222, "b");
    assert_eq!(upstream.verify(1).await, Verify::OtherAlive { url: url(9222, "b") });
    world.browser(9222, "not/an/id");
    assert_eq!(upstream.verify(1).await, Verify::Refused);
    world.nothing(9222);
    assert_eq!(upstream.verify(1).await, Verify::Refused);
    world.set(9222, Place::Silent);
    assert_eq!(upstream.verify(1).await, Verify::NoAnswer);

    // An older instance is not the one that answers, whatever its id.
    publisher.apply(ready("b"));
    world.browser(9222, "b");
    assert_eq!(upstream.verify(2).await, Verify::SameAlive);
    assert_eq!(upstream.verify(1).await, Verify::OtherAlive { url: url(9222, "b") });
}

#[tokio::test]
async fn whether_a_restart_is_expected_can_change() {
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    assert!(upstream.restart_expected());
    publisher.set_restart_expected(false);
    assert!(!upstream.restart_expected());
}

#[test]
fn handles_can_go_to_any_thread() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Publisher>();
    check::<Arc<Publisher>>();
    check::<super::Upstream>();
    check::<super::Changes>();
}

#[tokio::test(start_paused = true)]
async fn refused_addresses_are_all_counted_and_logged_once_a_minute() {
    let publisher = Publisher::new(true);
    let mut logged = Vec::new();
    let start = Instant::now();
    for second in 0..150 {
        publisher.refused_url(UrlRefusal::NoAnswer, "host", 2);
        let now = start + Duration::from_secs(60 + second);
        if publisher.shared.may_log_refusal(now) {
            logged.push(second);
        }
    }
    assert_eq!(logged, [0, 60, 120], "the first call has logged at the start");
    assert_eq!(publisher.upstream().counts().refused_urls.no_answer, 300);
}
