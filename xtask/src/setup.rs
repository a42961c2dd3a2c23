//! Installing what a bare Debian machine lacks; quick when nothing is missing.
//!
//! Browsers come from the distribution and never from a client library's own download.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{cmd, progress, tools};

/// A program, the places that count as having it, and the Debian package that brings it.
struct Need {
    what: &'static str,
    /// Absolute paths, or names to look for in `PATH`.
    places: &'static [&'static str],
    package: &'static str,
}

const CHROMIUM: Need = Need {
    what: "Chromium",
    places: &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"],
    package: "chromium",
};
/// The binary itself comes first: what Debian puts in `PATH` is a script around it.
const HEADLESS_SHELL: Need = Need {
    what: "Chromium's headless shell",
    places: &[
        "/usr/lib/chromium/chromium-headless-shell",
        "chromium-headless-shell",
        "chrome-headless-shell",
        "headless_shell",
    ],
    package: "chromium-headless-shell",
};
/// The tests start servers of their own; the service that the package brings may be switched off.
const NATS: Need = Need {
    what: "NATS server",
    places: &["nats-server", "/usr/sbin/nats-server"],
    package: "nats-server",
};
const PROMETHEUS: Need = Need { what: "Prometheus", places: &["promtool"], package: "prometheus" };
const NPM: Need = Need { what: "npm", places: &["npm"], package: "npm" };

/// The proxies that the relay is measured beside. Nothing else needs them.
const PROXIES: [Need; 2] = [
    Need { what: "haproxy", places: &["/usr/sbin/haproxy", "haproxy"], package: "haproxy" },
    Need { what: "nginx", places: &["/usr/sbin/nginx", "nginx"], package: "nginx-light" },
];

impl Need {
    fn found(&self) -> Option<PathBuf> {
        self.places.iter().find_map(|place| match Path::new(place) {
            path if path.is_absolute() => path.is_file().then(|| path.to_owned()),
            _ => tools::on_path(place),
        })
    }
}

/// Installs everything: browsers, and the client packages of the tests.
///
/// # Errors
/// When something is missing and may not be installed here: with the command that installs it.
pub(crate) fn all() -> Result<()> {
    programs(
        "set up browsers, servers and npm",
        &[CHROMIUM, HEADLESS_SHELL, NATS, PROMETHEUS, NPM],
    )?;
    client_packages()?;
    python();
    Ok(())
}

/// Installs the browsers only: what a daemon needs.
///
/// # Errors
/// As [`all`].
pub(crate) fn browsers() -> Result<()> {
    programs("set up browsers", &[CHROMIUM, HEADLESS_SHELL])
}

/// The proxies to measure beside, by name; installs them where it may, else leaves them out and says
/// so. A service that their packages start is stopped again.
///
/// # Errors
/// When such a service cannot be stopped.
pub(crate) fn proxies() -> Result<Vec<(&'static str, PathBuf)>> {
    progress::step("set up HAProxy and nginx", || {
        for need in PROXIES.iter().filter(|need| need.found().is_none()) {
            if let Err(e) = install(&[need]) {
                progress::note(&format!("{} is left out: {e:#}", need.what));
            } else if Path::new("/run/systemd/system").is_dir() {
                let mut stop = cmd::command("systemctl", &["disable", "--now", need.what]);
                cmd::run(&mut stop, "stop the service by hand")?;
            }
        }
        Ok(PROXIES.iter().filter_map(|need| Some((need.what, need.found()?))).collect())
    })
}

fn programs(title: &str, needs: &[Need]) -> Result<()> {
    progress::step(title, || {
        let missing: Vec<&Need> = needs.iter().filter(|need| need.found().is_none()).collect();
        if !missing.is_empty() {
            install(&missing)?;
        }
        for need in needs {
            let found = need
                .found()
                .with_context(|| format!("{} is still missing after its install", need.what))?;
            progress::note(&format!("{}: {}", need.what, found.display()));
        }
        Ok(())
    })
}

fn install(missing: &[&Need]) -> Result<()> {
    let what: Vec<_> = missing.iter().map(|need| need.what).collect();
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing.iter().map(|need| need.package));
    let by_hand = format!("apt-get update && apt-get {}", arguments.join(" "));
    if tools::on_path("apt-get").is_none() {
        let names: Vec<_> = missing
            .iter()
            .map(|need| format!("{} ({})", need.what, need.places.join(" or ")))
            .collect();
        bail!(
            "missing: {}; this machine has no apt-get, so install it with your system's own \
             package manager (on Debian: {by_hand})",
            names.join(", ")
        );
    }
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "{} is missing, and only root may install it; run: sudo sh -c '{by_hand}'",
            what.join(", ")
        );
    }
    let apt = |arguments: &[&str]| {
        cmd::run(
            cmd::command("apt-get", arguments).env("DEBIAN_FRONTEND", "noninteractive"),
            &format!("see apt's message above, then run by hand: {by_hand}"),
        )
    };
    apt(&["update"])?;
    apt(&arguments)
}

/// Installs the packages that `tests/clients/package-lock.json` pins, when they are not there yet.
///
/// # Errors
/// When npm fails.
pub(crate) fn client_packages() -> Result<()> {
    progress::step("set up client packages in tests/clients", || {
        let folder = tools::clients_dir();
        // Two tasks at once must not install over each other.
        let guard = lock(&tools::target_dir()?.join("xtask-setup.lock"))?;
        let wanted = fs::read(folder.join("package-lock.json"))
            .context("tests/clients/package-lock.json cannot be read; restore it")?;
        // npm removes the folder first, so a copy of the lock file inside it tells of a finished
        // install of exactly these packages.
        let stamp = folder.join("node_modules/.lockkeeper-installed.json");
        if fs::read(&stamp).is_ok_and(|installed| installed == wanted) && tools::node().is_ok() {
            progress::note("all there");
            return Ok(());
        }
        let npm = NPM.found().context("npm is missing")?;
        cmd::run(
            cmd::command(npm, &["ci", "--ignore-scripts", "--loglevel=error"])
                .current_dir(&folder)
                .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
                .env("PUPPETEER_SKIP_DOWNLOAD", "true"),
            "see npm's message above; it needs the npm registry. To start over, remove \
             tests/clients/node_modules",
        )?;
        fs::write(&stamp, wanted).with_context(|| format!("{} not written", stamp.display()))?;
        let node = tools::node()?;
        let version = cmd::output(&mut cmd::command(&node, &["--version"]))?;
        progress::note(&format!("Node {} for the clients", version.trim()));
        drop(guard);
        Ok(())
    })
}

/// The validator of agents' events, and a server that speaks S3; pinned.
const PYTHON: [&str; 4] =
    ["ag-ui-validate==0.4.0", "moto[s3]==5.2.5", "flask==3.1.2", "flask-cors==6.0.1"];

/// Installs what is in Python into a folder of its own. A machine without Python goes without: the
/// tests that need it are then shown as skipped.
fn python() {
    let done = progress::step("set up a validator and an S3 server in tests/clients/venv", || {
        let wanted = PYTHON.join(" ");
        let folder = tools::clients_dir().join("venv");
        let stamp = folder.join(".lockkeeper-installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            progress::note("all there");
            return Ok(());
        }
        let _guard = lock(&tools::target_dir()?.join("xtask-setup.lock"))?;
        let python = tools::on_path("python3").context("python3 is missing")?;
        let remedy = "on Debian: apt-get install python3-venv";
        cmd::run(cmd::command(python, &["-m", "venv"]).arg(&folder), remedy)?;
        let pip = folder.join("bin/pip");
        let remedy = "see pip's message above; it needs the Python package index";
        cmd::run(cmd::command(pip, &["install", "--quiet"]).args(PYTHON), remedy)?;
        fs::write(&stamp, wanted).with_context(|| format!("{} not written", stamp.display()))
    });
    if let Err(error) = done {
        progress::note(&format!("goes without: {error:#}"));
    }
}

/// Holds a file lock until it is dropped.
fn lock(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::create(path).with_context(|| format!("{} not made", path.display()))?;
    if file.try_lock().is_err() {
        progress::note("waiting for another setup to end");
        file.lock()?;
    }
    Ok(file)
}
