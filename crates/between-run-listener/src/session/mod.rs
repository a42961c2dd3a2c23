//! Sessions: what a runner says is guarded, logged, and then shown.

mod activity;
mod bases;
pub mod cursor;
pub mod event;
pub mod fold;
mod folder;
mod handle;
pub mod lane;
mod names;
mod observe;
pub mod order;
pub mod pile;
mod run;
mod schema;
pub mod sessions;
pub mod settings;
mod shared;
pub mod status;
pub mod tail;
pub mod view;
mod writer;

pub use bases::{BasesError, Seal};
pub use handle::{Closed, Session, Setup, Start};
pub use observe::{Observe, OnActivity, OnStop};
pub use sessions::{Held, Options, Put, Sessions, SessionsError};
pub use shared::{Snapshot, Stall};
