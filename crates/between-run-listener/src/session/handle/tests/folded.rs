//! Closed runs are folded; whoever reads the session reads the same.

use std::sync::atomic::{AtomicU64, Ordering};

use eventlog::{
    AppendError, Appended, Epoch, Head, Log, LogName, LogOptions, OpenError, Page, ReadLimit,
    Status, StoreError,
};
use tokio::sync::watch;

use super::*;
use crate::log::{Kind, Stored};
use crate::session::fold::Fold;
use crate::session::settings::Snapshots;

/// Everything but the newest four runs is folded at once.
const AT_ONCE: Limits = Limits { bytes: 1, records: 1, most: 256 << 20 };

/// Runs of the runner, by number, each with a message and a piece of state.
async fn runs(session: &Session, numbers: std::ops::Range<u64>) {
    for at in numbers {
        let (run, id) = (format!("r{at}"), format!("m{at}"));
        let patch = json!([{ "op": "add", "path": format!("/{run}"), "value": at }]);
        let events = [
            json!({ "type": "RUN_STARTED", "threadId": "t", "runId": run }),
            json!({ "type": "TEXT_MESSAGE_START", "messageId": id }),
            json!({ "type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": "hello" }),
            json!({ "type": "TEXT_MESSAGE_END", "messageId": id }),
            json!({ "type": "STATE_DELTA", "delta": patch }),
            json!({ "type": "RUN_FINISHED", "threadId": "t", "runId": run }),
        ];
        session.accept(batch((at * 10..).zip(events))).await.unwrap();
    }
}

/// A session with so many runs, opened again so that all but the newest four are folded.
async fn folding(bench: &mut Bench, count: u64) -> Session {
    let session = bench.open().await;
    runs(&session, 0..count).await;
    bench.close(&session).await;
    bench.limits = AT_ONCE;
    bench.open().await
}

async fn until(what: &str, session: &Session, done: impl Fn(&Session) -> bool) {
    for _ in 0..20_000 {
        if done(session) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never {what}: {:?} {:?}", session.base(), session.log().status());
}

/// All that a cursor gives up to the end: the entries, and the gaps in words.
async fn all(
    session: &Session,
    start: Start,
) -> (Vec<Arc<crate::session::tail::Entry>>, Vec<String>) {
    let (mut cursor, _, _) = session.subscribe(start, Which::Agui).await.unwrap();
    let (mut entries, mut gaps) = (Vec::new(), Vec::new());
    while !cursor.is_at_end() {
        match cursor.next().await.unwrap() {
            Some(Step::Entry(entry)) => entries.push(entry),
            Some(Step::Gap(gap)) => gaps.push(format!("{}..{} {}", gap.from, gap.to, gap.why)),
            None => break,
        }
    }
    (entries, gaps)
}

/// What a client has that has read everything.
async fn outcome(session: &Session) -> Fold {
    let mut fold = Fold::new("s");
    for entry in all(session, Start::First).await.0 {
        fold.take(&Stored { offset: entry.offset(), ..entry.stored.clone() });
    }
    fold
}

#[tokio::test(start_paused = true)]
async fn folded_runs_are_shown_as_one_and_a_restart_reads_only_what_is_behind_them() {
    let mut bench = Bench::new();
    let session = folding(&mut bench, 9).await;
    until("folded", &session, |s| s.base().is_some_and(|base| base.covers == 30)).await;
    until("dropped", &session, |s| s.log().status().first == 31).await;
    let before = outcome(&session).await;
    assert_eq!(before.messages().as_array().map(Vec::len), Some(9));

    let (entries, gaps) = all(&session, Start::First).await;
    assert_eq!(gaps, [""; 0]);
    let ids = entries.iter().take_while(|entry| entry.folded);
    let ids: Vec<bool> = ids.map(|entry| entry.frame.starts_with(b"id: ")).collect();
    assert_eq!(ids, [false, false, false, true], "only its end can be gone on behind");
    assert_eq!(entries[4].offset(), 31);

    let epoch = session.log().epoch().clone();
    let behind = |offset| Start::After(LogCursor { epoch: epoch.clone(), offset });
    let (entries, gaps) = all(&session, behind(7)).await;
    assert_eq!(gaps, ["8..30 compacted"]);
    assert_eq!(entries[0].stored.envelope.event_type.as_deref(), Some("RUN_STARTED"));
    assert!(entries[0].folded);
    let (entries, gaps) = all(&session, behind(30)).await;
    assert_eq!((entries[0].offset(), gaps.len()), (31, 0));

    let was = session.snapshot();
    bench.close(&session).await;
    let session = bench.open().await;
    let is = session.snapshot();
    assert_eq!((is.agent, is.thread.as_deref()), (was.agent, Some("t")));
    assert_eq!(session.resume_id().as_deref(), Some("85"));
    assert!(outcome(&session).await.same_outcome(&before));
    // A run that was folded is still known.
    let input = json!({ "threadId": "t", "runId": "r0", "messages": [] });
    let posted = Posted::read(input.as_object().unwrap()).unwrap();
    assert_eq!(session.post(1, posted).await, Ok(Err(Refused::Exists)));
    bench.close(&session).await;
}

#[tokio::test(start_paused = true)]
async fn a_fold_leaves_an_open_run_alone_and_says_that_it_was() {
    let mut bench = Bench::new();
    let session = folding(&mut bench, 5).await;
    let open = (90, json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "open" }));
    session.accept(batch([open])).await.unwrap();
    until("folded", &session, |s| s.base().is_some()).await;
    let kept = |entry: &crate::session::tail::Entry| entry.stored.envelope.reason.clone();
    let at = Instant::now();
    let (entries, _) = loop {
        let read = all(&session, Start::First).await;
        if read.0.iter().any(|entry| kept(entry).as_deref() == Some("fold")) {
            break read;
        }
        assert!(at.elapsed() < Duration::from_secs(20), "no note of the fold");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let opened = entries.iter().filter(|e| e.stored.envelope.run_id.as_deref() == Some("open"));
    assert_eq!(opened.count(), 1);
    assert_eq!(session.snapshot().open_run.map(|(run, _)| run).as_deref(), Some("open"));
    bench.close(&session).await;
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_is_overtaken_by_a_fold_goes_on_with_a_gap_and_the_base() {
    let limits = Limits { records: 1_002, ..Limits::default() };
    let bench = Bench { limits, ..Bench::new() };
    let session = bench.open().await;
    runs(&session, 0..170).await;
    let (mut cursor, _, _) = session.subscribe(Start::First, Which::Agui).await.unwrap();
    // More than memory holds, and more than is read from the log at once.
    assert_eq!(read(&mut cursor, 512).await.last(), Some(&512));
    runs(&session, 170..171).await;
    until("dropped", &session, |s| s.log().status().first == 1_003).await;
    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(match cursor.next().await.unwrap().unwrap() {
            Step::Entry(entry) if entry.folded => format!("{} folded", entry.offset()),
            Step::Entry(entry) => entry.offset().to_string(),
            Step::Gap(gap) => format!("{}..{} {}", gap.from, gap.to, gap.why),
        });
    }
    let base = ["1002 folded"; 4];
    assert_eq!(told[0], "513..1002 compacted");
    assert_eq!(told[1..5], base);
    assert_eq!(told[5], "1003");
    bench.close(&session).await;
}

#[tokio::test(start_paused = true)]
async fn snapshots_of_single_runs_are_completed_behind_a_base_too() {
    let mut bench = Bench::new();
    let session = folding(&mut bench, 9).await;
    until("dropped", &session, |s| s.log().status().first == 31).await;
    let rules = Rules { snapshots: Snapshots::Increment, ..Rules::default() };
    session.configure(None, rules).await;
    let own = json!([{ "id": "own", "role": "user", "content": "x" }]);
    let events = [
        (200, json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "last" })),
        (201, json!({ "type": "MESSAGES_SNAPSHOT", "messages": own })),
        (202, json!({ "type": "RUN_FINISHED", "threadId": "t", "runId": "last" })),
    ];
    session.accept(batch(events)).await.unwrap();
    let messages = outcome(&session).await.messages();
    assert_eq!(messages.as_array().map(Vec::len), Some(10), "{messages}");
    bench.close(&session).await;
}

/// A store that answers no more from some operation on: a process that died there.
struct Dying {
    inner: Arc<dyn Store>,
    left: Arc<AtomicU64>,
}

impl Dying {
    async fn step(left: &AtomicU64) {
        let before =
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if before.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Store for Dying {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    fn open<'a>(
        &'a self,
        name: &'a LogName,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<Arc<dyn Log>, OpenError>> {
        Box::pin(async move {
            let inner = self.inner.open(name, options).await?;
            // Only what a fold does counts: all about bases, and what drops records.
            let bases = name.as_str().starts_with("bases");
            let left = Arc::clone(&self.left);
            Ok(Arc::new(DyingLog { inner, left, bases }) as Arc<dyn Log>)
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LogName>, StoreError>> {
        self.inner.list()
    }

    fn delete<'a>(&'a self, name: &'a LogName) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.delete(name)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}

struct DyingLog {
    inner: Arc<dyn Log>,
    left: Arc<AtomicU64>,
    bases: bool,
}

impl Log for DyingLog {
    fn name(&self) -> &LogName {
        self.inner.name()
    }
    fn epoch(&self) -> &Epoch {
        self.inner.epoch()
    }
    fn max_batch(&self) -> usize {
        self.inner.max_batch()
    }
    fn append(&self, batch: eventlog::Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            if self.bases {
                Dying::step(&self.left).await;
            }
            let appended = self.inner.append(batch).await;
            if self.bases {
                // It may also die when the append is done.
                Dying::step(&self.left).await;
            }
            appended
        })
    }
    fn read_from(&self, offset: u64, limit: ReadLimit) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            if self.bases {
                Dying::step(&self.left).await;
            }
            self.inner.read_from(offset, limit).await
        })
    }
    fn head(&self) -> watch::Receiver<Head> {
        self.inner.head()
    }
    fn trim(&self, before: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            Dying::step(&self.left).await;
            let trimmed = self.inner.trim(before).await;
            Dying::step(&self.left).await;
            trimmed
        })
    }
    fn status(&self) -> Status {
        self.inner.status()
    }
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_step_of_a_fold_leaves_the_old_view_or_the_new_one() {
    // The second fold has an older base to go on from and to drop.
    for first in [false, true] {
        let mut died = 0;
        for step in 0.. {
            let left = Arc::new(AtomicU64::new(u64::MAX));
            let inner: Arc<dyn Store> = Arc::new(MemoryStore::default());
            let dying = Dying { inner: Arc::clone(&inner), left: Arc::clone(&left) };
            let mut bench = Bench { store: Arc::new(dying), limits: AT_ONCE, ..Bench::new() };
            let mut covers = 0;
            if !first {
                let session = bench.open().await;
                runs(&session, 0..6).await;
                until("dropped", &session, |s| s.log().status().first == 13).await;
                covers = session.base().unwrap().covers;
                bench.close(&session).await;
            }
            bench.limits = Limits::default();
            let session = bench.open().await;
            runs(&session, 6..12).await;
            let before = outcome(&session).await;
            bench.close(&session).await;

            bench.limits = AT_ONCE;
            let session = bench.open().await;
            left.store(step, Ordering::SeqCst);
            let goal = if first { 13 } else { 14 };
            let done = |s: &Session| s.log().status().first >= goal;
            until("died or done", &session, |s| left.load(Ordering::SeqCst) == 0 || done(s)).await;
            let finished = left.load(Ordering::SeqCst) > 0;
            died += usize::from(!finished);
            session.stop();
            left.store(0, Ordering::SeqCst);
            drop(session);
            bench.tasks.close();

            let bench = Bench { store: inner, limits: Limits::default(), ..Bench::new() };
            let session = bench.open().await;
            assert!(outcome(&session).await.same_outcome(&before), "died at step {step}");
            let (entries, gaps) = all(&session, Start::First).await;
            assert_eq!(gaps, [""; 0], "step {step}");
            let shown: Vec<u64> =
                entries.iter().filter(|e| !e.folded).map(|e| e.offset()).collect();
            let base = session.base().map_or(0, |base| base.covers);
            assert!(base >= covers, "step {step}");
            assert_eq!(
                shown.first(),
                Some(&(base + 1)),
                "step {step}: nothing twice, nothing missing"
            );
            assert!(entries.iter().all(|entry| entry.stored.envelope.kind != Kind::Part));
            // And the next fold goes through.
            bench.close(&session).await;
            let bench = Bench { limits: AT_ONCE, ..bench };
            let session = bench.open().await;
            until("folded after all", &session, done).await;
            assert!(outcome(&session).await.same_outcome(&before), "after step {step}");
            bench.close(&session).await;
            if finished {
                break;
            }
        }
        assert!(died >= 8, "it died at {died} steps only");
    }
}
