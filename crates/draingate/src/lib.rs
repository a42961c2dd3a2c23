#![doc = include_str!("../README.md")]

mod gate;
mod pass;
mod report;
mod shared;
mod sync;
mod wait;

pub use gate::{Draining, Gate, Keeper};
pub use pass::{OwnedPass, Pass};
pub use report::{DrainReport, Holder, Label, State};
