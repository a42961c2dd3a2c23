//! Facts of stop orders.

use super::{Stop, StopMode, StopSide, stop_channel};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn stop(by: &'static str, mode: StopMode) -> Stop {
    Stop { side: StopSide::Context, mode, by }
}

#[test]
fn the_first_order_keeps_its_name_and_side_and_only_gets_harder() {
    let (stopper, _token) = stop_channel();
    let now = Instant::now();
    let quiet = |secs| StopMode::Quiet { deadline: now + Duration::from_secs(secs) };
    assert!(stopper.stop(stop("drain", quiet(9))));
    let other = Stop { side: StopSide::Upstream, ..stop("superseded", quiet(5)) };
    assert!(!stopper.clone().stop(other));
    assert_eq!(stopper.current(), Some(stop("drain", quiet(5))));
    for (order, left) in [
        (quiet(7), quiet(5)),
        (StopMode::Soft, StopMode::Soft),
        (quiet(1), StopMode::Soft),
        (StopMode::Hard, StopMode::Hard),
        (StopMode::Soft, StopMode::Hard),
    ] {
        assert!(!stopper.stop(stop("later", order)));
        assert_eq!(stopper.current(), Some(stop("drain", left)));
    }
}

#[test]
fn an_order_wakes_the_task_that_polled_last_and_is_seen_once() {
    let (stopper, mut token) = stop_channel();
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for count in [&first, &second] {
        let waker = Waker::from(Arc::clone(count));
        assert_eq!(token.poll_changed(&Context::from_waker(&waker)), None);
    }
    stopper.stop(stop("drain", StopMode::Soft));
    assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
    let waker = Waker::from(Arc::clone(&second));
    let cx = Context::from_waker(&waker);
    assert_eq!(token.poll_changed(&cx), Some(stop("drain", StopMode::Soft)));
    assert_eq!(token.poll_changed(&cx), None);
    stopper.stop(stop("again", StopMode::Soft));
    assert_eq!(second.0.load(Ordering::SeqCst), 1, "nothing changed, nobody is woken");
    stopper.stop(stop("again", StopMode::Hard));
    assert_eq!(second.0.load(Ordering::SeqCst), 2);
    assert_eq!(token.poll_changed(&cx), Some(stop("drain", StopMode::Hard)));
}

#[test]
fn an_order_given_before_the_first_poll_is_seen() {
    let (stopper, mut token) = stop_channel();
    stopper.stop(stop("early", StopMode::Hard));
    drop(stopper);
    let cx = Context::from_waker(Waker::noop());
    assert_eq!(token.poll_changed(&cx), Some(stop("early", StopMode::Hard)));
}
