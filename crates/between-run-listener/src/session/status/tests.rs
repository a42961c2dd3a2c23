use super::*;

fn after(events: &[(&str, bool)]) -> Status {
    let mut status = Status::default();
    for (text, counts) in events {
        status.apply(&Event::parse(text).unwrap(), *counts);
    }
    status
}

const STARTED: (&str, bool) = (r#"{"type":"RUN_STARTED","threadId":"t","runId":"r"}"#, true);
const OURS: (&str, bool) = (r#"{"type":"RUN_STARTED","threadId":"t","runId":"i"}"#, false);
const FINISHED: (&str, bool) = (r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r"}"#, true);
const ASKS: (&str, bool) =
    (r#"{"type":"TOOL_CALL_START","toolCallId":"c","toolCallName":"Ask_User-Question"}"#, true);
const ANSWER: (&str, bool) =
    (r#"{"type":"TOOL_CALL_RESULT","messageId":"m","toolCallId":"c","content":"yes"}"#, true);

#[test]
fn a_session_is_new_then_working_then_idle() {
    assert_eq!(after(&[]).agent(), Agent::New);
    assert_eq!(after(&[STARTED]).agent(), Agent::Working);
    assert_eq!(after(&[STARTED, FINISHED]).agent(), Agent::Idle);
}

#[test]
fn a_terminal_with_another_or_an_empty_run_id_ends_working() {
    for id in ["other", ""] {
        let end = format!(r#"{{"type":"RUN_FINISHED","threadId":"","runId":"{id}"}}"#);
        assert_eq!(after(&[STARTED, (&end, true)]).agent(), Agent::Idle);
    }
}

#[test]
fn an_error_is_idle_with_its_words_until_the_next_run() {
    let error = (r#"{"type":"RUN_ERROR","message":"no","code":"X"}"#, true);
    let status = after(&[STARTED, error]);
    assert_eq!(status.agent(), Agent::Idle);
    let words = LastError { message: "no".into(), code: Some("X".into()) };
    assert_eq!(status.last_error(), Some(&words));
    assert_eq!(after(&[STARTED, error, STARTED]).last_error(), None);
}

#[test]
fn a_question_without_an_answer_waits_for_input() {
    assert_eq!(after(&[STARTED, ASKS, FINISHED]).agent(), Agent::WaitingInput);
    assert_eq!(after(&[STARTED, ASKS, ANSWER, FINISHED]).agent(), Agent::Idle);
    let interrupt = r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r",
        "outcome":{"type":"interrupt","interrupts":[{"id":"i","reason":"approve"}]}}"#;
    assert_eq!(after(&[STARTED, (interrupt, true)]).agent(), Agent::WaitingInput);
}

#[test]
fn runs_of_ours_change_nothing() {
    assert_eq!(after(&[OURS, FINISHED]).agent(), Agent::New);
    assert_eq!(after(&[STARTED, ASKS, FINISHED, OURS, FINISHED]).agent(), Agent::WaitingInput);
}
