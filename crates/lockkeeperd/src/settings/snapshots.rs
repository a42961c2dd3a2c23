//! Where snapshots are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orchestrator::snapshots::{Bucket, Retention, SnapshotStore};
use service::Refused;
use service::settings::{Key, Kind, OptionalKey, Setting, SettingValue, Size, Values};

static SNAPSHOT_STORE: OptionalKey<Place> = OptionalKey::new(
    "SNAPSHOT_STORE",
    "STATE_DIR/snapshots",
    "A folder, or a bucket: s3://BUCKET or s3://BUCKET/FOLDER, of Amazon S3 or what speaks its \
     protocol, with the usual AWS_ variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, \
     AWS_ENDPOINT_URL, AWS_ALLOW_HTTP) in the environment. Nodes that share it make sandboxes from \
     each other's.",
);
static SNAPSHOT_TTL: Key<Duration> =
    Key::new("SNAPSHOT_TTL", "0", "How long a snapshot is kept, whoever made it.")
        .range("1m", "3650d")
        .zero("until it is deleted");
static SNAPSHOT_MAX_BYTES: Key<Size> = Key::new(
    "SNAPSHOT_MAX_BYTES",
    "0",
    "Snapshots in the store; past it the oldest are removed after each checkpoint.",
)
.range("16 MiB", "1048576 GiB")
.zero("no limit");

/// The settings about it.
pub(super) fn settings() -> [&'static Setting; 3] {
    [SNAPSHOT_STORE.setting(), SNAPSHOT_TTL.setting(), SNAPSHOT_MAX_BYTES.setting()]
}

/// Opens the place. Blocks for a few file operations.
///
/// # Errors
/// When a folder cannot be made or opened, or the environment of a bucket makes no sense.
pub(crate) fn open(
    values: &Values,
    state_dir: &Path,
    node_id: &str,
) -> Result<SnapshotStore, Refused> {
    let refused = |e: &dyn std::fmt::Display| Refused::system("SNAPSHOT_STORE", e);
    let retention =
        Retention { ttl: values.get(&SNAPSHOT_TTL), max_bytes: values.get(&SNAPSHOT_MAX_BYTES).0 };
    match values.find(&SNAPSHOT_STORE) {
        Some(Place::Bucket(bucket)) => {
            SnapshotStore::s3(&bucket, node_id, retention).map_err(|e| refused(&e))
        }
        Some(Place::Folder(folder)) => {
            SnapshotStore::folder(&folder, node_id, retention).map_err(|e| refused(&e))
        }
        None => SnapshotStore::folder(&state_dir.join("snapshots"), node_id, retention)
            .map_err(|e| refused(&e)),
    }
}

/// A place that keeps snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Bucket(Bucket),
}

impl SettingValue for Place {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return PathBuf::read(text).map(Self::Folder);
        }
        // The text may hold a secret.
        text.parse()
            .map(Self::Bucket)
            .map_err(|e: orchestrator::snapshots::BucketError| e.to_string())
    }

    fn show(&self) -> String {
        match self {
            Self::Folder(path) => path.show(),
            Self::Bucket(bucket) => bucket.to_string(),
        }
    }
}
