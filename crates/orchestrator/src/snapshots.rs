//! Snapshots: profiles that stand in a store of their own, from which other sandboxes are made, on
//! this node or another.
//!
//! ```text
//! manifests/<id>.json               what it is; a snapshot exists once this does
//! archives/<node>/<id>.tar.zst      its profile, written before
//! ```
//!
//! An archive without a manifest is what a save left that did not come to its end. Nobody sees it,
//! and the node that wrote it removes it at its next start.

mod archive;
mod entries;
mod error;
mod id;
mod keep;
mod manifest;
mod retention;
mod s3;
mod store;

pub use self::archive::{ArchiveSink, ArchiveSource};
pub use self::entries::{Entry, EntryKind, EntryRefused, Limits, check_entry, is_kept};
pub use self::error::StoreError;
pub use self::id::{SnapshotId, SnapshotIdError};
pub use self::manifest::{About, Manifest, major};
pub use self::retention::{Retention, Stored};
pub use self::s3::{Bucket, BucketError, S3Error};
pub use self::store::{SnapshotPage, SnapshotStore};
