//! Whether there is a browser, and whether it starts with its own sandbox on.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Check;

/// Where distributions and vendors put the binaries.
const FOLDERS: [&str; 6] = [
    "/usr/lib/chromium",
    "/usr/lib/chromium-browser",
    "/usr/lib64/chromium-browser",
    "/usr/lib/chromium-headless-shell",
    "/opt/google/chrome",
    "/opt/chrome-headless-shell",
];
/// The names of the binaries, the small one first, as a node prefers it.
const NAMES: [&str; 8] = [
    "chromium-headless-shell",
    "chrome-headless-shell",
    "headless_shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
];
const INSTALL: &str = "install one, on Debian with `apt-get install chromium-headless-shell`, or \
                       name its binary with LOCKKEEPER_BROWSER";
/// What the browser writes when it can be spoken to.
const LISTENING: &str = "DevTools listening on ws://";
/// A cold start on a busy machine takes a few seconds.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The first of the users that a node gives to sandboxes; a browser refuses to run as root.
const SANDBOX_UID: u32 = 60_600;
/// How many lines of its log are kept for the answer.
const KEPT_LINES: usize = 3;

/// The first binary that a node would use.
///
/// # Errors
/// The failed check, when there is none.
pub(super) fn search(named: Option<&Path>, path: Option<&OsStr>) -> Result<PathBuf, Check> {
    if let Some(named) = named {
        return match elf(named) {
            Ok(()) => Ok(named.to_owned()),
            Err(why) => {
                let seen = format!("{} is {why}", named.display());
                Err(Check::broken("browser", seen, "name the binary itself, not a script"))
            }
        };
    }
    let in_path = path.map(std::env::split_paths).into_iter().flatten();
    let places: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).chain(in_path).collect();
    let candidates = NAMES.iter().flat_map(|name| places.iter().map(move |dir| dir.join(name)));
    let found = candidates.filter(|path| path.is_absolute()).find(|path| elf(path).is_ok());
    found.ok_or_else(|| {
        let seen = format!("none of {} in {} or PATH", NAMES.join(", "), FOLDERS.join(", "));
        Check::broken("browser", seen, INSTALL)
    })
}

/// Whether a file is a program itself. Killing a script leaves the browser that it started alive.
fn elf(path: &Path) -> Result<(), &'static str> {
    let mut file = File::open(path).map_err(|_| "not readable")?;
    let mode = file.metadata().map_err(|_| "not readable")?.permissions().mode();
    if mode & 0o001 == 0 {
        return Err("not executable for every user");
    }
    let mut start = [0; 4];
    match file.read_exact(&mut start) {
        Ok(()) if start == *b"\x7fELF" => Ok(()),
        Ok(()) | Err(_) => Err("a script and not the browser itself"),
    }
}

/// Starts the browser as a node would, until it can be spoken to.
pub(super) fn start(path: &Path) -> Check {
    const NAME: &str = "browser starts";
    let remedy = "see the text above: a missing library is a package to install, a failed sandbox \
                  needs user namespaces";
    let folder = match tempfile::Builder::new().prefix("lockkeeper-doctor-").tempdir() {
        Ok(folder) => folder,
        Err(error) => return Check::unknown(NAME, format!("no temporary folder: {error}")),
    };
    let mut command = Command::new(path);
    command
        .args(["--headless", "--remote-debugging-port=0", "--no-first-run", "about:blank"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .env_clear()
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut user = "as this user";
    if nix::unistd::geteuid().is_root() {
        user = "as a sandbox's user";
        command.uid(SANDBOX_UID).gid(SANDBOX_UID);
        let owner = Some(SANDBOX_UID);
        let given = std::os::unix::fs::chown(folder.path(), owner, owner);
        let opened = std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700));
        if let Err(error) = given.and(opened) {
            return Check::unknown(NAME, format!("no folder for the sandbox's user: {error}"));
        }
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Check::broken(NAME, format!("it cannot be run: {error}"), remedy),
    };
    let mut running = Running(child);
    match running.wait_listening() {
        Ok(()) => Check::fine(NAME, format!("{user}, with its own sandbox on")),
        Err(log) => Check::broken(NAME, log, remedy),
    }
}

/// A started browser; it and its children are killed when this is dropped.
struct Running(Child);

impl Running {
    /// # Errors
    /// The end of its log, when it ended first or took too long.
    fn wait_listening(&mut self) -> Result<(), String> {
        let Some(stderr) = self.0.stderr.take() else { return Err("it has no log".to_owned()) };
        // Two words at most: that it listens, and that it has ended.
        let (tell, told) = sync_channel(2);
        // Ends with the browser, which the drop of this value ends.
        std::thread::spawn(move || {
            let mut kept: Vec<String> = Vec::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.starts_with(LISTENING) {
                    let _ = tell.send(Ok(()));
                }
                if !line.trim().is_empty() {
                    kept.push(line.trim().chars().take(200).collect());
                    kept.drain(..kept.len().saturating_sub(KEPT_LINES));
                }
            }
            let _ = tell.send(Err(kept.join(" | ")));
        });
        match told.recv_timeout(START_LIMIT) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(log)) if log.is_empty() => Err("it ended without a word".to_owned()),
            Ok(Err(log)) => Err(format!("it ended: {log}")),
            Err(_) => Err(format!("it did not answer within {} s", START_LIMIT.as_secs())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_script_is_not_a_browser() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("chromium");
        File::create(&script).unwrap().write_all(b"#!/bin/sh\nexec true\n").unwrap();
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let check = search(Some(&script), None).unwrap_err();
        assert!(check.seen.ends_with("a script and not the browser itself"), "{}", check.seen);
        assert!(check.remedy().is_some());
    }

    #[test]
    fn a_program_that_is_no_browser_does_not_start_as_one() {
        let check = start(Path::new("/bin/true"));
        assert!(matches!(check.verdict, super::super::Verdict::Broken(_)), "{check:?}");
    }
}
