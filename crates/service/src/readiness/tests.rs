use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn says_which_step_start_up_is_at_and_is_ready_last() {
    let readiness = Readiness::starting("settings");
    assert_eq!(readiness.verdict(), Verdict::Starting { step: "settings" });
    readiness.step("reclaim");
    assert_eq!(readiness.verdict(), Verdict::Starting { step: "reclaim" });
    readiness.started();
    assert_eq!(readiness.verdict(), Verdict::Ready);
    readiness.step("reclaim");
    assert_eq!(readiness.verdict(), Verdict::Ready, "a late step does not undo it");
}

#[test]
fn nothing_makes_it_ready_again_once_the_end_has_begun() {
    let readiness = Readiness::starting("settings");
    readiness.ending();
    readiness.started();
    readiness.step("listeners");
    assert_eq!(readiness.verdict(), Verdict::NotReady { status: "draining" });
}

#[test]
fn follows_the_door_at_every_question() {
    let open = Arc::new(AtomicBool::new(true));
    let theirs = Arc::clone(&open);
    let readiness = Readiness::starting("settings");
    readiness.attach(move || (!theirs.load(Ordering::SeqCst)).then_some("standby"));
    assert_eq!(readiness.verdict(), Verdict::Starting { step: "settings" });
    readiness.started();
    assert_eq!(readiness.verdict(), Verdict::Ready);
    open.store(false, Ordering::SeqCst);
    assert_eq!(readiness.verdict(), Verdict::NotReady { status: "standby" });
    open.store(true, Ordering::SeqCst);
    assert_eq!(readiness.verdict(), Verdict::Ready);
}
