//! Limits and rooms of the machine.

use std::net::TcpListener;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Check;
use crate::client::Node;
use crate::failure::Failure;

/// Below this a node refuses to make sandboxes.
const DISK_LEAST: u64 = 1 << 30;
/// Memory that a node counts for one sandbox, and keeps for the machine.
const MEMORY_EACH: u64 = 256 << 20;
const MEMORY_KEPT: u64 = 1 << 30;
/// Pages are shared between a browser's processes here; 64 MiB, as containers have it, is too
/// little for a heavy page.
const SHARED_LEAST: u64 = 256 << 20;
/// A session takes two files of the node; the unit in `deploy/` asks for as many.
const FILES_WANTED: u64 = 65_536;
/// What a handful of sandboxes needs.
const FILES_LEAST: u64 = 1_024;

/// Whether a node answers at the address, and what it says of itself.
pub(super) fn daemon(node: &Node) -> (Check, bool) {
    const NAME: &str = "node";
    let base = node.base();
    match node.get("/v1/node", &[]) {
        Ok(info) => {
            let word = |name: &str| info[name].as_str().unwrap_or("?").to_owned();
            let seen = format!(
                "{base}: version {}, {}, isolation {}",
                word("version"),
                word("status"),
                word("isolation")
            );
            (Check::fine(NAME, seen), true)
        }
        Err(Failure::Refused(refused)) => {
            let seen = format!("{base} answers, and does not let us in: {}", refused.message);
            let remedy = "put its token into LOCKKEEPER_TOKEN";
            (Check::less(NAME, seen, remedy), true)
        }
        Err(failure @ Failure::Untrusted { .. }) => {
            let remedy = "give the authority that signed it with --ca";
            (Check::less(NAME, failure.to_string(), remedy), true)
        }
        Err(failure) => (Check::unknown(NAME, format!("none is running: {failure}")), false),
    }
}

/// Whether the address of a node on this machine is free.
pub(super) fn port(base: &str, running: bool) -> Check {
    const NAME: &str = "port";
    let address = base.split_once("://").map_or(base, |(_, address)| address);
    if running {
        return Check::fine(NAME, format!("{address} is the node's"));
    }
    match TcpListener::bind(address) {
        Ok(_) => Check::fine(NAME, format!("{address} is free")),
        Err(error) => {
            let remedy = "give the node another address with LOCKKEEPER_API_LISTEN, or end what \
                          has this one";
            Check::broken(NAME, format!("{address}: {error}"), remedy)
        }
    }
}

/// Whether the kernel lets the browser build its own sandbox.
pub(super) fn namespaces() -> Check {
    const NAME: &str = "user namespaces";
    let number =
        |path: &str| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    if number("/proc/sys/user/max_user_namespaces") == Some(0) {
        let remedy = "`sysctl -w user.max_user_namespaces=15000`, and in /etc/sysctl.d to keep it";
        return Check::broken(NAME, "user.max_user_namespaces is 0", remedy);
    }
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        let remedy =
            "`sysctl -w kernel.unprivileged_userns_clone=1`, and in /etc/sysctl.d to keep it";
        return Check::broken(NAME, "kernel.unprivileged_userns_clone is 0", remedy);
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        let remedy = "give the browser an AppArmor profile with `userns,`, or `sysctl -w \
                      kernel.apparmor_restrict_unprivileged_userns=0`";
        let seen = "AppArmor allows them to profiled programs only";
        return Check::less(NAME, seen, remedy);
    }
    Check::fine(NAME, "allowed")
}

/// How many files the node may have open.
pub(super) fn open_files() -> Check {
    const NAME: &str = "open files";
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(hard) = hard_limit(&limits, "Max open files") else {
        return Check::unknown(NAME, "/proc/self/limits does not say");
    };
    let remedy = "LimitNOFILE=65536 in the node's unit, or `ulimit -Hn 65536` before its start";
    let seen = format!("at most {hard}");
    match hard {
        0..FILES_LEAST => Check::broken(NAME, seen, remedy),
        FILES_LEAST..FILES_WANTED => Check::less(NAME, seen, remedy),
        FILES_WANTED.. => Check::fine(NAME, seen),
    }
}

/// The second number behind a name in `/proc/self/limits`.
fn hard_limit(limits: &str, name: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let word = rest.split_whitespace().nth(1)?;
    if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() }
}

/// Whether profiles have room, and whether sandboxes' users may pass to them.
pub(super) fn disk(state: Option<&Path>) -> Check {
    const NAME: &str = "disk";
    let Some(state) = state else {
        return Check::broken(
            NAME,
            "there is no state folder",
            "choose one with LOCKKEEPER_STATE_DIR",
        );
    };
    // The folder is made at the first start: until then its nearest parent counts.
    let Some(there) = state.ancestors().find(|path| path.exists()) else {
        return Check::unknown(NAME, format!("nothing of {} exists", state.display()));
    };
    let room = match statvfs(there) {
        Ok(room) => room.blocks_available().saturating_mul(room.fragment_size()),
        Err(error) => return Check::unknown(NAME, format!("{}: {error}", there.display())),
    };
    let seen = format!("{} free for {}", gib(room), state.display());
    if room < DISK_LEAST {
        let remedy = "free some, or choose another folder with LOCKKEEPER_STATE_DIR; below 1 GiB \
                      no sandbox is made";
        return Check::broken(NAME, seen, remedy);
    }
    Check::fine(NAME, seen)
}

/// How many sandboxes fit.
pub(super) fn memory() -> Check {
    const NAME: &str = "memory";
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |line: &str| -> Option<u64> {
        line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok()
    };
    let Some(total) = text.lines().find_map(kib).map(|kib| kib * 1_024) else {
        return Check::unknown(NAME, "/proc/meminfo does not say");
    };
    let fit = total.saturating_sub(MEMORY_KEPT) / MEMORY_EACH;
    let seen = format!("{}: a node takes {} sandboxes by itself", gib(total), fit.clamp(1, 1000));
    if fit == 0 {
        return Check::less(NAME, seen, "give the machine more than 1.25 GiB");
    }
    Check::fine(NAME, seen)
}

/// Whether heavy pages fit into shared memory.
pub(super) fn shared_memory() -> Check {
    const NAME: &str = "shared memory";
    match statvfs("/dev/shm") {
        Ok(room) => {
            let size = room.blocks().saturating_mul(room.fragment_size());
            let seen = format!("/dev/shm has {} MiB", size >> 20);
            if size < SHARED_LEAST {
                let remedy = "give the container more, `--shm-size=1g`: heavy pages crash without";
                return Check::less(NAME, seen, remedy);
            }
            Check::fine(NAME, seen)
        }
        Err(error) => {
            let seen = format!("/dev/shm: {error}");
            Check::less(NAME, seen, "mount a tmpfs there")
        }
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn the_hard_limit_is_the_second_number() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  524288  files\n\
                    Max processes  10  unlimited  processes\n";
        assert_eq!(hard_limit(text, "Max open files"), Some(524_288));
        assert_eq!(hard_limit(text, "Max processes"), Some(u64::MAX));
        assert_eq!(hard_limit(text, "Max something"), None);
    }

    #[test]
    fn a_taken_port_is_broken_unless_it_is_the_nodes() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", taken.local_addr().unwrap());
        assert!(matches!(port(&base, false).verdict, Verdict::Broken(_)));
        assert_eq!(port(&base, true).verdict, Verdict::Fine);
    }

    #[test]
    fn the_folder_need_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        let check = disk(Some(&folder.path().join("not/yet")));
        assert!(check.seen.contains("not/yet"), "{}", check.seen);
        assert!(!matches!(check.verdict, Verdict::Unknown), "{check:?}");
    }
}
