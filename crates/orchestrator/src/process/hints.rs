//! What to do about a browser that cannot start its own sandbox.

use std::fs;
use std::path::Path;

/// Words that Chromium 156 prints when its sandbox cannot start
/// (`content/browser/zygote_host/zygote_host_impl_linux.cc`, `sandbox/linux/services`).
const COMPLAINTS: [&str; 4] = [
    "No usable sandbox!",
    "Running as root without --no-sandbox",
    "Failed to move to new namespace",
    "The SUID sandbox helper binary was found, but is not configured correctly",
];

/// Whether a browser's log says that its sandbox could not start.
pub(crate) fn is_sandbox_complaint(log: &str) -> bool {
    COMPLAINTS.iter().any(|complaint| log.contains(complaint))
}

/// A kernel setting that keeps unprivileged programs from making user namespaces.
struct Switch {
    file: &'static str,
    /// The value that forbids them.
    off: &'static str,
    remedy: &'static str,
}

/// Linux itself; Debian's patch; Ubuntu since 23.10.
const SWITCHES: [Switch; 3] = [
    Switch {
        file: "/proc/sys/user/max_user_namespaces",
        off: "0",
        remedy: "sysctl user.max_user_namespaces=10000",
    },
    Switch {
        file: "/proc/sys/kernel/unprivileged_userns_clone",
        off: "0",
        remedy: "sysctl kernel.unprivileged_userns_clone=1",
    },
    Switch {
        file: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        off: "1",
        remedy: "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for \
                 the browser",
    },
];

/// What this host's settings say: the remedies for those that stand in the way.
pub(crate) fn remedies() -> Vec<&'static str> {
    remedies_by(|path| fs::read_to_string(path).ok())
}

fn remedies_by(read: impl Fn(&Path) -> Option<String>) -> Vec<&'static str> {
    let is_off = |switch: &&Switch| {
        read(Path::new(switch.file)).is_some_and(|value| value.trim() == switch.off)
    };
    SWITCHES.iter().filter(is_off).map(|switch| switch.remedy).collect()
}

/// The text for people.
pub(crate) fn sandbox_text() -> String {
    text(&remedies())
}

fn text(remedies: &[&str]) -> String {
    let cause =
        "the browser's own sandbox could not start, because it may not make user namespaces";
    if remedies.is_empty() {
        format!(
            "{cause}. No kernel setting forbids them, so a container or a security profile around \
             the daemon does: allow unshare and clone with CLONE_NEWUSER there (docker: \
             --security-opt seccomp=<a profile that allows them>)"
        )
    } else {
        format!("{cause}. As root: {}", remedies.join("; "))
    }
}

#[cfg(test)]
mod tests;
