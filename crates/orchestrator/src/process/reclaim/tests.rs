use super::*;

fn process() -> Proc {
    Proc { pid: 10, ppid: 1, session: 10, uid: 1000, zombie: false, start: 5, mark: None }
}

fn proofs() -> Proofs {
    Proofs { browser: Some((10, 5)), mark: "id/lc".into(), ..Proofs::default() }
}

#[test]
fn a_reused_pid_is_no_proof() {
    assert!(proofs().hold(&process()));
    assert!(!proofs().hold(&Proc { start: 6, ..process() }));
}

#[test]
fn the_session_of_a_dead_browser_is_no_proof() {
    assert!(!proofs().hold(&Proc { pid: 11, ..process() }));
}

#[test]
fn only_the_mark_of_this_very_sandbox_is_a_proof() {
    let marked = |mark: &str| Proc { pid: 11, mark: Some(mark.into()), ..process() };
    assert!(proofs().hold(&marked("id/lc")));
    assert!(!proofs().hold(&marked("id/lc2")));
    assert!(!proofs().hold(&marked("other/lc")));
}

#[test]
fn a_user_is_a_proof_only_while_we_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let pool = super::super::uids::UidPool::new(1000..=1000, dir.path().to_owned(), 0).unwrap();
    let stranger = Proc { pid: 99, ..process() };
    assert!(!proofs().hold(&stranger));
    let lease = pool.lease_exactly(1000).unwrap();
    assert!(Proofs { lease, ..proofs() }.hold(&stranger));
}
