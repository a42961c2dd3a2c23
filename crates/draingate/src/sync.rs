//! The one place that names atomics, locks and `Arc`, so that the model checker can stand in.
//!
//! The cfg is our own and not tokio's `loom`, which would switch tokio over as well.

#[cfg(not(draingate_loom))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

#[cfg(draingate_loom)]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// Locks, also after a panic elsewhere: nothing in this crate leaves a locked value half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
