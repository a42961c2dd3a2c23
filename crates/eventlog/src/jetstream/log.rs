//! A log as its users hold it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::MAX_BATCH;
use super::shared::Shared;
use super::writer::{Request, Waiting, Writer};
use crate::{
    AppendError, Appended, Batch, BoxFuture, Epoch, Head, Log, LogName, Page, ReadError, ReadLimit,
    Status, StoreError,
};

/// Most requests that wait for the writer; further ones wait outside.
const QUEUE: usize = 1_024;
/// Most bytes of batches that wait for the writer.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// A log in a stream. Dropping the last handle ends its writer.
pub(super) struct JetStreamLog {
    pub(super) shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    writer: Mutex<JoinSet<()>>,
}

impl JetStreamLog {
    pub(super) fn start(
        shared: Arc<Shared>,
        writer: impl FnOnce(Arc<Shared>, mpsc::Receiver<Request>) -> Writer,
    ) -> Arc<Self> {
        let (requests, taken) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(writer(Arc::clone(&shared), taken).run());
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        Arc::new(Self { shared, requests, room, writer: Mutex::new(tasks) })
    }

    /// Ends it: it was deleted, or its store is closed.
    pub(super) fn remove(&self) {
        self.shared.state().gone = true;
        self.shared.shut();
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Why it takes nothing, if it takes nothing.
    fn ended(&self) -> Option<AppendError> {
        let fenced = self.shared.state().fenced;
        let closed = self.shared.head.borrow().closed;
        fenced.then_some(AppendError::Fenced).or(closed.then_some(AppendError::Closed))
    }
}

impl Log for JetStreamLog {
    fn name(&self) -> &LogName {
        &self.shared.name
    }

    fn epoch(&self) -> &Epoch {
        &self.shared.epoch
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let bytes = batch.bytes();
            if bytes > MAX_BATCH {
                return Err(AppendError::TooLarge { bytes, limit: MAX_BATCH });
            }
            if let Some(ended) = self.ended() {
                return Err(ended);
            }
            let closed = || self.ended().unwrap_or(AppendError::Closed);
            // It is never closed, and `MAX_BATCH` fits 32 bits.
            let room = Arc::clone(&self.room).acquire_many_owned(bytes as u32).await;
            let room = room.map_err(|_| closed())?;
            let (reply, answer) = oneshot::channel();
            let waiting = Request::Append(Waiting { batch, reply, _room: room });
            self.requests.send(waiting).await.map_err(|_| closed())?;
            answer.await.unwrap_or_else(|_| Err(closed()))
        })
    }

    fn read_from(&self, offset: u64, limit: ReadLimit) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(self.shared.read(offset, limit))
    }

    fn head(&self) -> watch::Receiver<Head> {
        self.shared.head.subscribe()
    }

    fn trim(&self, before: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let closed = || match self.ended() {
                Some(AppendError::Fenced) => StoreError::Fenced,
                Some(_) | None => StoreError::Closed,
            };
            if self.ended().is_some() {
                return Err(closed());
            }
            let (reply, answer) = oneshot::channel();
            let asked = self.requests.send(Request::Trim { before, reply }).await;
            asked.map_err(|_| closed())?;
            answer.await.unwrap_or_else(|_| Err(closed()))
        })
    }

    fn status(&self) -> Status {
        self.shared.status()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            if self.requests.send(Request::Close { reply }).await.is_ok() {
                // Without an answer it has ended already.
                let _ = answer.await;
            }
            Ok(())
        })
    }
}
