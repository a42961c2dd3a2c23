use super::*;

/// A folder that answers like a group hierarchy as far as plain files can.
fn imitation(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in files {
        fs::write(dir.path().join(file), text).unwrap();
    }
    dir
}

fn id(text: &str) -> LifecycleId {
    LifecycleId::new(text)
}

#[test]
fn a_unified_tree_of_its_own_limits_memory_and_processes() {
    let root =
        imitation(&[("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", "")]);
    let own = Own { v2: Some(root.path().to_owned()), ..Own::default() };
    let (tree, notes) = Tree::open(&own, "s1");
    assert_eq!(notes, Vec::<String>::new());
    assert!(tree.limits_memory() && tree.limits_pids());
    let switched = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
    assert_eq!(switched("cgroup.subtree_control"), "+memory +pids +cpu");
    assert_eq!(switched("lockkeeper-s1/cgroup.subtree_control"), "+memory +pids +cpu");

    let limits = Limits { memory: Some(1 << 20), pids: 77, cpu: Some(1500), ..Limits::default() };
    tree.leaf(&id("lc"), &limits).unwrap().unwrap();
    assert_eq!(switched("lockkeeper-s1/lc/memory.max"), "1048576");
    assert_eq!(switched("lockkeeper-s1/lc/pids.max"), "77");
    assert_eq!(switched("lockkeeper-s1/lc/cpu.max"), "150000 100000");
}

#[test]
fn in_a_group_that_is_not_the_root_the_daemon_moves_to_a_leaf() {
    let own = imitation(&[("cgroup.controllers", "memory pids"), ("cgroup.type", "domain")]);
    let (tree, _) = Tree::open(&Own { v2: Some(own.path().to_owned()), ..Own::default() }, "s1");
    assert!(tree.limits_memory());
    let moved = fs::read_to_string(own.path().join("lockkeeper-daemon/cgroup.procs")).unwrap();
    assert_eq!(moved, "0");
    // Started again from there, it finds its way back.
    let leaf = own.path().join(DAEMON);
    let (again, _) = Tree::open(&Own { v2: Some(leaf), ..Own::default() }, "s1");
    assert_eq!(again, tree);
}

#[test]
fn an_empty_unified_tree_gives_membership_and_the_old_ones_give_limits() {
    let v2 = imitation(&[("cgroup.controllers", "")]);
    let (memory, pids) = (imitation(&[]), imitation(&[]));
    let own = Own {
        v2: Some(v2.path().to_owned()),
        v1_memory: Some(memory.path().to_owned()),
        v1_pids: Some(pids.path().to_owned()),
        v1_cpu: None,
    };
    let (tree, notes) = Tree::open(&own, "s1");
    assert_eq!(notes, Vec::<String>::new());
    let limits = Limits { memory: Some(5000), pids: 9, ..Limits::default() };
    let leaf = tree.leaf(&id("lc"), &limits).unwrap().unwrap();
    assert_eq!(leaf.entrances().len(), 3);
    let limit = memory.path().join("lockkeeper-s1/lc/memory.limit_in_bytes");
    assert_eq!(fs::read_to_string(limit).unwrap(), "5000");
    assert_eq!(fs::read_to_string(pids.path().join("lockkeeper-s1/lc/pids.max")).unwrap(), "9");
    fs::write(
        memory.path().join("lockkeeper-s1/lc/memory.oom_control"),
        "under_oom 0\noom_kill 3\n",
    )
    .unwrap();
    assert_eq!(leaf.oom_kills(), 3);
}

#[test]
fn a_host_without_groups_says_so_and_makes_no_leaf() {
    let (tree, notes) = Tree::open(&Own::default(), "s1");
    assert_eq!(notes.len(), 3);
    assert!(!tree.limits_memory() && !tree.limits_pids());
    assert_eq!(tree.leaf(&id("lc"), &Limits::default()).unwrap(), None);
}

#[test]
fn the_kill_counter_is_read_from_both_kinds_of_file() {
    assert_eq!(
        parse_oom_kills("low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n"),
        Some(1)
    );
    assert_eq!(parse_oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n"), Some(12));
    assert_eq!(parse_oom_kills(""), None);
}

#[test]
fn a_second_leaf_of_one_lifecycle_is_an_error_and_leaves_the_first() {
    let v2 = imitation(&[("cgroup.controllers", "")]);
    let (tree, _) = Tree::open(&Own { v2: Some(v2.path().to_owned()), ..Own::default() }, "s1");
    let limits = Limits::default();
    let first = tree.leaf(&id("lc"), &limits).unwrap().unwrap();
    assert!(tree.leaf(&id("lc"), &limits).is_err());
    first.remove().unwrap();
    first.remove().unwrap();
}

#[test]
fn this_host_if_it_has_groups_kills_all_of_a_leaf_at_once() {
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let own = own(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    let (tree, _) = Tree::open(&own, &format!("test{}", std::process::id()));
    let leaf = tree.leaf(&id("lc"), &Limits::default()).unwrap();
    let Some(leaf) = leaf.filter(|leaf| leaf.unified.is_some()) else {
        eprintln!("SKIPPED: no writable unified control groups here");
        return;
    };
    let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    for entrance in leaf.entrances() {
        fs::write(entrance, child.id().to_string()).unwrap();
    }
    assert_eq!(leaf.pids().unwrap(), [child.id().cast_signed()]);
    assert!(leaf.holds(child.id().cast_signed()) && !leaf.holds(1));
    assert!(leaf.kill());
    child.wait().unwrap();
    leaf.remove().unwrap();
    tree.close();
}

#[test]
fn an_old_cpu_group_is_made_only_for_a_sandbox_that_is_limited() {
    let cpu = imitation(&[]);
    let own = Own { v1_cpu: Some(cpu.path().to_owned()), ..Own::default() };
    let (tree, _) = Tree::open(&own, "s1");
    assert!(tree.limits_cpu());
    assert_eq!(tree.leaf(&id("free"), &Limits::default()).unwrap(), None);
    let limits = Limits { cpu: Some(250), ..Limits::default() };
    tree.leaf(&id("slow"), &limits).unwrap().unwrap();
    let read = |file: &str| fs::read_to_string(cpu.path().join("lockkeeper-s1/slow").join(file));
    assert_eq!(read("cpu.cfs_quota_us").unwrap(), "25000");
    assert_eq!(read("cpu.cfs_period_us").unwrap(), "100000");
}
