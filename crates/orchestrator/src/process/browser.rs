//! Finds the browser binary itself.
//!
//! What is started must be the browser: a wrapper script that does not `exec` hides how the browser
//! ended, and killing the wrapper leaves the browser alive. Debian's `chromium-headless-shell` in
//! PATH is such a script.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::driver::{Flavour, LaunchSpec};

/// Folders that hold the binaries themselves, in the order in which they are searched.
const FOLDERS: [&str; 6] = [
    "/usr/lib/chromium",
    "/usr/lib/chromium-browser",
    "/usr/lib64/chromium-browser",
    "/usr/lib/chromium-headless-shell",
    "/opt/google/chrome",
    "/opt/chrome-headless-shell",
];

/// Where browsers are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Folders that hold browser binaries; searched first.
    pub folders: Vec<PathBuf>,
    /// The value of PATH; searched last.
    pub path: Option<OsString>,
}

impl Default for Search {
    /// The folders in which distributions and vendors put the binaries, and no PATH.
    fn default() -> Self {
        Self { folders: FOLDERS.iter().map(PathBuf::from).collect(), path: None }
    }
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Browsers {
    found: Vec<(Flavour, PathBuf)>,
    /// Binaries by the path that a launch names.
    further: Vec<(PathBuf, PathBuf)>,
    tried: Vec<String>,
}

impl Browsers {
    /// The binary of a flavour.
    pub(crate) fn of(&self, flavour: Flavour) -> Option<&Path> {
        self.found.iter().find(|(f, _)| *f == flavour).map(|(_, path)| path.as_path())
    }

    /// The binary for a launch.
    pub(crate) fn for_launch(&self, spec: &LaunchSpec) -> Option<&Path> {
        match &spec.browser {
            Some(named) => {
                let found = self.further.iter().find(|(name, _)| name == named);
                found.map(|(_, elf)| elf.as_path())
            }
            None => self.of(spec.flavour),
        }
    }

    /// Adds a binary that launches may name.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(crate) fn add(
        &mut self,
        flavour: Flavour,
        path: &Path,
        search: &Search,
    ) -> Result<(), String> {
        let elf = resolve(path, flavour, &search.folders)
            .map_err(|why| format!("{} ({why})", path.display()))?;
        self.further.push((path.to_owned(), elf));
        Ok(())
    }

    /// The flavours that were found, in search order.
    pub(crate) fn flavours(&self) -> Vec<Flavour> {
        self.found.iter().map(|(flavour, _)| *flavour).collect()
    }

    /// What was looked at without success, for people.
    pub(crate) fn tried(&self) -> String {
        if self.tried.is_empty() { "nothing".to_owned() } else { self.tried.join(", ") }
    }
}

/// File names of a flavour. `chrome` is Google Chrome's binary beside its start script.
fn names(flavour: Flavour) -> &'static [&'static str] {
    match flavour {
        Flavour::HeadlessShell => {
            &["chromium-headless-shell", "chrome-headless-shell", "headless_shell"]
        }
        Flavour::Chromium => {
            &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"]
        }
    }
}

/// Searches for every flavour. An override replaces the search: it serves the flavour that its file
/// name says, and the other flavour is absent.
pub(crate) fn search(overridden: Option<&Path>, search: &Search) -> Browsers {
    let mut result = Browsers::default();
    if let Some(path) = overridden {
        let flavour = flavour_by_name(path);
        match resolve(path, flavour, &search.folders) {
            Ok(elf) => result.found.push((flavour, elf)),
            Err(why) => result.tried.push(format!("{} ({why})", path.display())),
        }
        if result.found.is_empty() {
            return result;
        }
        result.tried.push(format!("only {} is used, because the settings name it", path.display()));
        return result;
    }
    let in_path = search.path.iter().flat_map(|path| {
        // A relative entry would depend on the folder the daemon was started in.
        std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect::<Vec<_>>()
    });
    let places: Vec<PathBuf> = search.folders.iter().cloned().chain(in_path).collect();
    for flavour in Flavour::ALL {
        let candidates =
            places.iter().flat_map(|dir| names(flavour).iter().map(move |name| dir.join(name)));
        for candidate in candidates {
            match resolve(&candidate, flavour, &search.folders) {
                Ok(elf) => {
                    result.found.push((flavour, elf));
                    break;
                }
                Err(Refused::Missing) => {}
                Err(why) => result.tried.push(format!("{} ({why})", candidate.display())),
            }
        }
        if result.of(flavour).is_none() {
            let dirs: Vec<_> = places.iter().map(|dir| dir.display().to_string()).collect();
            result.tried.push(format!("{} in {}", names(flavour).join(" | "), dirs.join(":")));
        }
    }
    result
}

/// Old headless mode has binaries of their own; everything else is the full browser.
fn flavour_by_name(path: &Path) -> Flavour {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    match name {
        Some(name) if name.contains("headless") => Flavour::HeadlessShell,
        Some(_) | None => Flavour::Chromium,
    }
}

/// Why a candidate cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("not there")]
    Missing,
    #[error("unreadable: {0}")]
    Unreadable(String),
    #[error("not executable for every user; try `chmod 755`")]
    NotExecutable,
    #[error("a script and not the browser itself, and no binary lies beside it")]
    Script,
    #[error("the snap launcher and not the browser itself; name the binary inside the snap")]
    Snap,
    #[error("not an ELF binary")]
    NotElf,
}

/// The binary behind `path`: itself, or for a script the binary of the same flavour in the script's
/// own folder or under the script's name in a known folder.
fn resolve(path: &Path, flavour: Flavour, folders: &[PathBuf]) -> Result<PathBuf, Refused> {
    match classify(path) {
        Err(Refused::Script) => {
            let real = path.canonicalize().map_err(|e| Refused::Unreadable(e.to_string()))?;
            let beside = real
                .parent()
                .into_iter()
                .flat_map(|dir| names(flavour).iter().map(|name| dir.join(name)));
            let known = path
                .file_name()
                .into_iter()
                .flat_map(|name| folders.iter().map(move |dir| dir.join(name)));
            known.chain(beside).find_map(|c| classify(&c).ok()).ok_or(Refused::Script)
        }
        other => other,
    }
}

/// The canonical path, if it is an executable ELF file.
fn classify(path: &Path) -> Result<PathBuf, Refused> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Refused::Missing),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Err(Refused::Missing),
        Err(e) => return Err(Refused::Unreadable(e.to_string())),
    };
    if real.file_name().is_some_and(|name| name == "snap") {
        return Err(Refused::Snap);
    }
    let unreadable = |e: std::io::Error| Refused::Unreadable(e.to_string());
    let mut file = File::open(&real).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(Refused::NotElf);
    }
    let mut magic = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut magic).map_err(unreadable)?;
    match magic.as_slice() {
        [b'#', b'!', ..] => Err(Refused::Script),
        [0x7f, b'E', b'L', b'F'] if meta.permissions().mode() & 0o111 == 0 => {
            Err(Refused::NotExecutable)
        }
        [0x7f, b'E', b'L', b'F'] => Ok(real),
        _ => Err(Refused::NotElf),
    }
}

#[cfg(test)]
mod tests;
