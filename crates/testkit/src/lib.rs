#![doc = include_str!("../README.md")]

#[cfg(feature = "daemon")]
pub mod census;
#[cfg(feature = "certificate")]
pub mod certificate;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "fake-driver")]
pub mod fake_driver;
#[cfg(feature = "daemon")]
pub mod procs;
#[cfg(feature = "runner")]
pub mod runner;
