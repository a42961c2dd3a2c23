use super::*;
use tokio::sync::mpsc;

fn event(generation: u64) -> DriverEvent {
    DriverEvent::Starting { generation }
}

#[tokio::test]
async fn events_keep_their_order_when_the_sink_is_full() {
    let (sink, mut events) = mpsc::channel(1);
    let mut outbox = Outbox::new(sink);
    for generation in 1..=4 {
        outbox.push(event(generation));
    }
    assert_eq!(outbox.undelivered(), 3);
    let read = async {
        let mut all = Vec::new();
        while all.len() < 4 {
            all.extend(events.recv().await);
        }
        all
    };
    let ((), all) = tokio::join!(outbox.delivered(), read);
    assert_eq!(all, [event(1), event(2), event(3), event(4)]);
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_nothing() {
    let (sink, mut events) = mpsc::channel(1);
    let mut outbox = Outbox::new(sink);
    outbox.push(event(1));
    outbox.push(event(2));
    tokio::select! {
        biased;
        () = outbox.delivered() => panic!("there was no room"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(events.recv().await, Some(event(1)));
    outbox.delivered().await;
    assert_eq!(events.recv().await, Some(event(2)));
}

#[tokio::test]
async fn nobody_listening_is_no_reason_to_wait() {
    let (sink, events) = mpsc::channel(1);
    drop(events);
    let mut outbox = Outbox::new(sink);
    outbox.push(event(1));
    outbox.delivered().await;
    assert_eq!(outbox.undelivered(), 0);
}
