#![doc = include_str!("../README.md")]

pub mod browsers;
pub mod config;
pub mod driver;
mod face;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod ids;
pub mod launch;
pub mod lifecycle;
mod metrics;
pub mod node;
pub mod pool;
pub mod process;
mod records;
pub mod registry;
mod rest;
mod runners;
pub mod snapshots;
pub mod templates;
pub mod urls;
pub mod watch;

mod shell;

pub use config::Config;
pub use face::Caller;
pub use metrics::Metrics;
pub use runners::Runners;
pub use shell::{
    Blocker, ChangeError, CheckpointError, Checkpointed, CreateError, DeleteError, DeleteOptions,
    DrainCounts, DrainTotals, DrainWatch, ForceError, ForceReason, ForceReport, LifeStep,
    ListFilter, LiveSandbox, LookupError, OperationRefused, OperatorDrain, Orchestrator, Page,
    PauseError, PauseOptions, RestartError, ResumeError, RoomRefused, Snapshot, SnapshotError,
    Stuck, Watch, Watched,
};
pub use templates::Template;
