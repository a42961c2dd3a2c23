//! The facts that hold for a log on every backend.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of a test module")]

mod crowd;
mod facts;
mod memory;
mod model;
#[cfg(feature = "sqlite")]
mod sqlite;
mod suite;
