//! Pure: what can go wrong, and whether trying again can help.

#[cfg(test)]
mod tests;

/// Whether the same call can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Yes, after a pause: 250 ms at first, up to 5 s.
    Later,
    /// No: something else has to change first.
    Never,
}

/// Why a log was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The storage does not answer.
    #[error("the log's storage is unavailable: {cause}")]
    Unavailable {
        /// What it said.
        cause: String,
    },
    /// There is no room.
    #[error("the log's storage is full: {cause}")]
    Full {
        /// What it said.
        cause: String,
    },
    /// Another process has it open.
    #[error("the log is open in another process: {cause}")]
    Fenced {
        /// Who, as far as that is known.
        cause: String,
    },
    /// A newer program wrote it.
    #[error("the log has format {found}, this program knows up to {known}: use the newer program")]
    NewerFormat {
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// The store was closed.
    #[error("the store was closed")]
    Closed,
}

/// Why a batch was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// There is no room.
    #[error("the log is full: {cause}")]
    Full {
        /// What the storage said.
        cause: String,
    },
    /// The storage does not answer. Whether the batch was stored may be open: append it again under
    /// the same [`crate::DedupeId`].
    #[error("the log is unavailable: {cause}")]
    Unavailable {
        /// What the storage said.
        cause: String,
    },
    /// Another writer took over.
    #[error("another writer took over the log: open it again")]
    Fenced,
    /// The batch is over the backend's limit.
    #[error("a batch of {bytes} bytes: this backend takes at most {limit}, split it")]
    TooLarge {
        /// Its size, as [`crate::Batch::bytes`] counts it.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The log was closed or deleted.
    #[error("the log was closed")]
    Closed,
}

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such offset yet.
    #[error("the log ends before that offset: the next record gets {next}")]
    Ahead {
        /// The offset that the next record will get.
        next: u64,
    },
    /// The storage does not answer.
    #[error("the log is unavailable: {cause}")]
    Unavailable {
        /// What the storage said.
        cause: String,
    },
    /// The storage is damaged beyond single records.
    #[error("the log is damaged: {cause}")]
    Corrupt {
        /// What was found.
        cause: String,
    },
    /// The log was deleted, or its store closed.
    #[error("the log was closed")]
    Closed,
}

/// Why a call that changes no record failed: list, trim, delete, close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The storage does not answer.
    #[error("the log's storage is unavailable: {cause}")]
    Unavailable {
        /// What it said.
        cause: String,
    },
    /// Another writer took over.
    #[error("another writer took over the log: open it again")]
    Fenced,
    /// The log or the store was closed.
    #[error("the log was closed")]
    Closed,
}

macro_rules! kinds {
    ($($ty:ident { $($variant:ident => $kind:literal, $retry:ident;)+ })+) => {$(
        impl $ty {
            /// A stable word for metric labels.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $kind,)+
                }
            }

            /// Whether the same call can succeed later.
            #[must_use]
            pub const fn retry(&self) -> Retry {
                match self {
                    $(Self::$variant { .. } => Retry::$retry,)+
                }
            }
        }
    )+};
}

kinds! {
    OpenError {
        Unavailable => "unavailable", Later;
        Full => "full", Later;
        Fenced => "fenced", Later;
        NewerFormat => "newer_format", Never;
        Closed => "closed", Never;
    }
    AppendError {
        Full => "full", Later;
        Unavailable => "unavailable", Later;
        Fenced => "fenced", Never;
        TooLarge => "too_large", Never;
        Closed => "closed", Never;
    }
    ReadError {
        Ahead => "ahead", Later;
        Unavailable => "unavailable", Later;
        Corrupt => "corrupt", Never;
        Closed => "closed", Never;
    }
    StoreError {
        Unavailable => "unavailable", Later;
        Fenced => "fenced", Never;
        Closed => "closed", Never;
    }
}
