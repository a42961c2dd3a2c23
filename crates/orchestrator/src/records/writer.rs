//! The one task that writes records.

use std::collections::BTreeMap;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::file::StoredRecord;
use super::store::{Folder, RecordsError};
use crate::ids::SandboxId;

/// How long after a failed write the next one is tried, if nothing else is to be written before.
const AGAIN: Duration = Duration::from_secs(1);

/// A change that was put in; see [`Records::durable`].
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    id: SandboxId,
    number: u64,
}

/// One change, the latest of its sandbox. `None` removes the record.
#[derive(Debug)]
struct Change {
    number: u64,
    bytes: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    waiting: BTreeMap<SandboxId, Change>,
    /// Whose latest write failed, and which changes it had.
    failed: BTreeMap<SandboxId, (u64, RecordsError)>,
}

/// The records of a node; none at all without a folder.
#[derive(Debug)]
pub(crate) struct Records {
    folder: Option<PathBuf>,
    state: Mutex<State>,
    wake: Notify,
    /// Every change up to this number was tried.
    tried: watch::Sender<u64>,
}

impl Records {
    pub(crate) fn new(folder: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            folder,
            state: Mutex::default(),
            wake: Notify::new(),
            tried: watch::Sender::new(0),
        })
    }

    /// Whether anything is written at all.
    pub(crate) fn kept(&self) -> bool {
        self.folder.is_some()
    }

    /// What an earlier daemon left.
    ///
    /// # Errors
    /// When any of it cannot be read.
    pub(crate) async fn read(&self) -> Result<Vec<StoredRecord>, RecordsError> {
        let Some(path) = self.folder.clone() else { return Ok(Vec::new()) };
        let read = move || {
            Folder::open(&path)
                .map_err(|e| RecordsError::Folder(e.to_string()))
                .and_then(|folder| folder.read_all())
        };
        joined(tokio::task::spawn_blocking(read).await, RecordsError::Folder)?
    }

    /// Puts a change in: the whole record, or `None` to remove it. Takes the place of one of the
    /// same sandbox that was not written yet.
    pub(crate) fn put(&self, id: &SandboxId, bytes: Option<Vec<u8>>) -> Ticket {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        if self.folder.is_some() {
            state.waiting.insert(id.clone(), Change { number, bytes });
            self.wake.notify_one();
        }
        Ticket { id: id.clone(), number }
    }

    /// Waits until a change, or a later one of the same sandbox, will survive a crash of the host.
    ///
    /// # Errors
    /// When it could not be written. It will be tried again, unless another change comes first.
    ///
    /// # Cancel safety
    /// Leaves nothing behind when dropped.
    pub(crate) async fn durable(&self, ticket: &Ticket) -> Result<(), RecordsError> {
        if self.folder.is_none() {
            return Ok(());
        }
        // The sender lives in `self`.
        let _ = self.tried.subscribe().wait_for(|tried| *tried >= ticket.number).await;
        match self.lock().failed.get(&ticket.id) {
            Some((number, error)) if *number >= ticket.number => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes until `end`, and then what is left.
    pub(crate) async fn run(self: Arc<Self>, end: CancellationToken) {
        let Some(path) = self.folder.clone() else { return };
        loop {
            let done = self.lock().waiting.is_empty();
            let retry = async {
                match done {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(AGAIN).await,
                }
            };
            tokio::select! {
                () = end.cancelled() => break,
                () = self.wake.notified() => {}
                () = retry => {}
            }
            self.write(&path).await;
        }
        self.write(&path).await;
    }

    /// One try at everything that waits.
    async fn write(&self, path: &std::path::Path) {
        let (batch, last) = {
            let mut state = self.lock();
            (mem::take(&mut state.waiting), state.last)
        };
        if batch.is_empty() {
            self.tried.send_if_modified(|tried| mem::replace(tried, last) != last);
            return;
        }
        let path = path.to_owned();
        let ids: Vec<(SandboxId, u64)> =
            batch.iter().map(|(id, change)| (id.clone(), change.number)).collect();
        let written = tokio::task::spawn_blocking(move || write_batch(&path, batch)).await;
        let failed = joined(written, RecordsError::Write);
        let mut state = self.lock();
        for (id, _) in &ids {
            state.failed.remove(id);
        }
        match failed {
            Ok(failed) => {
                for (id, change, error) in failed {
                    tracing::error!(sandbox.id = %id, %error, "a record was not written");
                    state.failed.insert(id.clone(), (change.number, error));
                    // A newer change is worth more than this one.
                    state.waiting.entry(id).or_insert(change);
                }
            }
            Err(error) => {
                for (id, number) in ids {
                    state.failed.insert(id, (number, error.clone()));
                }
            }
        }
        drop(state);
        self.tried.send_replace(last);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those that could not be written.
fn write_batch(
    path: &std::path::Path,
    batch: BTreeMap<SandboxId, Change>,
) -> Vec<(SandboxId, Change, RecordsError)> {
    let told = |e: std::io::Error| RecordsError::Write(e.to_string());
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(e) => {
            let error = told(e);
            return batch.into_iter().map(|(id, change)| (id, change, error.clone())).collect();
        }
    };
    let mut failed = Vec::new();
    let mut written = Vec::new();
    for (id, change) in batch {
        match folder.put(&id, change.bytes.as_deref()) {
            Ok(()) => written.push((id, change)),
            Err(e) => failed.push((id, change, told(e))),
        }
    }
    if let Err(e) = folder.sync() {
        let error = told(e);
        failed.extend(written.into_iter().map(|(id, change)| (id, change, error.clone())));
    }
    failed
}

/// A task that panicked is an error like any other.
fn joined<T>(
    outcome: Result<T, tokio::task::JoinError>,
    error: impl FnOnce(String) -> RecordsError,
) -> Result<T, RecordsError> {
    outcome.map_err(|e| error(e.to_string()))
}
