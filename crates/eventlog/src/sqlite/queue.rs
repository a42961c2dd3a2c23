//! What the writer is asked to do.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::shared::Shared;
use crate::{AppendError, Appended, Batch, LogName, LogOptions, OpenError, StoreError};

/// A request with the room that it takes in the queue, given back when it was answered.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) request: Request,
    pub(super) _room: [OwnedSemaphorePermit; 2],
}

/// A request and where its answer goes. Nobody may wait for it any more.
#[derive(Debug)]
pub(super) enum Request {
    Append(Append),
    Open { name: LogName, options: LogOptions, reply: Reply<Result<Arc<Shared>, OpenError>> },
    List { reply: Reply<Result<Vec<LogName>, StoreError>> },
    Delete { name: LogName, reply: Reply<Result<bool, StoreError>> },
    Trim { log: Arc<Shared>, before: u64, reply: Reply<Result<u64, StoreError>> },
    CloseLog { log: Arc<Shared>, reply: Reply<()> },
    Close { reply: Reply<Result<(), StoreError>> },
}

/// A batch for a log.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) log: Arc<Shared>,
    pub(super) batch: Batch,
    pub(super) reply: Reply<Result<Appended, AppendError>>,
}

pub(super) type Reply<T> = oneshot::Sender<T>;
