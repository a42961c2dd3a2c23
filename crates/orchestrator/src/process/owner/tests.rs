use super::*;

fn stranger() -> Proc {
    Proc { pid: 10, ppid: 1, session: 10, uid: 1000, zombie: false, start: 5, mark: None }
}

#[test]
fn a_stranger_of_the_same_user_is_not_owned() {
    let owner = Owner::new(None, None, "id/lc".into());
    assert!(!owner.owns(&stranger()));
    assert!(!owner.owns(&Proc { mark: Some("id/other".into()), ..stranger() }));
}

#[test]
fn a_session_counts_only_while_the_browser_was_not_waited_for() {
    let owner = Owner::new(None, None, "id/lc".into());
    owner.session_begins(10);
    assert!(owner.owns(&Proc { pid: 11, ..stranger() }));
    owner.session_ends();
    assert!(!owner.owns(&Proc { pid: 11, ..stranger() }));
}

#[test]
fn a_launcher_is_owned_before_it_has_a_session() {
    let owner = Owner::new(None, None, "id/lc".into());
    owner.session_begins(10);
    assert!(owner.owns(&Proc { session: 3, ..stranger() }));
}

#[test]
fn a_remembered_process_is_owned_by_pid_and_start_together() {
    let owner = Owner::new(None, None, "id/lc".into());
    owner.remember(&stranger());
    assert!(owner.owns(&Proc { zombie: true, ..stranger() }));
    assert!(!owner.owns(&Proc { start: 6, ..stranger() }));
    owner.forget();
    assert!(!owner.owns(&stranger()));
}
