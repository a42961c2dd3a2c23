#![doc = include_str!("../README.md")]

pub mod api;
pub mod feed;
pub mod http;
pub mod listener;
pub mod log;
pub mod registry;
pub mod session;
pub mod sse;

pub use feed::{Batch, BoxFuture, Connection, Feed, FeedError, KeyError, SessionKey};
