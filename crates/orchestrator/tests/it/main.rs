//! The orchestrator on a driver without processes: facts about whole lives.

mod cleanup;
mod client_gone;
mod create;
mod delete;
mod drain;
mod ends;
mod force;
mod rest;
mod status;
mod stress;
mod world;
