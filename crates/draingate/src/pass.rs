//! The two passes. Holding one is the message "busy"; nothing else is sent.
//!
//! Neither is `Clone` and neither has a release method: a pass is released by its drop, exactly
//! once, however its scope ends.

use std::fmt;

use crate::{shared::Shared, sync::Arc};

/// One that is inside, for as long as it borrows the gate. From [`Gate::enter`](crate::Gate::enter).
#[must_use = "the work counts as finished as soon as the pass is dropped: bind it (`let _pass`)"]
pub struct Pass<'gate> {
    shared: &'gate Shared,
}

impl<'gate> Pass<'gate> {
    /// Takes over a place that was counted in.
    #[inline]
    pub(crate) fn new(shared: &'gate Shared) -> Self {
        Self { shared }
    }
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        self.shared.release();
    }
}

impl fmt::Debug for Pass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass")
    }
}

/// One that is inside, wherever it is moved to. From
/// [`Gate::enter_owned`](crate::Gate::enter_owned) and
/// [`Gate::enter_labelled`](crate::Gate::enter_labelled).
///
/// It belongs to the longest-lived thing that it covers: into the relay or the start, past the
/// request that asked for it.
#[must_use = "the work counts as finished as soon as the pass is dropped: move it into the work"]
pub struct OwnedPass {
    shared: Arc<Shared>,
    /// The place in the table of labelled holders.
    key: Option<u64>,
}

impl OwnedPass {
    /// Takes over a place that was counted in.
    #[inline]
    pub(crate) fn unlabelled(shared: Arc<Shared>) -> Self {
        Self { shared, key: None }
    }

    /// Takes over a place that was counted in and written into the table.
    pub(crate) fn labelled(shared: Arc<Shared>, key: u64) -> Self {
        Self { shared, key: Some(key) }
    }
}

impl Drop for OwnedPass {
    #[inline]
    fn drop(&mut self) {
        match self.key {
            None => self.shared.release(),
            Some(key) => self.shared.release_labelled(key),
        }
    }
}

impl fmt::Debug for OwnedPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPass").field("labelled", &self.key.is_some()).finish()
    }
}
