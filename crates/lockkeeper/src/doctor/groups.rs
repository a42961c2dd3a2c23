//! Whether sandboxes can be limited by control groups.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Check;

const NAME: &str = "control groups";
const REMEDY: &str = "run the node as a systemd service with Delegate=yes, as in \
                      deploy/lockkeeperd.service; without it memory is only watched";

pub(super) fn check() -> Check {
    let Ok(own) = std::fs::read_to_string("/proc/self/cgroup") else {
        return Check::less(NAME, "/proc/self/cgroup cannot be read", REMEDY);
    };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let writable = |dir: &Path| access(dir, AccessFlags::W_OK).is_ok();
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for controller in ["memory", "pids"] {
        let dir = places(&own, &mounts, controller).into_iter().find(|dir| writable(dir));
        match dir {
            Some(dir) => found.push(format!("{controller} in {}", dir.display())),
            None => missing.push(controller),
        }
    }
    if missing.is_empty() {
        return Check::fine(NAME, format!("writable: {}", found.join(", ")));
    }
    Check::less(NAME, format!("this session may not limit {}", missing.join(" and ")), REMEDY)
}

/// The folders of this process's own group that could limit `controller`: in the unified tree if
/// that has the controller, else in the controller's own hierarchy.
fn places(own: &str, mounts: &str, controller: &str) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let unified = controllers.is_empty();
        if !unified && !controllers.split(',').any(|name| name == controller) {
            continue;
        }
        let Some(dir) = mounted(mounts, (!unified).then_some(controller), path) else { continue };
        let has = std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        if !unified || has.split_whitespace().any(|name| name == controller) {
            places.push(dir);
        }
    }
    places
}

/// Where the group `path` of a hierarchy is in the file system: see proc_pid_mountinfo(5).
fn mounted(mounts: &str, controller: Option<&str>, path: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        let fits = match controller {
            None => kind == "cgroup2",
            Some(name) => kind == "cgroup" && options.split(',').any(|option| option == name),
        };
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        // In a container the root of the mount is the container's own group.
        let below = path.strip_prefix(root.trim_end_matches('/')).unwrap_or(path);
        fits.then(|| Path::new(point).join(below.trim_start_matches('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw
31 30 0:27 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    #[test]
    fn groups_are_found_in_both_kinds_of_hierarchy() {
        let unified = mounted(MOUNTS, None, "/user.slice/a");
        assert_eq!(unified, Some(PathBuf::from("/sys/fs/cgroup/user.slice/a")));
        let own = mounted(MOUNTS, Some("memory"), "/docker/x/y");
        assert_eq!(own, Some(PathBuf::from("/sys/fs/cgroup/memory/y")));
        assert_eq!(mounted(MOUNTS, Some("pids"), "/"), None);
    }
}
