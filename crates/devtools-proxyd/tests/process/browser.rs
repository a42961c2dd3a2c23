//! A browser as another supervisor would run it: with a user, a profile and a log of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

const SHELL: &str = "/usr/lib/chromium/chromium-headless-shell";
/// An id that nobody on the machine has, as the browser must not be root.
const USER: u32 = 60_580;

/// Whether this machine has what these tests start.
pub(crate) fn is_installed() -> bool {
    Path::new(SHELL).exists() && (!geteuid().is_root() || Path::new("/usr/bin/setpriv").exists())
}

/// Where browsers, one after the other, leave their profile and their log.
pub(crate) struct Supervisor {
    folder: TempDir,
    port: u16,
}

impl Supervisor {
    /// Browsers that take any free port.
    pub(crate) fn new() -> io::Result<Self> {
        Self::on_port(0)
    }

    /// Browsers that all take the same port, which is free now.
    pub(crate) fn on_one_port() -> io::Result<Self> {
        Self::on_port(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
    }

    fn on_port(port: u16) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lockkeeper-proxyd-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let this = Self { folder, port };
        std::fs::create_dir(this.profile())?;
        if geteuid().is_root() {
            chown(this.profile(), Some(USER), Some(USER))?;
        }
        Ok(this)
    }

    fn profile(&self) -> PathBuf {
        self.folder.path().join("profile")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("browser.log")
    }

    pub(crate) fn port_file(&self) -> PathBuf {
        self.profile().join("DevToolsActivePort")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What the log says the newest browser's address is.
    pub(crate) fn announced(&self) -> Option<String> {
        let log = std::fs::read_to_string(self.log()).ok()?;
        let line = log.lines().rev().find_map(|l| l.strip_prefix("DevTools listening on "))?;
        Some(line.trim().to_owned())
    }

    /// Adds a line to the log, as a page can whose console goes there.
    pub(crate) fn print(&self, line: &str) -> io::Result<()> {
        writeln!(OpenOptions::new().append(true).open(self.log())?, "{line}")
    }

    /// Starts the next browser.
    pub(crate) fn start(&self) -> io::Result<Browser> {
        // Left behind by every browser, and wrong for the next one.
        match std::fs::remove_file(self.port_file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let log: File = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("/usr/bin/setpriv");
            command.arg(format!("--reuid={USER}")).arg(format!("--regid={USER}")).args([
                "--clear-groups",
                "--",
                SHELL,
            ]);
            command
        } else {
            Command::new(SHELL)
        };
        let child = command
            .args(["--disable-gpu", "--no-first-run"])
            .arg(format!("--user-data-dir={}", self.profile().display()))
            .arg(format!("--remote-debugging-port={}", self.port))
            .arg("about:blank")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.profile())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()?;
        Ok(Browser(child))
    }
}

/// A running browser. Dropping it kills it and its whole group.
pub(crate) struct Browser(Child);

impl Browser {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    /// Kills the main process only, as the kernel's memory killer would.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        kill(self.pid(), Signal::SIGKILL)?;
        self.0.wait().map(drop)
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}
