use std::pin::pin;
use std::process::{Child, Command};
use std::time::Duration;

use futures_util::FutureExt;

use super::super::{Tree, own};
use super::*;
use crate::driver::LifecycleId;
use crate::process::Limits;

#[test]
fn the_populated_line_says_whether_a_group_is_empty() {
    assert_eq!(parse_empty("populated 0\nfrozen 0\n"), Some(true));
    assert_eq!(parse_empty("populated 1\nfrozen 0\n"), Some(false));
    assert_eq!(parse_empty("frozen 0\n"), None);
    assert_eq!(parse_empty("populated many\n"), None);
}

/// A group of this host; `None` where there is none that tells.
fn leaf(name: &str) -> Option<(Tree, Leaf)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let own = own(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    let (tree, _) = Tree::open(&own, &format!("{name}{}", std::process::id()));
    let leaf = tree.leaf(&LifecycleId::new("lc"), &Limits::default()).unwrap();
    let leaf = leaf.filter(|leaf| leaf.unified.is_some());
    if leaf.is_none() {
        eprintln!("SKIPPED: no writable unified control groups here");
    }
    leaf.map(|leaf| (tree, leaf))
}

fn enter(leaf: &Leaf) -> Child {
    let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    for entrance in leaf.entrances() {
        std::fs::write(entrance, child.id().to_string()).unwrap();
    }
    child
}

#[tokio::test]
async fn a_group_is_empty_when_its_last_process_has_ended_though_nobody_waited_for_it() {
    let Some((tree, leaf)) = leaf("emptied") else { return };
    assert!(leaf.emptied().await.unwrap(), "nobody has entered");
    let mut children = [enter(&leaf), enter(&leaf)];
    let mut emptied = pin!(leaf.emptied());
    assert!((&mut emptied).now_or_never().is_none(), "two live");
    children[0].kill().unwrap();
    children[0].wait().unwrap();
    assert!((&mut emptied).now_or_never().is_none(), "one lives");
    children[1].kill().unwrap();
    let told = tokio::time::timeout(Duration::from_secs(20), emptied).await;
    assert!(told.expect("the kernel tells").unwrap());
    children[1].wait().unwrap();
    leaf.remove().unwrap();
    assert!(leaf.emptied().await.unwrap(), "what is gone is empty");
    tree.close();
}
