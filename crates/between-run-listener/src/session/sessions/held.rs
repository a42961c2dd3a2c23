//! One session among all.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use crate::session::Session;
use crate::session::settings::Checked;

/// A session and what it was told to be.
pub struct Held {
    /// The session.
    pub session: Session,
    pub(super) settings: Mutex<Checked>,
    pub(super) stopped: AtomicBool,
    /// When it was made or changed last, in milliseconds since 1970 UTC.
    pub(super) put_ms: AtomicI64,
    /// What its runner can do, and when it said so.
    pub(super) capabilities: Mutex<Option<(Instant, Bytes)>>,
}

impl Held {
    pub(crate) fn capabilities(&self) -> Option<(Instant, Bytes)> {
        self.capabilities.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_capabilities(&self, at: Instant, body: Bytes) {
        *self.capabilities.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, body));
    }

    /// What it was told to be.
    pub fn settings(&self) -> Checked {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a finished run has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether nobody has used or changed it since a time in milliseconds since 1970 UTC.
    pub(super) fn is_idle_since(&self, before: i64) -> bool {
        self.put_ms.load(Ordering::Relaxed).max(self.session.last_ms()) < before
            && self.session.tail().subscribers() == 0
            && self.session.snapshot().open_run.is_none()
    }

    /// Whether a run had finished when its log was opened, and nothing has followed from it: it was
    /// not stopped, and not put again.
    pub(super) fn has_unanswered_run(&self) -> bool {
        self.session.finished_ms() > self.put_ms.load(Ordering::Relaxed)
            && self.session.snapshot().open_run.is_none()
    }

    /// Its thread, or the name that stands for it before there is one.
    pub fn thread(&self) -> String {
        let thread = self.session.snapshot().thread;
        thread.unwrap_or_else(|| self.session.key().session().to_owned())
    }
}
