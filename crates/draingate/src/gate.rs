//! The owner of a drain, and the handle that work comes in through.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Instant,
};

use crate::{
    pass::{OwnedPass, Pass},
    report::{DrainReport, Label},
    shared::{Goal, Shared},
    sync::Arc,
    wait::Wait,
};

/// Owns one drain: the only way to begin it, and the one that reports on it.
///
/// A keeper is not `Clone`, so that dropping it can mean one thing: it **begins the drain**.
/// Nobody could begin it later, and everybody who waits for it would wait for ever. The same
/// reason forbids to keep it in a place that may be dropped early by accident, such as the task
/// that listens for a signal.
#[must_use = "dropping the keeper begins the drain: every enter after it is refused"]
pub struct Keeper {
    shared: Arc<Shared>,
}

impl Keeper {
    /// An open gate with nobody inside.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared::default()) }
    }

    /// A handle to the gate, for those who do the work.
    pub fn gate(&self) -> Gate {
        Gate { shared: self.shared.clone() }
    }

    /// Begins the drain; true to exactly one caller.
    ///
    /// Synchronous, without waiting, and for good: nothing opens the gate again. Every
    /// [`Gate::enter`] that starts after this has returned is refused, on every clone and thread,
    /// whether or not this call was the one that began it.
    pub fn begin_drain(&self) -> bool {
        self.shared.begin()
    }

    /// What is inside, and who.
    ///
    /// One consistent look: `inside` is exactly the holders that are named plus `unlabelled`.
    /// `now` is the caller's clock, as was the `since` of [`Gate::enter_labelled`].
    #[must_use]
    pub fn report(&self, now: Instant) -> DrainReport {
        self.shared.report(now)
    }
}

impl Default for Keeper {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.begin();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("shared", &self.shared).finish()
    }
}

/// Where work comes in. Clones share the gate; a clone kept for ever holds up nothing.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

impl Gate {
    /// Lends a pass that cannot leave the borrow of this gate: the cheapest one, one atomic
    /// operation in and one out, no lock and no allocation.
    ///
    /// # Errors
    ///
    /// [`Draining`] once the drain has begun. A refused call leaves no trace but the count of
    /// refusals in the report.
    ///
    /// # Panics
    ///
    /// If 2^31 passes are inside: they are being forgotten.
    #[inline]
    pub fn enter(&self) -> Result<Pass<'_>, Draining> {
        self.shared.admit()?;
        Ok(Pass::new(&self.shared))
    }

    /// Gives a pass that owns its place and moves into a task, a session, a start.
    ///
    /// It costs two more atomic operations than [`Gate::enter`], for its share of the gate.
    ///
    /// # Errors
    ///
    /// [`Draining`] once the drain has begun.
    ///
    /// # Panics
    ///
    /// If 2^31 passes are inside: they are being forgotten.
    #[inline]
    pub fn enter_owned(&self) -> Result<OwnedPass, Draining> {
        // The share first: it lies beside the word, so that under contention the word is already
        // in this core's cache when it is compared and swapped.
        let shared = self.shared.clone();
        shared.admit()?;
        Ok(OwnedPass::unlabelled(shared))
    }

    /// As [`Gate::enter_owned`], and the report names the holder.
    ///
    /// Takes a lock and allocates: for things one would want to read about when a drain hangs,
    /// not for each message. `since` is when the work began by the caller's clock.
    ///
    /// # Errors
    ///
    /// [`Draining`] once the drain has begun.
    ///
    /// # Panics
    ///
    /// If 2^31 passes are inside: they are being forgotten.
    pub fn enter_labelled(&self, label: Label, since: Instant) -> Result<OwnedPass, Draining> {
        let key = self.shared.admit_labelled(label, since)?;
        Ok(OwnedPass::labelled(self.shared.clone(), key))
    }

    /// Whether the drain has begun. To refuse work, use the answer of `enter` instead: between
    /// this look and an `enter` the drain may begin.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.reached(Goal::Begun)
    }

    /// Waits until the drain has begun.
    ///
    /// The wait owns its share of the gate and may outlive this handle. It is woken by
    /// [`Keeper::begin_drain`] or the drop of the keeper, by nothing else, and never polls.
    ///
    /// # Cancel safety
    ///
    /// Dropping it at any point leaves nothing behind, changes no state and takes no other
    /// wait's wake-up. Asking again starts over with the state as it is then.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        Wait::new(self.shared.clone(), Goal::Begun)
    }

    /// Waits until the drain has begun **and** nobody is inside: both, so that it may be awaited
    /// long before the drain. Meanwhile it neither blocks nor refuses an `enter`.
    ///
    /// Once it has returned nobody is inside for good, and whatever holders did before they
    /// dropped their pass is visible to the caller. Any number may wait and all are woken, by the
    /// drop of the last pass or by the beginning of the drain, whichever comes last.
    ///
    /// A pass that was forgotten (`std::mem::forget`) keeps it waiting: pair it with a deadline,
    /// as [`Gate::drained_or`] does.
    ///
    /// # Cancel safety
    ///
    /// As for [`Gate::draining`].
    pub fn drained(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        Wait::new(self.shared.clone(), Goal::Drained)
    }

    /// Waits as [`Gate::drained`], until `stop` is ready, which is how the caller brings a
    /// deadline: this crate reads no clock.
    ///
    /// Done beats deadline: if both are true when the task runs, the answer is `Ok`, and the
    /// output of `stop` is dropped.
    ///
    /// # Errors
    ///
    /// What `stop` gave, if somebody was still inside, or the drain had not begun, after that.
    ///
    /// # Cancel safety
    ///
    /// As for [`Gate::draining`], as far as the gate goes; `stop` is dropped with it.
    pub async fn drained_or<T>(&self, stop: impl Future<Output = T>) -> Result<(), T> {
        let mut drained = self.drained();
        let mut stop = pin!(stop);
        poll_fn(|cx| {
            if pin!(&mut drained).poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(stopped) = stop.as_mut().poll(cx) else {
                return Poll::Pending;
            };
            // The last pass may have been dropped while `stop` ran.
            if self.shared.reached(Goal::Drained) {
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(stopped))
        })
        .await
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("shared", &self.shared).finish()
    }
}

/// The gate refused: its drain has begun, and it will not open again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draining;

impl Draining {
    /// The label for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        "draining"
    }
}

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("draining: no new work is let in, and this does not change; go elsewhere")
    }
}

impl std::error::Error for Draining {}

#[cfg(all(test, not(draingate_loom)))]
mod tests;
