//! Sandbox lifecycle, drivers, TTL, REST API, node status, drain.

pub mod driver;
pub mod process;
