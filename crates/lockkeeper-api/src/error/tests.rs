use super::*;

#[test]
fn the_body_has_the_documented_members() {
    let error = ApiError::new(Reason::NodeDraining, SandboxAfter::None, "the node is draining");
    assert_eq!(
        serde_json::to_string(&error.body()).unwrap(),
        r#"{"error":{"code":"NODE_DRAINING","message":"the node is draining","grpc":"UNAVAILABLE","sandbox_after":"none","retry_after_ms":5000,"metadata":{}}}"#
    );
}

#[test]
fn a_bad_request_names_each_field_once() {
    let mut list = Mistakes::one("ttl", "is empty").into_list();
    list.extend(Mistakes::one("ttl", "is too long").into_list());
    list.extend(Mistakes::one("id", "has an upper-case letter").into_list());
    let mistakes = Mistakes::check(list).unwrap_err();
    let error = ApiError::bad_request(SandboxAfter::None, &mistakes);
    assert_eq!(error.metadata["ttl"], "is empty; is too long");
    assert_eq!(error.metadata["id"], "has an upper-case letter");
    assert_eq!(error.retry_after_seconds(), None);
}

#[test]
fn the_retry_header_is_never_zero_and_rounds_up() {
    let full = ApiError::new(Reason::NodeFull, SandboxAfter::None, "full");
    assert_eq!(full.retry_after_seconds(), None);
    let seconds = |ms| full.clone().retry_after(Duration::from_millis(ms)).retry_after_seconds();
    assert_eq!((seconds(0), seconds(1), seconds(1000)), (Some(1), Some(1), Some(1)));
    assert_eq!(seconds(1001), Some(2));
}

#[test]
fn an_answer_of_a_newer_server_is_still_read() {
    let text = r#"{"error":{"code":"X","message":"m","grpc":"G","sandbox_after":"gone","new":1}}"#;
    let body: ErrorBody = serde_json::from_str(text).unwrap();
    assert_eq!(body.error.sandbox_after, SandboxAfter::Gone);
}

#[test]
fn a_save_that_failed_is_a_conflict_while_the_sandbox_runs_and_internal_when_it_is_gone() {
    for reason in [Reason::PauseNotSaved, Reason::CheckpointNotSaved] {
        let running = ApiError::new(reason, SandboxAfter::Running, "running again");
        assert_eq!((running.http_status(), running.grpc()), (409, GrpcCode::FailedPrecondition));
        let gone = ApiError::new(reason, SandboxAfter::Gone, "gone");
        assert_eq!((gone.http_status(), gone.grpc()), (500, GrpcCode::Internal));
        assert_eq!(gone.body().error.grpc, "INTERNAL");
    }
}
