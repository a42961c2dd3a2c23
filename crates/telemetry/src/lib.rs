#![doc = include_str!("../README.md")]

mod api;
pub mod catalogue;
pub mod commands;
mod config;
mod envelope;
pub mod events;
mod feed;
pub mod fields;
mod handle;
pub mod metrics;
mod owner;
mod query;
mod settings;
pub mod sinks;
mod store;
mod stream;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod tracing_setup;
mod truncate;
pub mod value;
pub mod words;
mod writer;

pub use api::BODY_MAX;
pub use config::{BadChange, Change, Config, Control, Switch};
pub use feed::{RING_BYTES, RING_EVENTS};
pub use handle::{QUEUE_BYTES, QUEUE_EVENTS, Telemetry};
pub use owner::{CloseReport, SINK_FLUSH, Streams, TelemetryMetrics, TelemetryOwner};
pub use query::{PAGE_DEFAULT, PAGE_MAX};
pub use settings::Settings;
pub use truncate::{LONG_LIST, LONG_STRING, NAMED_CUTS};
