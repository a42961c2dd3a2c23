//! The event vocabulary, the way events enter the log, and the ways they leave it.

pub mod events;
pub mod fields;
mod handle;
pub mod metrics;
pub mod value;
pub mod words;

pub use handle::{QUEUE_BYTES, QUEUE_EVENTS, Telemetry};
