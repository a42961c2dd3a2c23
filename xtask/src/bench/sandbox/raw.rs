//! A browser without a daemon: started by hand, with the same switches, as a user of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use testkit::procs;

/// The user of the raw browser: outside the range that the daemon hands out.
const RAW_USER: u32 = 60_590;

/// A raw browser that has said where it listens. Dropping it kills it.
pub(super) struct Raw {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Raw {
    /// Starts it with this command line, but with a profile of its own.
    ///
    /// # Errors
    /// When it ends before it says where it listens.
    pub(super) fn start(command: &[String]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("raw-browser-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        let root = nix::unistd::geteuid().is_root();
        if root {
            chown(folder.path(), Some(RAW_USER), Some(RAW_USER))?;
        }
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        let switches = command[1..].iter().map(|word| {
            if word.starts_with("--user-data-dir=") { profile.clone() } else { word.clone() }
        });
        let mut browser = Command::new(&command[0]);
        browser
            .args(switches)
            .env_clear()
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if root {
            browser.uid(RAW_USER).gid(RAW_USER);
        }
        let child = browser.spawn().with_context(|| format!("{} did not start", command[0]))?;
        let mut raw = Self { child, url: String::new(), _folder: folder };
        raw.url = address(raw.child.stderr.take().context("piped")?)?;
        Ok(raw)
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub(super) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Kills it and waits until nothing of it lives.
    ///
    /// # Errors
    /// When something of it still lives after five seconds.
    pub(super) fn end(mut self) -> Result<()> {
        let family = procs::descendants(self.pid());
        self.kill();
        if let Err(left) = procs::wait_all_gone(&family, Duration::from_secs(5)) {
            bail!("the raw browser left {left:?}");
        }
        Ok(())
    }

    fn kill(&mut self) {
        // Once it was waited for, its group may be anybody's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.kill();
    }
}

fn address(stderr: ChildStderr) -> Result<String> {
    let mut lines = BufReader::new(stderr).lines();
    loop {
        let line = lines.next().context("the raw browser ended")??;
        if let Some(url) = line.strip_prefix("DevTools listening on ") {
            let url = url.trim().to_owned();
            // Whoever stops reading a browser's log stops the browser.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(url);
        }
    }
}
