#![doc = include_str!("../README.md")]

pub mod access;
mod exit;
pub mod shutdown;

use std::pin::Pin;

pub use exit::ExitStatus;

/// A boxed future, so that the traits here can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
