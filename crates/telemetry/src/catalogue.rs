//! Pure: what the code knows about events and metrics, as pages for people and a schema for
//! programs. Nothing of it is kept by hand.

mod markdown;
mod schema;

#[cfg(test)]
mod tests;

pub use markdown::{events_page, metrics_page};
pub use schema::schema;

pub(crate) use schema::member;
