//! Settings: described once, read from everywhere, every mistake reported at once.
//!
//! A daemon declares its [`Key`]s, puts them into a [`Table`] and calls [`load`]. Default, file,
//! environment and flags are read in that order, later ones win. Nothing is opened before all of it
//! has been read.

mod docs;
mod layers;
mod load;
mod mistake;
mod setting;
pub mod shared;
mod table;
mod units;
mod value;

#[cfg(test)]
mod tests;

pub use load::{Environment, Invocation, load};
pub(crate) use mistake::hint as meant;
pub use mistake::{Mistake, Mistakes, Source};
pub use setting::{Key, OptionalKey, PREFIX, Setting};
pub use table::{Finding, Table, Values};
pub(crate) use units::show_duration;
pub use value::{Kind, PublicUrl, Secret, SettingValue, Size};
