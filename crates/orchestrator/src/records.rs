//! What is on disk of each sandbox, so that the next daemon knows what this one had.
//!
//! One file a sandbox, written whole (aside, `fsync`, rename, `fsync` of the folder) by one task at a
//! time. A change is put in under the registry's lock, which costs no disk; whoever reports it waits
//! for [`Records::durable`] first. Of several changes to one sandbox only the latest is written, so
//! at most one entry waits for each.

mod file;
mod store;
mod writer;

pub(crate) use file::{Launch, StoredRecord};
pub(crate) use writer::{Records, Ticket};

#[cfg(test)]
mod tests;
