//! What the tests stand on.

pub mod browser;
pub mod events;
pub mod http;
pub mod world;
pub mod ws;
