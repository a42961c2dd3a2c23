//! The orchestrator on a driver without processes: facts about whole lives.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod checkpoint;
mod cleanup;
mod client_gone;
mod create;
mod delete;
mod drain;
mod ends;
#[cfg(feature = "grpc")]
mod error_table;
mod events;
mod force;
#[cfg(feature = "grpc")]
mod grpc;
mod openapi;
mod park;
mod pool;
mod repeats;
mod rest;
mod restart;
mod restore;
mod scale;
mod status;
mod stress;
mod watch;
mod world;
