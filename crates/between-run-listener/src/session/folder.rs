//! Folds the closed runs of a session's log into its base: reads, folds, writes, reads back, checks,
//! seals, and only then drops what is folded.

use std::sync::Arc;

use eventlog::{Log, ReadLimit};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::bases::{Bases, BasesError, Seal};
use super::fold::{Base, Fold};
use super::pile::Mark;
use crate::log::Assembler;

/// What is read at once: a few milliseconds of work.
const PAGE: ReadLimit = ReadLimit { records: 512, bytes: 256 * 1024 };

/// What a fold needs.
#[derive(Clone)]
pub(super) struct Folder {
    pub(super) bases: Arc<Bases>,
    pub(super) log: Arc<dyn Log>,
    /// Stands for the thread while there is none.
    pub(super) name: String,
    /// Folds of all sessions that run at once.
    pub(super) permits: Arc<Semaphore>,
    /// Most bytes of a base.
    pub(super) most: u64,
}

/// A fold that was done.
pub(super) struct Folded {
    pub(super) mark: Mark,
    pub(super) seal: Arc<Seal>,
}

impl Folder {
    /// Folds everything up to a mark, which must be between runs.
    ///
    /// # Errors
    /// [`BasesError`]; what counted before still counts then.
    ///
    /// # Cancel safety
    /// Cancel safe: the old base counts, or the new one.
    pub(super) async fn fold(self, mark: Mark) -> Result<Folded, BasesError> {
        // Nobody closes it.
        let _permit = self.permits.acquire().await;
        let (mut fold, next) = self.begin().await?;
        self.read(&mut fold, next, mark.offset).await?;
        fold.covered(mark.offset);
        let most = self.most;
        let (fold, base) = blocking(move || {
            let base = fold.finish(most);
            (fold, base)
        })
        .await?;
        let seal = self.bases.write(&base).await?;
        let again = self.bases.read(&seal).await?;
        blocking(move || check(&fold, &base, &again)).await??;
        let seal = self.bases.seal_with(seal).await?;
        if let Err(error) = self.drop_folded(&seal).await {
            // It is dropped with the next fold, or at the next start.
            tracing::warn!(error = %error, "what was folded was not dropped");
        }
        Ok(Folded { mark, seal })
    }

    /// What the whole log leads to, as it is now.
    ///
    /// # Errors
    /// [`BasesError`].
    pub(super) async fn conversation(&self) -> Result<Fold, BasesError> {
        let (mut fold, next) = self.begin().await?;
        let last = self.log.status().next - 1;
        self.read(&mut fold, next, last).await?;
        Ok(fold)
    }

    /// Folds the records from one offset to another.
    async fn read(&self, fold: &mut Fold, from: u64, to: u64) -> Result<(), BasesError> {
        let (mut next, mut assembler) = (from, Assembler::default());
        while next <= to {
            let page = self.log.read_from(next, PAGE).await?;
            next = page.next;
            if page.records.is_empty() && next >= page.head {
                break;
            }
            for record in page.records.into_iter().filter(|record| record.offset <= to) {
                if let Ok(Some(stored)) = assembler.take(record.offset, record.payload) {
                    fold.take(&stored);
                }
            }
        }
        Ok(())
    }

    /// Drops what a base makes superfluous: bases before it, and the records that it covers.
    pub(super) async fn drop_folded(&self, seal: &Seal) -> Result<(), BasesError> {
        self.bases.drop_before(seal).await?;
        self.log.trim(seal.covers + 1).await?;
        Ok(())
    }

    /// A fold of what is folded already, and where to read on.
    async fn begin(&self) -> Result<(Fold, u64), BasesError> {
        let first = self.log.status().first;
        let Some(seal) = self.bases.seal() else { return Ok((Fold::behind(&self.name, first), 1)) };
        match self.bases.read(&seal).await {
            Ok(base) => Ok((Fold::resume(&self.name, &base), seal.covers + 1)),
            Err(BasesError::Damaged) => {
                tracing::error!(covers = seal.covers, "a base is damaged and left out");
                Ok((Fold::behind(&self.name, seal.covers + 1), seal.covers + 1))
            }
            Err(error) => Err(error),
        }
    }
}

fn check(fold: &Fold, written: &Base, read: &Base) -> Result<(), BasesError> {
    if written != read {
        return Err(BasesError::Damaged);
    }
    Ok(fold.check(read)?)
}

/// Work for the processor alone, off the threads that serve sockets.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BasesError> {
    spawn_blocking(work).await.map_err(|_| BasesError::Damaged)
}
