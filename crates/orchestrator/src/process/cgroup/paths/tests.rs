use super::*;

#[test]
fn a_hybrid_host_has_a_unified_tree_and_old_controllers() {
    let mounts = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    let groups = "8:pids:/\n4:memory:/box/1\n1:cpu,cpuacct:/\n0::/\n";
    assert_eq!(
        own(mounts, groups),
        Own {
            v2: Some("/sys/fs/cgroup/unified".into()),
            v1_memory: Some("/sys/fs/cgroup/memory/box/1".into()),
            v1_pids: Some("/sys/fs/cgroup/pids".into()),
            v1_cpu: Some("/sys/fs/cgroup/cpu,cpuacct".into()),
        }
    );
}

#[test]
fn a_unified_host_has_one_tree() {
    let mounts = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    let own = own(mounts, "0::/system.slice/lockkeeperd.service\n");
    assert_eq!(own.v2.unwrap(), Path::new("/sys/fs/cgroup/system.slice/lockkeeperd.service"));
    assert_eq!((own.v1_memory, own.v1_pids), (None, None));
}

#[test]
fn a_mount_of_a_part_of_the_tree_counts_from_its_root() {
    let mounts = "30 25 0:26 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw";
    assert_eq!(own(mounts, "0::/docker/ab\n").v2.unwrap(), Path::new("/sys/fs/cgroup"));
    assert_eq!(own(mounts, "0::/docker/ab/x\n").v2.unwrap(), Path::new("/sys/fs/cgroup/x"));
    assert_eq!(own(mounts, "0::/docker/other\n").v2, None);
    assert_eq!(own(mounts, "0::/../other\n").v2, None);
}

#[test]
fn names_with_spaces_are_read() {
    let mounts = "30 25 0:26 / /a\\040b rw - cgroup2 none rw";
    assert_eq!(own(mounts, "0::/x\n").v2.unwrap(), Path::new("/a b/x"));
}

#[test]
fn a_host_without_control_groups_has_none() {
    assert_eq!(own("27 1 254:0 / / rw - ext4 /dev/vda rw", "0::/\n"), Own::default());
    assert_eq!(own("", "garbage\n"), Own::default());
}
