use super::*;

fn error(cause: Cause, lines: &[&str]) -> StartError {
    let mut ring = LogRing::default();
    lines.iter().for_each(|line| ring.push(line));
    ended_error(cause, &Mutex::new(ring))
}

#[test]
fn a_failed_step_of_the_launcher_is_told_as_such() {
    let cause = Cause::Exited { code: 125 };
    assert_eq!(
        error(cause, &["lockkeeper launcher: user: EPERM"]),
        StartError::Spawn("user: EPERM".into())
    );
    assert!(matches!(error(cause, &["other"]), StartError::Exited { .. }));
}

#[test]
fn a_browser_without_its_sandbox_says_how_to_help_it() {
    let error = error(Cause::Signalled { signal: 5 }, &["[1:FATAL] No usable sandbox!"]);
    assert!(error.to_string().contains("user namespaces"), "{error}");
    assert!(error.to_string().contains("No usable sandbox!"), "{error}");
}
