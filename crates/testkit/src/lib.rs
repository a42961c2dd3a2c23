#![doc = include_str!("../README.md")]

#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod procs;
