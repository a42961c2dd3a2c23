//! Pure: where this process stands in the control group hierarchies.

use std::path::{Path, PathBuf};

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    root: String,
    point: PathBuf,
    v2: bool,
    controllers: Vec<String>,
}

/// The folders of this process's own groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Own {
    /// In the unified hierarchy.
    pub(crate) v2: Option<PathBuf>,
    /// In the old memory hierarchy.
    pub(crate) v1_memory: Option<PathBuf>,
    /// In the old pids hierarchy.
    pub(crate) v1_pids: Option<PathBuf>,
    /// In the old cpu hierarchy.
    pub(crate) v1_cpu: Option<PathBuf>,
}

/// Finds the own groups from the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
pub(crate) fn own(mountinfo: &str, cgroup: &str) -> Own {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(parse_mount).collect();
    let mut own = Own::default();
    for line in cgroup.lines() {
        // hierarchy-ID:controller-list:cgroup-path, see cgroups(7).
        let mut parts = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if id == "0" && controllers.is_empty() {
            own.v2 = mounts.iter().filter(|m| m.v2).find_map(|m| inside(m, path));
            continue;
        }
        let named = |name: &str| {
            let listed = controllers.split(',').any(|controller| controller == name);
            let mount = mounts.iter().filter(|m| !m.v2 && m.controllers.iter().any(|c| c == name));
            mount.filter(|_| listed).find_map(|m| inside(m, path))
        };
        own.v1_memory = own.v1_memory.or_else(|| named("memory"));
        own.v1_pids = own.v1_pids.or_else(|| named("pids"));
        own.v1_cpu = own.v1_cpu.or_else(|| named("cpu"));
    }
    own
}

/// The folder of a group. A group outside what is mounted here has none.
fn inside(mount: &Mount, path: &str) -> Option<PathBuf> {
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let rest = Path::new(path).strip_prefix(&mount.root).ok()?;
    // Joining an empty path would leave a slash at the end.
    Some(if rest.as_os_str().is_empty() { mount.point.clone() } else { mount.point.join(rest) })
}

/// One line of mountinfo, see proc_pid_mountinfo(5).
fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (unescape(left.next()?), unescape(left.next()?));
    let mut right = right.split(' ');
    let v2 = match right.next()? {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    let controllers = right.nth(1)?.split(',').map(str::to_owned).collect();
    Some(Mount { root, point: point.into(), v2, controllers })
}

/// Space, tab, line end and backslash are written as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests;
