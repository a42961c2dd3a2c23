//! The one writer of a log: takes what waits, stores it as one message, and keeps within retention.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use super::MAX_BATCH;
use super::message::{self, Mark};
use super::remote::{PublishFail, Unavailable};
use super::shared::Shared;
use crate::{
    AppendError, Appended, BATCH_MAX, Batch, DEDUPE_BATCHES, DedupeId, Health, Retention,
    StoreError, micros, span,
};

/// How often what is too old is looked for.
const RETAIN_EVERY: Duration = Duration::from_secs(1);
/// Most messages that are looked at before appends are let through again.
const RETAIN_STEP: usize = 4_096;
/// How often a batch is tried again when the stream does not end as it was known to.
const ATTEMPTS: usize = 3;

/// What a writer is asked for.
pub(super) enum Request {
    Append(Waiting),
    Trim { before: u64, reply: oneshot::Sender<Result<u64, StoreError>> },
    Close { reply: oneshot::Sender<()> },
}

/// A batch that waits for its offsets.
pub(super) struct Waiting {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
    /// Its share of the bytes that may wait.
    pub(super) _room: OwnedSemaphorePermit,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    retention: Retention,
    /// The last named batches, oldest first.
    named: VecDeque<(DedupeId, Appended)>,
    /// Whether the stream may end otherwise than it is known to.
    unsure: bool,
    /// What waits behind a group of appends.
    held: Option<Request>,
    /// The first offset that is kept, and its time.
    oldest: Option<(u64, i64)>,
    retained: Instant,
}

/// Why a message is not in the stream.
enum Fail {
    Fenced,
    Full(String),
    Unavailable(String),
    /// The stream does not end as it was known to; look again.
    Again,
}

impl From<Unavailable> for Fail {
    fn from(Unavailable(cause): Unavailable) -> Self {
        Self::Unavailable(cause)
    }
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Request>,
        retention: Retention,
        named: VecDeque<(DedupeId, Appended)>,
    ) -> Self {
        let retained = Instant::now();
        let (held, oldest) = (None, None);
        Self { shared, requests, retention, named, unsure: false, held, oldest, retained }
    }

    /// Runs until it is told to close, or nobody can ask any more.
    pub(super) async fn run(mut self) {
        let mut told = self.shared.head.borrow().next;
        loop {
            let due = self.retained + RETAIN_EVERY;
            let request = match self.held.take() {
                Some(request) => Some(request),
                None => tokio::select! {
                    request = self.requests.recv() => match request {
                        Some(request) => Some(request),
                        None => return,
                    },
                    () = tokio::time::sleep_until(due) => None,
                },
            };
            match request {
                None => {}
                Some(Request::Append(waiting)) => self.append(waiting).await,
                Some(Request::Trim { before, reply }) => {
                    // Whoever asked may have left.
                    let _ = reply.send(self.trim(before).await);
                }
                Some(Request::Close { reply }) => {
                    self.shared.shut();
                    // What waits is answered by the end of this task: closed.
                    self.requests.close();
                    let _ = reply.send(());
                    return;
                }
            }
            let next = self.shared.head.borrow().next;
            if std::mem::replace(&mut told, next) != next {
                self.shared.wake();
            }
            if Instant::now() >= due || self.is_far_over() {
                self.retained = Instant::now();
                self.retain().await;
            }
        }
    }

    /// Stores a batch and all that fits beside it.
    async fn append(&mut self, first: Waiting) {
        let mut bytes = first.batch.bytes();
        let mut records = first.batch.records().len();
        let mut group = vec![first];
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Append(next)
                    if bytes + next.batch.bytes() <= MAX_BATCH
                        && records + next.batch.records().len() <= BATCH_MAX =>
                {
                    bytes += next.batch.bytes();
                    records += next.batch.records().len();
                    group.push(next);
                }
                other => {
                    self.held = Some(other);
                    break;
                }
            }
        }
        let outcomes = self.store(&group).await;
        let failed = match outcomes {
            Ok(offsets) => {
                self.shared.state().health = Health::Good;
                for (waiting, appended) in group.into_iter().zip(offsets) {
                    let _ = waiting.reply.send(Ok(appended));
                }
                return;
            }
            Err(Fail::Fenced) => AppendError::Fenced,
            Err(Fail::Full(cause)) => AppendError::Full { cause },
            Err(Fail::Unavailable(cause)) => AppendError::Unavailable { cause },
            Err(Fail::Again) => {
                AppendError::Unavailable { cause: "the stream changes all the time".to_owned() }
            }
        };
        self.shared.state().health = Health::Degraded { error: failed.to_string() };
        for waiting in group {
            let _ = waiting.reply.send(Err(failed.clone()));
        }
    }

    async fn store(&mut self, group: &[Waiting]) -> Result<Vec<Appended>, Fail> {
        for _ in 0..ATTEMPTS {
            self.make_sure().await?;
            let mut mark = self.shared.state().mark.without_records();
            let (mut offsets, mut fresh) = (Vec::new(), Vec::new());
            for Waiting { batch, .. } in group {
                let known = batch.dedupe_id().and_then(|id| {
                    let both = self.named.iter().chain(&mark.named);
                    both.rev().find(|(known, _)| *known == id).map(|(_, at)| *at)
                });
                offsets.push(known.unwrap_or_else(|| {
                    fresh.push(batch);
                    mark.add(batch)
                }));
            }
            if fresh.is_empty() {
                return Ok(offsets);
            }
            let first = mark.first;
            match self.publish(mark, message::encode(fresh.iter().copied())).await {
                Ok(()) => {
                    self.keep(first, &fresh);
                    return Ok(offsets);
                }
                Err(Fail::Again) => {}
                Err(fail) => return Err(fail),
            }
        }
        Err(Fail::Again)
    }

    /// Keeps what was stored for followers, if there are any.
    fn keep(&self, first: u64, stored: &[&Batch]) {
        let tail = &mut self.shared.state().tail;
        match self.shared.head.receiver_count() {
            0 => tail.forget(),
            _ => tail.keep(first, stored.iter().flat_map(|batch| batch.records())),
        }
    }

    /// Stores a message behind the last one.
    async fn publish(&mut self, mark: Mark, payload: Bytes) -> Result<(), Fail> {
        let behind = self.shared.state().last;
        match self.shared.remote.publish(behind, &mark, payload).await {
            Ok(sequence) => {
                self.is_stored(sequence, mark);
                Ok(())
            }
            Err(PublishFail::Conflict) => {
                self.unsure = true;
                Err(Fail::Again)
            }
            Err(PublishFail::Full(cause)) => Err(Fail::Full(cause)),
            Err(PublishFail::Unavailable(cause)) => {
                self.unsure = true;
                Err(Fail::Unavailable(cause))
            }
        }
    }

    fn is_stored(&mut self, sequence: u64, mark: Mark) {
        for named in &mark.named {
            if self.named.len() == DEDUPE_BATCHES {
                self.named.pop_front();
            }
            self.named.push_back(*named);
        }
        let next = mark.next();
        let mut state = self.shared.state();
        state.last = sequence;
        if mark.count > 0 {
            state.index.note(next, sequence);
        }
        state.trimmed += mark.kept.saturating_sub(state.mark.kept);
        state.mark = mark;
        drop(state);
        self.shared.show(next);
    }

    /// Looks how the stream ends, if that is not sure.
    async fn make_sure(&mut self) -> Result<(), Fail> {
        if self.shared.state().fenced {
            return Err(Fail::Fenced);
        }
        if !self.unsure {
            return Ok(());
        }
        let gone = || Fail::Unavailable("the log's stream is empty; open the log again".to_owned());
        let ends = self.shared.remote.ends().await?;
        let last = self.shared.remote.last(ends).await?.ok_or_else(gone)?;
        let (_, end) = ends;
        let mark = last.mark.map_err(|error| Fail::Unavailable(error.to_string()))?;
        let mut state = self.shared.state();
        if (mark.writer, &mark.epoch) != (state.mark.writer, &state.mark.epoch) {
            state.fenced = true;
            drop(state);
            self.shared.shut();
            return Err(Fail::Fenced);
        }
        if end < state.last {
            // The server lost the end of the stream. Its offsets are not given out again.
            state.index = super::index::Index::default();
            state.mark = state.mark.without_records();
        }
        let late = last.sequence > state.last;
        state.last = end;
        drop(state);
        if late {
            // Ours, of a call that was not answered in time.
            self.is_stored(last.sequence, mark);
        }
        self.unsure = false;
        Ok(())
    }

    async fn trim(&mut self, before: u64) -> Result<u64, StoreError> {
        let told = |fail| match fail {
            Fail::Fenced => StoreError::Fenced,
            Fail::Full(cause) | Fail::Unavailable(cause) => StoreError::Unavailable { cause },
            Fail::Again => StoreError::Unavailable { cause: "the stream was changed".to_owned() },
        };
        self.make_sure().await.map_err(told)?;
        let mark = self.shared.state().mark.clone();
        let before = before.min(mark.next());
        if before <= mark.kept {
            return Ok(mark.kept);
        }
        let (keep_from, dropped) = self.measure(before, &mark).await.map_err(told)?;
        self.drop_before(before, keep_from, dropped).await.map_err(told)?;
        Ok(before)
    }

    /// The first message that is needed for an offset and what is behind it, and the bytes of all
    /// records before the offset.
    async fn measure(&self, before: u64, mark: &Mark) -> Result<(u64, u64), Fail> {
        if before == mark.next() {
            return Ok((u64::MAX, mark.total));
        }
        let at = self.shared.find(before).await?;
        let Some(found) = self.shared.remote.fetch(at).await? else {
            return Err(Fail::Again);
        };
        let there = found.mark.map_err(|error| Fail::Unavailable(error.to_string()))?;
        let records = message::decode(&there, found.payload).unwrap_or_default();
        let left = records.iter().filter(|record| record.offset >= before);
        Ok((at, there.total - left.map(message::bytes).sum::<u64>()))
    }

    /// Says in the stream what is kept, then drops messages that are not needed for it.
    async fn drop_before(&mut self, kept: u64, keep_from: u64, dropped: u64) -> Result<(), Fail> {
        let mark = Mark { kept, dropped, ..self.shared.state().mark.without_records() };
        self.publish(mark, Bytes::new()).await?;
        self.oldest = None;
        let first = keep_from.min(self.shared.state().last);
        // If it fails the messages are dropped by the next one; nobody reads them any more.
        if self.shared.remote.drop_before(first).await.is_ok() {
            self.shared.state().first = first;
        }
        Ok(())
    }

    /// So much over its size that it cannot wait.
    fn is_far_over(&self) -> bool {
        let most = self.retention.max_bytes;
        let mark = &self.shared.state().mark;
        mark.bytes() > most.saturating_add(most / 32) && mark.kept + 1 < mark.next()
    }

    /// Drops what is too much or too old, oldest first, and never the newest record.
    async fn retain(&mut self) {
        // What fails is tried again at the next time.
        let _outcome = self.try_retain().await;
    }

    async fn try_retain(&mut self) -> Result<(), Fail> {
        self.make_sure().await?;
        let (mark, last) = {
            let state = self.shared.state();
            (state.mark.clone(), state.last)
        };
        let newest = mark.next() - 1;
        let over = mark.bytes().saturating_sub(self.retention.max_bytes);
        let now = micros(SystemTime::now()).max(mark.newest);
        let oldest_allowed = now.saturating_sub(span(self.retention.max_age));
        let young = |(at, ts): (u64, i64)| at == mark.kept && ts >= oldest_allowed;
        if mark.kept >= newest || (over == 0 && self.oldest.is_some_and(young)) {
            return Ok(());
        }
        let (mut kept, mut dropped) = (mark.kept, mark.dropped);
        let mut at = self.shared.find(kept).await?;
        let start = at;
        'messages: while at <= last && at - start < RETAIN_STEP as u64 {
            let found = self.shared.remote.fetch(at).await?;
            let readable = found.and_then(|found| Some((found.mark.ok()?, found.payload)));
            if let Some((there, payload)) = readable {
                let before = there.total;
                let records = message::decode(&there, payload).unwrap_or_default();
                let mut left = records.iter().map(message::bytes).sum::<u64>();
                for record in records {
                    if record.offset >= kept {
                        let too_much = dropped - mark.dropped < over;
                        let too_old = record.ts < oldest_allowed;
                        if record.offset == newest || !(too_much || too_old) {
                            self.oldest = Some((kept, record.ts));
                            break 'messages;
                        }
                        kept = record.offset + 1;
                        dropped = before - left + message::bytes(&record);
                    }
                    left -= message::bytes(&record);
                }
            }
            at += 1;
        }
        if kept > mark.kept {
            let oldest = self.oldest;
            self.drop_before(kept, at, dropped).await?;
            self.oldest = oldest;
        }
        Ok(())
    }
}
