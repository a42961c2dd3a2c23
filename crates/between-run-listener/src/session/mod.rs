//! Sessions: what a runner says is guarded, logged, and then shown.

pub mod event;
pub mod lane;
pub mod order;
mod schema;
pub mod status;
