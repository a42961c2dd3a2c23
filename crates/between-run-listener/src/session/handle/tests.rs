use std::sync::Arc;

use eventlog::Store;
use eventlog::memory::MemoryStore;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use super::*;
use crate::session::cursor::Step;
use crate::session::observe::Observe;
use crate::session::pile::Limits;
use crate::sse;

mod folded;
mod told;

/// A store, and sessions of it that are opened one after another.
struct Bench {
    store: Arc<dyn Store>,
    tasks: TaskTracker,
    limits: Limits,
    observe: Observe,
}

impl Bench {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        Self {
            store,
            tasks: TaskTracker::new(),
            limits: Limits::default(),
            observe: Observe::default(),
        }
    }

    async fn open(&self) -> Session {
        let setup = Setup {
            key: SessionKey::new("p", "s").unwrap(),
            store: Arc::clone(&self.store),
            thread: None,
            rules: Rules::default(),
            limits: self.limits,
            finished: Arc::new(Notify::new()),
            folds: Arc::new(Semaphore::new(2)),
            observe: self.observe.clone(),
        };
        Session::open(setup, &self.tasks).await.unwrap()
    }

    async fn close(&self, session: &Session) {
        session.stop();
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

fn batch(events: impl IntoIterator<Item = (u64, serde_json::Value)>) -> Batch {
    let (mut items, mut last) = (Vec::new(), 0);
    for (id, data) in events {
        last = id;
        let (data, id) = (data.to_string().into(), Some(id.to_string().into()));
        items.push(Item::Event(sse::Event { kind: None, data, id }));
    }
    let connection = Connection { generation: 1, number: 1 };
    Batch { connection, items, last_event_id: Some(last.to_string().into()) }
}

fn tick(at: u64) -> (u64, serde_json::Value) {
    (at, json!({ "type": "CUSTOM", "name": "tick", "value": at }))
}

/// The offsets of the next records.
async fn read(cursor: &mut Cursor, count: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        match cursor.next().await.unwrap() {
            Some(Step::Entry(entry)) => offsets.push(entry.offset()),
            Some(Step::Gap(gap)) => panic!("{gap:?}"),
            None => break,
        }
    }
    offsets
}

#[tokio::test(start_paused = true)]
async fn a_cursor_goes_from_stored_to_live_and_misses_nothing_however_slow_it_is() {
    let bench = Bench::new();
    let session = bench.open().await;
    session.accept(batch([tick(1), tick(2)])).await.unwrap();
    let (mut slow, _, _) = session.subscribe(Start::First, Which::Agui).await.unwrap();
    assert_eq!(read(&mut slow, 3).await, [1, 2, 3]);
    let (mut quick, _, _) = session.subscribe(Start::First, Which::Agui).await.unwrap();
    for at in 3..=2_000 {
        session.accept(batch([tick(at)])).await.unwrap();
        if at == 3 {
            assert_eq!(read(&mut quick, 4).await, [1, 2, 3, 4]);
        }
    }
    // Far more than is kept in memory.
    let expected: Vec<u64> = (4..=2_001).collect();
    assert_eq!(read(&mut slow, expected.len()).await, expected);
    assert_eq!(read(&mut quick, expected.len() - 1).await, expected[1..]);
    bench.close(&session).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_while_another_run_is_open_and_a_cancelled_one_leaves_nothing() {
    let bench = Bench::new();
    let session = bench.open().await;
    let input = json!({ "threadId": "t", "runId": "r", "messages": [] });
    let posted = Posted::read(input.as_object().unwrap()).unwrap();
    session.post(7, posted).await.unwrap().unwrap();
    let run = |event: serde_json::Value| {
        let data = event.to_string().into();
        session.run_items(7, vec![Item::Event(sse::Event { kind: None, data, id: None })])
    };
    run(json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "r" })).await.unwrap();
    let own = (1, json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "own" }));
    // A listener that is cancelled while it waits: what it brought is asked for again.
    let waits = session.accept(batch([own.clone()]));
    assert!(tokio::time::timeout(Duration::from_secs(1), waits).await.is_err());
    let mut waits = session.accept(batch([own]));
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut waits).await.is_err());
    assert_eq!(session.resume_id(), None);
    run(json!({ "type": "RUN_FINISHED", "threadId": "t", "runId": "r" })).await.unwrap();
    waits.await.unwrap();
    assert_eq!(session.resume_id().as_deref(), Some("1"));
    let (mut cursor, _, _) = session.subscribe(Start::First, Which::Agui).await.unwrap();
    assert_eq!(read(&mut cursor, 3).await, [1, 2, 3]);
    assert!(cursor.is_at_end());
    bench.close(&session).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_opened_again_goes_on_where_its_log_ends() {
    let bench = Bench::new();
    let session = bench.open().await;
    let started = (4, json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "own" }));
    session.accept(batch([started])).await.unwrap();
    bench.close(&session).await;
    assert_eq!(session.accept(batch([tick(5)])).await, Err(FeedError::Closed));

    let session = bench.open().await;
    assert_eq!(session.resume_id().as_deref(), Some("4"));
    assert_eq!(session.snapshot().thread.as_deref(), Some("t"));
    let (mut now, _, _) = session.subscribe(Start::Now, Which::Agui).await.unwrap();
    session.accept(batch([tick(5)])).await.unwrap();
    assert_eq!(read(&mut now, 2).await, [1, 2], "from the start of the open run");
    let (mut live, _, _) = session.subscribe(Start::First, Which::Agui).await.unwrap();
    // Nobody goes on with the listener's run, so it is idle after a while.
    tokio::time::sleep(Duration::from_secs(16 * 60)).await;
    assert_eq!(read(&mut live, 3).await, [1, 2, 3]);
    assert!(session.snapshot().open_run.is_none());
    session.close().await;
    assert_eq!(read(&mut live, 1).await, [0; 0], "a closed session ends its subscribers");
    bench.close(&session).await;
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_log_or_beyond_the_end_gets_a_gap_and_everything() {
    let bench = Bench::new();
    let session = bench.open().await;
    session.accept(batch([tick(1)])).await.unwrap();
    let epoch = session.log().epoch().clone();
    let other: eventlog::Epoch = "otherone".parse().unwrap();
    for (start, why) in [
        (Start::Unknown, "unknown_cursor"),
        (Start::After(LogCursor { epoch: other, offset: 1 }), "epoch_changed"),
        (Start::After(LogCursor { epoch: epoch.clone(), offset: 9 }), "ahead"),
    ] {
        let (mut cursor, _, lost) = session.subscribe(start, Which::Agui).await.unwrap();
        let told = String::from_utf8(lost.unwrap().to_vec()).unwrap();
        assert!(told.contains(why), "{told}");
        assert_eq!(read(&mut cursor, 2).await, [1, 2]);
    }
    let start = Start::After(LogCursor { epoch, offset: 1 });
    let (mut cursor, _, lost) = session.subscribe(start, Which::Agui).await.unwrap();
    assert_eq!((read(&mut cursor, 1).await, lost), (vec![2], None));
    bench.close(&session).await;
}
