#![doc = include_str!("../README.md")]

mod error;
mod fields;
mod node;
mod policies;
#[cfg(feature = "grpc")]
pub mod proto;
mod reason;
mod restart;
mod sandbox;
mod snapshot;
mod time_span;
mod watch;

pub use error::{ApiError, ErrorBody, ErrorFields, SandboxAfter};
pub use fields::{Fields, Mistake, Mistakes, nearest, request_id_mistake};
pub use node::{
    Capacity, DrainReport, DrainRequest, DrainView, Isolation, NodeInfo, NodeStatus, PoolStock,
    Slots, StatusRequest,
};
pub use policies::{DrainPolicy, ExpirePolicy, OperationRequest};
pub use reason::{GrpcCode, Reason, Retry};
pub use restart::RestartRequest;
pub use sandbox::{
    BrowserView, CreateRequest, DeleteWait, EndedBrowserView, ExitPolicy, PhaseTimes,
    SandboxDetails, SandboxList, SandboxState, SandboxView, UpdateRequest, UsageView,
    label_mistake, label_mistakes,
};
pub use snapshot::{CheckpointView, SnapshotList, SnapshotView};
pub use time_span::{TimeSpan, TimeSpanError};
pub use watch::SandboxEvent;
