//! The `DevToolsActivePort` file that a browser leaves in its profile.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::restart::{End, Progress, Restarts, guarded};
use super::watch::{Newest, watch};
use super::{FILE_TICK, Timing};
use crate::checker::{Checker, Origin, Rules};
use crate::counts::UrlRefusal;
use crate::publish::Publisher;
use crate::url::{UrlError, UrlPolicy, WsUrl, host_for_log};

/// How often the file is read: one short read of a local file.
const TICK: Duration = Duration::from_millis(250);
/// Longest content that can be right: a port, and the browser path with its id.
const MAX_FILE: u64 = 1024;

/// Reads the port file of a browser that somebody else starts. Chromium leaves the file behind at
/// every kind of exit, so an address in it counts only when the browser there confirms its
/// instance id. Whoever starts the browser removes the file first. Cannot know why a browser ended.
#[derive(Debug)]
pub struct PortFile {
    place: Place,
    /// The content that was handled last.
    content: Vec<u8>,
    newest: Newest,
    checker: Checker,
    restarts: Restarts,
}

#[derive(Clone, Debug)]
struct Place {
    path: PathBuf,
    host: String,
    policy: UrlPolicy,
}

impl PortFile {
    /// What this source says about [`Upstream::restart_expected`](crate::Upstream).
    pub const RESTART_EXPECTED: bool = false;

    /// A source that reads the file at `path`, which need not exist yet. The file names no host:
    /// `host` is where the browser listens, as the policy must allow it; an IPv6 address without
    /// brackets.
    pub fn new(path: PathBuf, host: &str, policy: UrlPolicy, timing: Timing) -> Self {
        let rules = Rules {
            origin: Origin::Announced,
            ready_every: timing.verify_interval,
            waiting_every: FILE_TICK,
            adopt: false,
            start_timeout: timing.start_timeout,
        };
        Self {
            place: Place { path, host: host.to_owned(), policy },
            content: Vec::new(),
            newest: Newest::new(Vec::new()),
            checker: Checker::new(rules),
            restarts: Restarts::default(),
        }
    }

    /// Reports to `publisher` until nobody will start another browser.
    ///
    /// # Cancel safety
    /// Dropping the future stops the source; at most one short read of the file is finished in the
    /// background. It may be run again.
    pub async fn run(&mut self, publisher: &Publisher) {
        loop {
            let progress = Progress::default();
            let Self { place, content, newest, checker, .. } = self;
            let once = async {
                tokio::select! {
                    end = read(place, content, newest, publisher) => end,
                    end = watch(publisher, checker, Some(newest), &progress) => end,
                }
            };
            let outcome = guarded(once).await;
            if !self.restarts.again(publisher, "port_file", &progress, outcome).await {
                return;
            }
        }
    }
}

async fn read(place: &Place, content: &mut Vec<u8>, newest: &Newest, publisher: &Publisher) -> End {
    loop {
        let path = place.path.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || load(&path)).await else {
            return End::Failed("the reader of the port file panicked");
        };
        // A file that is missing or not readable says nothing about the browser.
        let found = found.unwrap_or_default();
        if found != *content {
            match parse(&found, &place.host, &place.policy) {
                Some(Ok(url)) => {
                    newest.send_replace(vec![url]);
                }
                Some(Err(why)) => {
                    let host = host_for_log(&format!("ws://{}/", place.host));
                    publisher.refused_url(UrlRefusal::Form(why), &host, 1);
                }
                None => {}
            }
            *content = found;
        }
        sleep(TICK).await;
    }
}

fn load(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

/// Two lines: the port, and the path without a newline at its end. `None` while the second line is
/// not there yet.
fn parse(content: &[u8], host: &str, policy: &UrlPolicy) -> Option<Result<WsUrl, UrlError>> {
    let text = String::from_utf8_lossy(content);
    let (port, path) = text.trim_end().split_once('\n')?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = port.trim_end();
    let number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if !number {
        return Some(Err(UrlError::Port));
    }
    if !path.starts_with('/') {
        return Some(Err(UrlError::Path));
    }
    Some(WsUrl::parse(&format!("ws://{host}:{port}{path}"), policy))
}

#[cfg(test)]
mod tests;
