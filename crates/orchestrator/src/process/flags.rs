//! Pure: the browser's command line.

use std::ffi::OsString;
use std::path::Path;

use crate::driver::Flavour;

/// Switches that every browser gets, each with its reason. None of them changes what a page sees;
/// each keeps the browser from talking to others, asking somebody, or leaving its directory.
const SWITCHES: [(&str, &str); 13] = [
    ("--remote-debugging-port=0", "the kernel picks a free port; the browser prints it"),
    ("--no-first-run", "nobody is there to answer the first-run questions"),
    ("--no-default-browser-check", "nor this one"),
    ("--disable-search-engine-choice-screen", "nor this one"),
    ("--noerrdialogs", "nobody is there to close an error dialog"),
    ("--disable-background-networking", "no traffic that no page asked for"),
    ("--disable-component-update", "no downloads of the browser's own parts"),
    ("--disable-sync", "no account of anybody"),
    ("--disable-domain-reliability", "no reports about the sites a page visits"),
    ("--metrics-recording-only", "no usage reports"),
    ("--disable-breakpad", "no crash dumps in the profile, and none sent"),
    ("--disable-quic", "no traffic that passes a TCP proxy or a connection count by"),
    ("--password-store=basic", "no desktop keyring, so that a profile can move to another host"),
];

/// The page a browser starts with: the full browser would load its new-tab page otherwise.
const FIRST_PAGE: &str = "about:blank";

/// Arguments of the browser. The caller's own switches come after ours, so that they win where the
/// browser takes the last one.
pub(crate) fn command_line(flavour: Flavour, profile: &Path, extra: &[String]) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::with_capacity(SWITCHES.len() + extra.len() + 3);
    if flavour == Flavour::Chromium {
        args.push("--headless".into());
    }
    args.extend(SWITCHES.iter().map(|(switch, _)| OsString::from(switch)));
    let mut dir = OsString::from("--user-data-dir=");
    dir.push(profile);
    args.push(dir);
    args.extend(extra.iter().map(OsString::from));
    args.push(FIRST_PAGE.into());
    args
}

/// Why a switch may not be passed to a browser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagRefused {
    /// It is no switch.
    #[error("browser flag {flag:?}: must start with `--` and name a switch")]
    NotASwitch {
        /// As given.
        flag: String,
    },
    /// The driver sets it itself.
    #[error(
        "browser flag {flag:?}: is set by the node, because it finds and ends the browser by it"
    )]
    Ours {
        /// As given.
        flag: String,
    },
    /// It switches the browser's own sandbox off, wholly or in part.
    #[error("browser flag {flag:?}: would switch the browser's own sandbox off")]
    Sandbox {
        /// As given.
        flag: String,
    },
}

/// Switches by which we find, watch and remove the browser.
const OURS: [&str; 4] =
    ["user-data-dir", "remote-debugging-port", "remote-debugging-pipe", "remote-debugging-address"];

/// Switches that take the browser's sandbox away (Chromium 156, `sandbox/policy/switches.cc` and
/// `content/public/common/content_switches.cc`).
const UNSAFE: [&str; 9] = [
    "no-sandbox",
    "disable-setuid-sandbox",
    "disable-namespace-sandbox",
    "disable-seccomp-filter-sandbox",
    "disable-gpu-sandbox",
    "no-zygote",
    "no-zygote-sandbox",
    "single-process",
    "allow-sandbox-debugging",
];

/// Whether the switch of this name, without its dashes, weakens the browser's own sandbox.
pub(crate) fn takes_sandbox_away(name: &str) -> bool {
    UNSAFE.contains(&name)
}

/// Checks a switch that a user wants to pass to a browser.
///
/// # Errors
/// When it is not a switch, when the driver needs it itself, or when it weakens the browser's own
/// sandbox without `allow_no_sandbox`.
pub fn check_flag(flag: &str, allow_no_sandbox: bool) -> Result<(), FlagRefused> {
    let flag_text = || flag.to_owned();
    let Some(name) = flag.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or(rest))
    else {
        return Err(FlagRefused::NotASwitch { flag: flag_text() });
    };
    // Everything after a bare `--` would be taken for an address to open. A NUL cannot be passed.
    if name.is_empty() || flag.contains('\0') {
        return Err(FlagRefused::NotASwitch { flag: flag_text() });
    }
    if OURS.contains(&name) {
        return Err(FlagRefused::Ours { flag: flag_text() });
    }
    if takes_sandbox_away(name) && !allow_no_sandbox {
        return Err(FlagRefused::Sandbox { flag: flag_text() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
