//! What a session's writer and everybody else share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytestring::ByteString;
use eventlog::AppendError;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::lane::{Began, Counts, Lane};
use super::observe::Teller;
use super::status::{Agent, LastError};
use super::tail::Tail;
use crate::SessionKey;
use crate::listener;

/// Most messages from the listener that wait for the writer. Older ones say no more than newer
/// ones, so they are dropped first.
const MAIL: usize = 64;

/// What the listener tells without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mail {
    /// A connection has ended.
    Cut(u64),
    /// The listener has given up.
    Gone(u64),
}

/// What the session is doing, as of the last append.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What the agent is doing.
    pub agent: Agent,
    /// The error of its last run.
    pub last_error: Option<LastError>,
    /// The session's thread.
    pub thread: Option<String>,
    /// The open run and who began it.
    pub open_run: Option<(String, Began)>,
    /// Streams that wait for the lane.
    pub held: usize,
    /// What has been counted since the daemon started.
    pub counts: Counts,
}

/// A log that takes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// Since when.
    pub since: Instant,
    /// What it said last.
    pub why: AppendError,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) key: SessionKey,
    pub(super) tail: Arc<Tail>,
    pub(super) teller: Arc<Teller>,
    mail: Mutex<VecDeque<Mail>>,
    came: Notify,
    board: Mutex<Board>,
    /// When the newest record was logged, in milliseconds since 1970 UTC.
    pub(super) last_ms: AtomicI64,
    /// When a run had finished that was the last one when the log was opened.
    pub(super) finished_ms: AtomicI64,
}

#[derive(Debug, Default)]
struct Board {
    snapshot: Snapshot,
    resume: Option<ByteString>,
    stalled: Option<Stall>,
    listener: Option<listener::Status>,
    runs: BTreeMap<u64, CancellationToken>,
    finished: bool,
}

impl Shared {
    pub(super) fn new(
        key: SessionKey,
        tail: Arc<Tail>,
        teller: Arc<Teller>,
        resume: Option<ByteString>,
    ) -> Self {
        let board = Board { resume, ..Board::default() };
        let (last_ms, finished_ms) = (AtomicI64::new(i64::MIN), AtomicI64::new(i64::MIN));
        Self {
            key,
            tail,
            teller,
            mail: Mutex::default(),
            came: Notify::new(),
            board: board.into(),
            last_ms,
            finished_ms,
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send_mail(&self, mail: Mail) {
        let mut waiting = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAIL {
            waiting.pop_front();
        }
        waiting.push_back(mail);
        drop(waiting);
        self.came.notify_one();
    }

    pub(super) async fn mail_came(&self) {
        self.came.notified().await;
    }

    pub(super) fn take_mail(&self) -> VecDeque<Mail> {
        std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn publish(&self, lane: &Lane, held: usize) {
        let snapshot = Snapshot {
            agent: lane.status().agent(),
            last_error: lane.status().last_error().cloned(),
            thread: lane.thread().map(str::to_owned),
            open_run: lane.open_run().map(|(run, began)| (run.to_owned(), began)),
            held,
            counts: lane.counts().clone(),
        };
        self.board().snapshot = snapshot;
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.board().snapshot.clone()
    }

    pub(super) fn set_resume(&self, resume: Option<ByteString>) {
        self.board().resume = resume;
    }

    pub(super) fn resume(&self) -> Option<ByteString> {
        self.board().resume.clone()
    }

    /// The log takes nothing now, for this reason. Of several moments the first counts.
    pub(super) fn stalled(&self, now: Instant, why: AppendError) {
        let mut board = self.board();
        let since = board.stalled.as_ref().map_or(now, |stall| stall.since);
        board.stalled = Some(Stall { since, why });
    }

    /// The log takes records.
    pub(super) fn flows(&self) {
        self.board().stalled = None;
    }

    pub(super) fn stall(&self) -> Option<Stall> {
        self.board().stalled.clone()
    }

    pub(super) fn set_listener(&self, status: listener::Status) {
        self.board().listener = Some(status);
    }

    pub(super) fn listener(&self) -> Option<listener::Status> {
        self.board().listener
    }

    pub(super) fn set_finished(&self) {
        self.board().finished = true;
    }

    pub(super) fn take_finished(&self) -> bool {
        std::mem::take(&mut self.board().finished)
    }

    /// A posted run that is to be read until this token is cancelled.
    pub(super) fn add_run(&self, number: u64, cancel: CancellationToken) {
        self.board().runs.insert(number, cancel);
    }

    pub(super) fn remove_run(&self, number: u64) {
        self.board().runs.remove(&number);
    }

    pub(super) fn cancel_run(&self, number: u64) {
        if let Some(cancel) = self.board().runs.get(&number) {
            cancel.cancel();
        }
    }
}
