//! The one task that writes a session's log.
//!
//! Streams hand it what they read and wait until the log has it. What cannot be logged because
//! another run is open waits here, one batch a stream; its stream is not read meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use bytestring::ByteString;
use eventlog::{AppendError, Batch, DedupeId, Log, NewRecord, Retry, micros};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::lane::{Draft, Failure, Lane, Posted, Refused, Rules, Source, Taken};
use super::shared::{Mail, Shared};
use crate::log::{Envelope, Kind, Origin, Stored, encode};
use crate::sse::Item;

/// Most commands that wait; senders wait outside.
pub(super) const COMMANDS: usize = 64;

/// Most records and bytes in one append.
const GROUP: (usize, usize) = (512, 1 << 20);

/// The first and the longest pause before an append is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What the writer is asked.
pub(super) enum Command {
    /// Items of a stream, and the id to go on from behind them. Answered when they are logged.
    Items {
        from: Source,
        items: VecDeque<Item>,
        resume: Option<ByteString>,
        reply: oneshot::Sender<()>,
    },
    /// The answer to a posted run is over. Answered when that is logged.
    Ended { number: u64, why: Failure, reply: oneshot::Sender<()> },
    /// A posted run. Answered with the log's last offset, behind the run's input.
    Post { number: u64, posted: Posted, reply: oneshot::Sender<Result<u64, Refused>> },
    /// Something to remember. Answered when it is logged.
    Note { reason: &'static str, data: Bytes, reply: oneshot::Sender<()> },
    /// Other settings.
    Configure { thread: Option<String>, rules: Rules },
    /// The session is deleted. Answered when its run is closed.
    Close { reply: oneshot::Sender<()> },
}

mod folds;
mod meter;

pub(super) use folds::Folds;
pub(super) use meter::Meter;

/// Who hears that what was drafted is in the log.
enum Reply {
    Done(oneshot::Sender<()>),
    Posted(oneshot::Sender<Result<u64, Refused>>),
}

/// What waits for the lane.
enum Parked {
    Items {
        from: Source,
        items: VecDeque<Item>,
        resume: Option<ByteString>,
        reply: oneshot::Sender<()>,
    },
    Ended {
        number: u64,
        why: Failure,
        reply: oneshot::Sender<()>,
    },
}

/// The writer.
pub(super) struct Writer {
    pub(super) lane: Lane,
    pub(super) log: Arc<dyn Log>,
    pub(super) shared: Arc<Shared>,
    /// Ends it; what was handed in before is not waited for.
    pub(super) stop: CancellationToken,
    /// Told of each run that has finished without an error.
    pub(super) finished: Arc<Notify>,
    pub(super) parked: Waiting,
    pub(super) folds: Folds,
    pub(super) meter: Meter,
}

/// Streams that wait for the lane, in the order in which they came.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<Parked>);

/// The log takes nothing any more, or the writer was told to end.
struct Stopped;

impl Writer {
    /// Writes until it is told to stop, the session is deleted, or the log takes nothing any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, drafts: Vec<Draft>) {
        let written = self.write(drafts, Vec::new(), None).await;
        if written.is_ok() {
            self.serve(&mut commands).await;
        }
        self.folds.end().await;
        self.shared.tail.close();
    }

    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) {
        loop {
            self.remember().await;
            self.publish();
            let deadline = self.lane.deadline(!self.parked.0.is_empty());
            let deadline = deadline.into_iter().chain(self.meter.deadline()).min();
            let (mut drafts, mut replies, mut resume) = (Vec::new(), Vec::new(), None);
            let mut over = false;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                command = commands.recv() => {
                    let Some(command) = command else { return };
                    over = self.handle(command, &mut drafts, &mut replies, &mut resume);
                }
                done = self.folds.done() => self.folded(done, &mut drafts),
                () = self.shared.mail_came() => {}
                () = until(deadline) => {}
            }
            // Whatever else is there goes into the same append.
            while !over
                && !self.lane.wants_conversation()
                && drafts.len() < GROUP.0
                && let Ok(command) = commands.try_recv()
            {
                over = self.handle(command, &mut drafts, &mut replies, &mut resume);
            }
            self.read_mail(&mut drafts);
            self.meter.passed();
            if self.folds.is_full()
                && let Some(run) = self.lane.full(&mut drafts)
            {
                self.shared.cancel_run(run);
            }
            let waiting = !self.parked.0.is_empty();
            if let Some(run) = self.lane.timer(waiting, now(), &mut drafts) {
                self.shared.cancel_run(run);
            }
            self.retry(&mut drafts, &mut replies, &mut resume);
            if over {
                // Whoever deletes the session deletes its base next.
                self.folds.end().await;
            }
            if self.write(drafts, replies, resume).await.is_err() || over {
                return;
            }
        }
    }

    /// Says whether it was the last one.
    fn handle(
        &mut self,
        command: Command,
        drafts: &mut Vec<Draft>,
        replies: &mut Vec<Reply>,
        resume: &mut Option<Option<ByteString>>,
    ) -> bool {
        match command {
            Command::Items { from, items, resume: id, reply } => {
                self.items(from, items, id, reply, drafts, replies, resume);
            }
            Command::Ended { number, why, reply } => {
                self.ended(number, why, reply, drafts, replies)
            }
            Command::Post { number, posted, reply } => {
                match self.lane.post(number, posted, drafts) {
                    Ok(()) => replies.push(Reply::Posted(reply)),
                    Err(refused) => drop(reply.send(Err(refused))),
                }
            }
            Command::Note { reason, data, reply } => {
                let envelope = Envelope {
                    reason: Some(reason.to_owned()),
                    ..Envelope::new(Kind::Note, Origin::Gateway)
                };
                drafts.push(Draft { envelope, data });
                replies.push(Reply::Done(reply));
            }
            Command::Configure { thread, rules } => self.lane.configure(thread, rules),
            Command::Close { reply } => {
                self.lane.close(drafts);
                replies.push(Reply::Done(reply));
                return true;
            }
        }
        false
    }

    #[expect(clippy::too_many_arguments, reason = "what a stream hands over, and where it goes")]
    fn items(
        &mut self,
        from: Source,
        mut items: VecDeque<Item>,
        id: Option<ByteString>,
        reply: oneshot::Sender<()>,
        drafts: &mut Vec<Draft>,
        replies: &mut Vec<Reply>,
        resume: &mut Option<Option<ByteString>>,
    ) {
        while let Some(item) = items.front() {
            if self.lane.take(from, item, now(), drafts) == Taken::Wait {
                self.parked.0.push_back(Parked::Items { from, items, resume: id, reply });
                return;
            }
            items.pop_front();
        }
        if matches!(from, Source::Listen(_)) {
            *resume = Some(id);
        }
        replies.push(Reply::Done(reply));
    }

    fn ended(
        &mut self,
        number: u64,
        why: Failure,
        reply: oneshot::Sender<()>,
        drafts: &mut Vec<Draft>,
        replies: &mut Vec<Reply>,
    ) {
        match self.lane.run_ended(number, &why, now(), drafts) {
            Taken::Wait => self.parked.0.push_back(Parked::Ended { number, why, reply }),
            Taken::Done => replies.push(Reply::Done(reply)),
        }
    }

    /// Offers what waits again, in the order in which it came, until nothing moves.
    fn retry(
        &mut self,
        drafts: &mut Vec<Draft>,
        replies: &mut Vec<Reply>,
        resume: &mut Option<Option<ByteString>>,
    ) {
        loop {
            let before = (drafts.len(), self.parked.0.len());
            for parked in std::mem::take(&mut self.parked.0) {
                match parked {
                    // A listener that was cancelled meanwhile asks for these again.
                    Parked::Items { from: Source::Listen(_), reply, .. } if reply.is_closed() => {}
                    Parked::Items { from, items, resume: id, reply } => {
                        self.items(from, items, id, reply, drafts, replies, resume);
                    }
                    Parked::Ended { number, why, reply } => {
                        self.ended(number, why, reply, drafts, replies);
                    }
                }
            }
            if before == (drafts.len(), self.parked.0.len()) {
                return;
            }
        }
    }

    fn read_mail(&mut self, drafts: &mut Vec<Draft>) {
        for mail in self.shared.take_mail() {
            match mail {
                Mail::Cut(generation) => self.lane.listen_cut(generation, drafts),
                Mail::Gone(generation) => self.lane.listen_gone(generation, drafts),
            }
        }
    }

    /// Logs drafts, shows them, and tells those who wait.
    async fn write(
        &mut self,
        drafts: Vec<Draft>,
        replies: Vec<Reply>,
        resume: Option<Option<ByteString>>,
    ) -> Result<(), Stopped> {
        // A connection that is opened while this waits goes on behind what is about to be logged.
        if let Some(resume) = resume {
            self.shared.set_resume(resume);
        }
        let mut drafts = drafts.into_iter().peekable();
        while drafts.peek().is_some() {
            let ts = SystemTime::now();
            let (mut records, mut stored, mut bytes) = (Vec::new(), Vec::new(), 0);
            while let Some(draft) = drafts.next_if(|draft| {
                records.is_empty()
                    || (records.len() < GROUP.0 && bytes + draft.data.len() < GROUP.1)
            }) {
                let ts_ms = micros(ts) / 1_000;
                let envelope = Envelope { ts_ms, ..draft.envelope };
                let before = bytes;
                for payload in encode(&envelope, &draft.data) {
                    bytes += payload.len();
                    records.push(NewRecord { ts: micros(ts), payload });
                }
                let size = (bytes - before) as u64;
                stored.push((records.len() as u64 - 1, size, envelope, draft.data));
            }
            let first = self.append(records).await?;
            self.shared.last_ms.store(micros(ts) / 1_000, Ordering::Relaxed);
            let last = stored.last().map_or(first, |(at, ..)| first + at);
            let (folds, meter) = (&mut self.folds, &mut self.meter);
            let stored = stored.into_iter().map(|(at, size, envelope, data)| {
                let stored = Stored { offset: first + at, envelope, data };
                folds.add(&stored, size);
                meter.record(&stored);
                stored
            });
            self.shared.tail.show(stored, last);
        }
        self.folds.start(self.lane.open_run().is_some());
        self.publish();
        if self.lane.take_finished() {
            self.shared.set_finished();
            self.finished.notify_one();
        }
        let last = self.shared.tail.head().borrow().last;
        for reply in replies {
            // Whoever waited may have left.
            match reply {
                Reply::Done(reply) => drop(reply.send(())),
                Reply::Posted(reply) => drop(reply.send(Ok(last))),
            }
        }
        Ok(())
    }

    /// Appends records, also those that are too many for one batch, and gives the first offset. It
    /// tries for as long as trying can help.
    async fn append(&mut self, records: Vec<NewRecord>) -> Result<u64, Stopped> {
        let mut first = None;
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let (mut group, mut bytes) = (Vec::new(), 0);
            while let Some(record) = records.next_if(|record| {
                group.is_empty() || bytes + record.payload.len() < self.log.max_batch() / 2
            }) {
                bytes += record.payload.len();
                group.push(record);
            }
            let Ok(batch) = Batch::new(group) else { return Err(Stopped) };
            let at = self.append_batch(batch.named(DedupeId::random())).await?;
            first.get_or_insert(at);
        }
        Ok(first.unwrap_or_default())
    }

    async fn append_batch(&mut self, batch: Batch) -> Result<u64, Stopped> {
        let mut pause = PAUSE.0;
        loop {
            let appended = tokio::select! {
                biased;
                appended = self.log.append(batch.clone()) => appended,
                () = self.stop.cancelled() => return Err(Stopped),
            };
            match appended {
                Ok(appended) => {
                    self.shared.flows();
                    return Ok(appended.first);
                }
                Err(error) if error.retry() == Retry::Later => {
                    tracing::warn!(error = %error, session.id = ?self.shared.key, "log stalled");
                    self.shared.stalled(now(), error);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stop.cancelled() => return Err(Stopped),
                    }
                    pause = (pause * 2).min(PAUSE.1);
                }
                Err(AppendError::Closed) => return Err(Stopped),
                Err(error) => {
                    tracing::error!(error = %error, session.id = ?self.shared.key, "log lost");
                    return Err(Stopped);
                }
            }
        }
    }

    fn publish(&self) {
        self.shared.publish(&self.lane, self.parked.0.len());
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
