use super::*;

#[test]
fn the_setting_that_stands_in_the_way_is_named_with_its_remedy() {
    let found = remedies_by(|path| match path.to_str().unwrap() {
        "/proc/sys/user/max_user_namespaces" => Some("0\n".into()),
        "/proc/sys/kernel/unprivileged_userns_clone" => Some("1\n".into()),
        _ => None,
    });
    assert_eq!(found, ["sysctl user.max_user_namespaces=10000"]);
    assert!(text(&found).contains("As root: sysctl user.max"));
}

#[test]
fn without_a_setting_in_the_way_the_container_is_suspected() {
    let found = remedies_by(|_| Some("1000".into()));
    assert!(found.is_empty());
    assert!(text(&found).contains("container"));
}

#[test]
fn chromiums_words_are_recognised() {
    assert!(is_sandbox_complaint("[1:FATAL:x.cc(1)] No usable sandbox! Update your kernel"));
    assert!(!is_sandbox_complaint("DevTools listening on ws://127.0.0.1:1/"));
}
