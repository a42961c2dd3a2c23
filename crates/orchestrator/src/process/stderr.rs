//! The browser's stderr: its address once, and its log for as long as it lives.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::unix::pipe;
use tokio::task::JoinSet;
use upstream::UrlPolicy;
use upstream::sources::{Announced, ChildStderr};

use super::log_ring::LogRing;

/// Reads the pipe in a task until its last writer is gone: a browser that finds it full would stop.
/// Only a loopback address is taken, and only the first one: the text of a page can never redirect
/// anybody.
pub(crate) fn follow(
    stderr: OwnedFd,
    log: Arc<Mutex<LogRing>>,
    tasks: &mut JoinSet<()>,
) -> io::Result<Announced> {
    let pipe = pipe::Receiver::from_owned_fd(stderr)?;
    let (reader, address) = ChildStderr::new(pipe, UrlPolicy::default());
    tasks.spawn(async move {
        let sink = |line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            log.lock().unwrap_or_else(PoisonError::into_inner).push(&line);
        };
        if let Some(error) = reader.drain(sink).await.error {
            tracing::warn!(%error, "a browser's stderr could not be read to its end");
        }
    });
    Ok(address)
}
