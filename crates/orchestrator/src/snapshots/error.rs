//! What a store fails with.

use std::io;

use crate::driver::ProfileError;

/// Why the store did not do it. The text has no host path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such snapshot.
    #[error("no snapshot with the id `{0}` is stored")]
    NotFound(String),
    /// It has no room.
    #[error("the snapshot store is full: {0}; remove snapshots, or give it more room")]
    Full(String),
    /// It does not answer, or refuses.
    #[error("the snapshot store failed: {0}")]
    Unavailable(String),
    /// What it gave is not what was put in.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// Nobody wanted it any more.
    #[error("it was cut short")]
    Cut,
    /// The driver did not read or write the profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl StoreError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Full(_) => "full",
            Self::Unavailable(_) => "unavailable",
            Self::Damaged(_) => "damaged",
            Self::Cut => "cut",
            Self::Profile(error) => error.kind(),
        }
    }
}

/// What an error means, without the paths and addresses that its own text has.
pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> StoreError {
    tracing::warn!(error, "the snapshot store");
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(e) = error.downcast_ref::<io::Error>() {
            let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
            if full.contains(&e.kind()) || e.kind() == io::ErrorKind::FileTooLarge {
                return StoreError::Full(e.kind().to_string());
            }
            if e.raw_os_error().is_some() {
                return StoreError::Unavailable(e.to_string());
            }
            if let Some(inner) = e.get_ref() {
                next = Some(inner);
                continue;
            }
            return StoreError::Damaged(e.to_string());
        }
        if let Some(e) = error.downcast_ref::<object_store::Error>() {
            match e {
                object_store::Error::NotFound { .. } => {
                    return StoreError::Damaged("a part of it is missing".to_owned());
                }
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. } => {
                    return StoreError::Unavailable("it refuses this node's access".to_owned());
                }
                _ => {}
            }
        }
        next = error.source();
    }
    StoreError::Unavailable("it did not do what it was asked; the log says more".to_owned())
}
