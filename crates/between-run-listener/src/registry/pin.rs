//! What holds a session.

use std::fmt;
use std::sync::Arc;

use crate::feed::SessionKey;

use super::{Inner, now};

/// Holds a session: while it lives the session's listener is not stale. Dropping it lets go.
#[must_use = "dropping it lets the session become stale"]
pub struct Pin {
    registry: Arc<Inner>,
    key: SessionKey,
}

impl Pin {
    pub(super) fn new(registry: &Arc<Inner>, key: SessionKey) -> Self {
        Self { registry: Arc::clone(registry), key }
    }

    /// Which session.
    pub const fn key(&self) -> &SessionKey {
        &self.key
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.key).finish()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.registry.table().unpin(&self.key, now());
    }
}
