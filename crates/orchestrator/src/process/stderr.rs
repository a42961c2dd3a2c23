//! The browser's stderr: its address once, and its log for as long as it lives.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use upstream::{AnnounceScanner, LineCutter, PrefixForm, Scan, UrlPolicy, WsUrl};

use super::log_ring::LogRing;

/// Longer lines are cut: no address is longer, and a page can write lines of any length.
const LINE: usize = 8 * 1024;

/// Reads the pipe in a task until its last writer is gone: a browser that finds it full would stop.
/// The first valid address goes to the receiver; later ones are only log lines, so that the text of
/// a page can never redirect anybody.
pub(crate) fn follow(
    pipe: OwnedFd,
    log: Arc<Mutex<LogRing>>,
    tasks: &mut JoinSet<()>,
) -> oneshot::Receiver<WsUrl> {
    let (found, address) = oneshot::channel();
    tasks.spawn(async move {
        match pipe::Receiver::from_owned_fd(pipe) {
            Ok(pipe) => copy(pipe, &log, found).await,
            Err(e) => tracing::error!(error = %e, "a browser's stderr cannot be read"),
        }
    });
    address
}

async fn copy(mut pipe: pipe::Receiver, log: &Mutex<LogRing>, found: oneshot::Sender<WsUrl>) {
    let mut scanner = AnnounceScanner::new(UrlPolicy::default(), PrefixForm::None);
    let mut cutter = LineCutter::new(LINE);
    let mut found = Some(found);
    let mut buffer = vec![0; 4096];
    loop {
        let mut line = |line: &[u8]| {
            let text = String::from_utf8_lossy(line);
            log.lock().unwrap_or_else(PoisonError::into_inner).push(&text);
            if let Scan::Announced(url) = scanner.scan(line)
                && let Some(found) = found.take()
            {
                let _ = found.send(url);
            }
        };
        match pipe.read(&mut buffer).await {
            Ok(0) => return cutter.finish(line),
            Ok(read) => cutter.push(&buffer[..read], &mut line),
            Err(e) => {
                tracing::warn!(error = %e, "a browser's stderr can no longer be read");
                return cutter.finish(line);
            }
        }
    }
}
