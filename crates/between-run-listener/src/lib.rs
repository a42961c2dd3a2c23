#![doc = include_str!("../README.md")]

pub mod feed;
pub mod listener;
pub mod sse;

pub use feed::{Batch, BoxFuture, Connection, Feed, FeedError, KeyError, SessionKey};
