//! One session: its log, its writer, and who reads and writes through it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;
use eventlog::{Cursor as LogCursor, Log, ReadError, ReadLimit};
use telemetry::metrics::GaugeGuard;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::bases::{Bases, Seal};
use super::cursor::Cursor;
use super::lane::{Failure, Posted, Refused, Rules, Source};
use super::observe::Teller;
use super::shared::{Mail, Shared, Snapshot, Stall};
use super::tail::Tail;
use super::view::{View, Which};
use super::writer::Command;
use crate::log::Assembler;
use crate::sse::Item;
use crate::{Batch, BoxFuture, Connection, Feed, FeedError, SessionKey, listener};

/// How long a log may take nothing before streams are closed.
const STALLED: Duration = Duration::from_secs(60);

/// How often a stream that waits looks whether the log is stalled.
const LOOK: Duration = Duration::from_secs(5);

/// What is read at once when a log is opened.
const PAGE: ReadLimit = ReadLimit { records: 1_024, bytes: 1 << 20 };

mod open;

pub use open::Setup;

/// A session whose log is open. Clones share everything.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    log: Arc<dyn Log>,
    bases: Arc<Bases>,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
}

/// Where a subscriber begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the first record that is kept.
    First,
    /// With the open run, or else with what comes next.
    Now,
    /// Behind this record.
    After(LogCursor),
    /// With a gap, then the first: what it named is no cursor.
    Unknown,
}

/// The session is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session is closed")]
pub struct Closed;

impl Session {
    /// Which one it is.
    pub fn key(&self) -> &SessionKey {
        &self.shared.key
    }

    /// What it is doing.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// What its listener was doing when it said so last.
    pub fn listener(&self) -> Option<listener::Status> {
        self.shared.listener()
    }

    /// Since when its log takes nothing, and why.
    pub fn stall(&self) -> Option<Stall> {
        self.shared.stall()
    }

    /// Whether a run has finished since this was asked last.
    pub(super) fn take_finished(&self) -> bool {
        self.shared.take_finished()
    }

    /// Its log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// When its newest record was logged, in milliseconds since 1970 UTC; long ago if it has none.
    pub(super) fn last_ms(&self) -> i64 {
        self.shared.last_ms.load(Ordering::Relaxed)
    }

    /// When a run had finished, in milliseconds since 1970 UTC, if that was the last one when the log
    /// was opened; long ago otherwise.
    pub(super) fn finished_ms(&self) -> i64 {
        self.shared.finished_ms.load(Ordering::Relaxed)
    }

    /// Who tells of it.
    pub(super) fn teller(&self) -> &Teller {
        &self.shared.teller
    }

    /// Counts somebody who reads it, for as long as the guard is held.
    pub(crate) fn count_subscriber(&self) -> Option<GaugeGuard> {
        self.shared.teller.subscriber()
    }

    /// What is folded of it.
    pub fn base(&self) -> Option<Arc<Seal>> {
        self.bases.seal()
    }

    /// The end of its log.
    pub fn tail(&self) -> &Arc<Tail> {
        &self.shared.tail
    }

    /// A cursor and a view of it; the bytes, if any, are a gap to be told first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn subscribe(
        &self,
        start: Start,
        which: Which,
    ) -> Result<(Cursor, View, Option<Bytes>), ReadError> {
        let last = self.shared.tail.head().borrow().last;
        let mut view = View::new(which, self.log.epoch().clone());
        let (next, lost) = match start {
            Start::First => (1, None),
            Start::Now => (self.open_run_at(last).await?, None),
            Start::Unknown => (1, Some(view.lost(0, 0, "unknown_cursor"))),
            Start::After(cursor) if cursor.epoch != *self.log.epoch() => {
                (1, Some(view.lost(1, cursor.offset, "epoch_changed")))
            }
            Start::After(cursor) if cursor.offset > last => {
                (1, Some(view.lost(last + 1, cursor.offset, "ahead")))
            }
            Start::After(cursor) => (cursor.offset + 1, None),
        };
        let (log, tail) = (Arc::clone(&self.log), Arc::clone(&self.shared.tail));
        Ok((Cursor::new(log, tail, Arc::clone(&self.bases), next), view, lost))
    }

    /// The last offset of an export: of all there is, or of what no open run has.
    pub(crate) async fn export_until(&self, open: bool) -> Result<u64, ReadError> {
        let last = self.shared.tail.head().borrow().last;
        if open {
            return Ok(last);
        }
        Ok(self.open_run_at(last).await? - 1)
    }

    /// The start of the open run, or the next offset.
    async fn open_run_at(&self, last: u64) -> Result<u64, ReadError> {
        let first = self.log.status().first;
        let Some((run, _)) = self.snapshot().open_run else { return Ok(last + 1) };
        let mut until = last + 1;
        // Backwards in steps: an open run is usually near the end.
        while until > first {
            let from = until.saturating_sub(PAGE.records as u64).max(first);
            let mut found = None;
            let mut at = from;
            while at < until {
                let page = self.log.read_from(at, PAGE).await?;
                at = page.next.max(at + 1);
                for record in page.records.into_iter().filter(|record| record.offset < until) {
                    let stored = Assembler::default().take(record.offset, record.payload);
                    let begins = matches!(&stored, Ok(Some(stored))
                        if stored.envelope.event_type.as_deref() == Some("RUN_STARTED")
                            && stored.envelope.run_id.as_deref() == Some(&run));
                    if begins {
                        found = Some(record.offset);
                    }
                }
            }
            if let Some(found) = found {
                return Ok(found);
            }
            until = from;
        }
        Ok(last + 1)
    }

    /// Takes a posted run. Gives the offset behind which its events come.
    ///
    /// # Errors
    /// `Err(Closed)`, or the lane's refusal inside.
    pub(super) async fn post(
        &self,
        number: u64,
        posted: Posted,
    ) -> Result<Result<u64, Refused>, Closed> {
        self.ask(|reply| Command::Post { number, posted, reply }).await
    }

    /// Logs what a posted run's answer brought.
    pub(super) async fn run_items(&self, number: u64, items: Vec<Item>) -> Result<(), FeedError> {
        self.items(Source::Run(number), items.into(), None).await
    }

    /// Says that the answer to a posted run is over.
    pub(super) async fn run_ended(&self, number: u64, why: Failure) -> Result<(), Closed> {
        self.ask(|reply| Command::Ended { number, why, reply }).await
    }

    /// Logs something that came from no stream.
    ///
    /// # Errors
    /// The session is closed.
    pub async fn note(&self, reason: &'static str, data: Bytes) -> Result<(), Closed> {
        self.ask(|reply| Command::Note { reason, data, reply }).await
    }

    /// Takes other settings.
    pub(super) async fn configure(&self, thread: Option<String>, rules: Rules) {
        // A session that is closed needs none.
        let _ = self.commands.send(Command::Configure { thread, rules }).await;
    }

    /// Ends the open run and the writer; subscribers end behind the last record.
    pub(super) async fn close(&self) {
        let _ = self.ask(|reply| Command::Close { reply }).await;
        self.stop.cancel();
    }

    /// Ends the writer and leaves the open run open: the next start goes on with it.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn add_run(&self, number: u64, cancel: CancellationToken) {
        self.shared.add_run(number, cancel);
    }

    pub(super) fn remove_run(&self, number: u64) {
        self.shared.remove_run(number);
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    async fn items(
        &self,
        from: Source,
        items: VecDeque<Item>,
        resume: Option<ByteString>,
    ) -> Result<(), FeedError> {
        let (reply, mut answer) = oneshot::channel();
        let command = Command::Items { from, items, resume, reply };
        let mut sent = std::pin::pin!(self.commands.send(command));
        let mut handed = false;
        loop {
            tokio::select! {
                biased;
                sent = &mut sent, if !handed => {
                    sent.map_err(|_| FeedError::Closed)?;
                    handed = true;
                }
                answer = &mut answer, if handed => return answer.map_err(|_| FeedError::Closed),
                () = tokio::time::sleep(LOOK) => {
                    let stall = self.stall();
                    let long = |since| now().saturating_duration_since(since) >= STALLED;
                    if stall.is_some_and(|stall| long(stall.since)) {
                        return Err(FeedError::Stalled);
                    }
                }
            }
        }
    }
}

impl Feed for Session {
    fn accept<'a>(&'a self, batch: Batch) -> BoxFuture<'a, Result<(), FeedError>> {
        let from = Source::Listen(batch.connection.generation);
        Box::pin(self.items(from, batch.items.into(), batch.last_event_id))
    }

    fn resume_id(&self) -> Option<ByteString> {
        self.shared.resume()
    }

    fn cut(&self, connection: Connection, _: &listener::Reason) {
        self.shared.send_mail(Mail::Cut(connection.generation));
    }

    fn status(&self, status: &listener::Status) {
        self.shared.set_listener(*status);
        self.shared.teller.listener(status, self.shared.resume().as_ref());
        if matches!(status.state, listener::State::GaveUp(_)) {
            self.shared.send_mail(Mail::Gone(status.generation));
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
