#![doc = include_str!("../README.md")]

pub mod access;
mod admin;
pub mod daemon;
mod exit;
pub mod http;
mod lock;
mod open_files;
mod readiness;
mod reload;
mod runtime;
mod service;
pub mod settings;
pub mod shutdown;
mod signals;

use std::any::Any;
use std::pin::Pin;

pub use admin::Admin;
pub use daemon::Refused;
pub use exit::ExitStatus;
pub use lock::{LockError, StateLock};
pub use open_files::{OpenFiles, raise_open_files};
pub use readiness::{Door, Readiness, Verdict};
pub use reload::Reload;
pub use runtime::{run, say};
pub use service::{Service, ServiceBuilder, ShutdownHandle, ShutdownState};
pub use signals::{Heard, SIGNAL_GAP, SignalCounter, SignalName, SignalSource, Signals};

/// A boxed future, so that the traits here can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a panic said, if it said it in words.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
