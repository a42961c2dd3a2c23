#![doc = include_str!("../README.md")]

mod error;
mod fields;
mod node;
mod policies;
mod reason;
mod restart;
mod sandbox;
mod snapshot;
mod time_span;
mod watch;

pub use error::{ApiError, ErrorBody, ErrorFields, SandboxAfter};
pub use fields::{Fields, Mistake, Mistakes, nearest};
pub use node::{
    Capacity, DrainReport, DrainRequest, DrainView, Isolation, NodeInfo, NodeStatus, PoolStock,
    Slots, StatusRequest,
};
pub use policies::{DrainPolicy, ExpirePolicy, OperationRequest};
pub use reason::{GrpcCode, Reason, Retry};
pub use restart::RestartRequest;
pub use sandbox::{
    BrowserView, CreateRequest, DeleteWait, ExitPolicy, PhaseTimes, SandboxList, SandboxState,
    SandboxView, UpdateRequest, label_mistake,
};
pub use snapshot::{CheckpointView, SnapshotList, SnapshotView};
pub use time_span::{TimeSpan, TimeSpanError};
pub use watch::SandboxEvent;
