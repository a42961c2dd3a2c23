use super::*;

#[test]
fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
    let text = "77 (a) b (c) S 5 6 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
    let stat = parse_stat(text).unwrap();
    assert_eq!(stat, Stat { ppid: 5, session: 7, zombie: false, start: 987_654 });
}

#[test]
fn torn_text_is_no_process() {
    for text in ["", "1 (a", "1 (a) S", "1 (a) S 1 1 1 0", "1 (a) S x y z"] {
        assert_eq!(parse_stat(text), None, "{text:?}");
    }
}

#[test]
fn this_process_reads_like_the_system_calls_say() {
    let me = std::process::id().cast_signed();
    let uid = rustix::process::getuid().as_raw();
    let found = read(me, Marks::OfUser(uid)).unwrap().unwrap();
    assert_eq!(found.uid, uid);
    assert!(!found.zombie);
    assert_eq!(start_of(me), Some(found.start));
    assert!(scan(Marks::Skip).unwrap().iter().any(|p| p.pid == me && p.start == found.start));
}

#[test]
fn a_process_shows_the_session_that_it_leads() {
    // This process may be in a session of an outer pid namespace, which has no number in here.
    let mut child = std::process::Command::new("setsid")
        .arg("cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().cast_signed();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while read(pid, Marks::Skip).unwrap().is_none_or(|p| p.session != pid) {
        assert!(std::time::Instant::now() < deadline, "{:?}", read(pid, Marks::Skip));
        std::thread::yield_now();
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_pid_that_nobody_has_is_nobody() {
    assert_eq!(read(i32::MAX, Marks::Skip).unwrap(), None);
    assert_eq!(start_of(i32::MAX), None);
}

#[test]
fn a_child_is_listed_and_shows_as_a_zombie_until_it_is_waited_for() {
    let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
    let pid = child.id().cast_signed();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !read(pid, Marks::Skip).unwrap().is_some_and(|p| p.zombie) {
        assert!(std::time::Instant::now() < deadline, "{:?}", read(pid, Marks::Skip));
        std::thread::yield_now();
    }
    if let Some(children) = own_children().unwrap() {
        assert!(children.contains(&pid), "{children:?}");
    }
    child.wait().unwrap();
    assert_eq!(read(pid, Marks::Skip).unwrap(), None);
}

#[test]
fn the_mark_is_found_between_other_variables() {
    let environ = b"A=1\0LOCKKEEPER_SANDBOX=id/lc\0LOCKKEEPER_SANDBOXES=no\0";
    assert_eq!(parse_mark(environ).as_deref(), Some("id/lc"));
    assert_eq!(parse_mark(b"LOCKKEEPER_SANDBOXES=x\0"), None);
    assert_eq!(parse_mark(b""), None);
}

#[test]
fn the_real_user_is_the_first_of_four() {
    assert_eq!(parse_uid("Name:\tx\nUid:\t60600\t1\t2\t3\n"), Some(60_600));
    assert_eq!(parse_uid("Name:\tUid:\n"), None);
}
