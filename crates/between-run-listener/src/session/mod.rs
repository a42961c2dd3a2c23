//! Sessions: what a runner says is guarded, logged, and then shown.

pub mod cursor;
pub mod event;
mod handle;
pub mod lane;
mod names;
pub mod order;
mod run;
mod schema;
pub mod sessions;
pub mod settings;
mod shared;
pub mod status;
pub mod tail;
pub mod view;
mod writer;

pub use handle::{Closed, Session, Start};
pub use sessions::{Held, Options, Put, Sessions, SessionsError};
pub use shared::Snapshot;
