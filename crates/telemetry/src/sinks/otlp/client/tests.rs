use super::*;

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_read_again_and_tried_after_a_while() {
    let mut client = Client::new(Otlp::new("http://127.0.0.1:4318").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    client.settings.token_file = Some(file.clone());
    let missing = client.token().await.unwrap_err();
    assert_eq!((missing.cause, missing.then), ("token", Then::RetryAfter(REFUSED_PAUSE)));
    std::fs::write(&file, "first\n").unwrap();
    assert_eq!(client.token().await.unwrap().unwrap(), "Bearer first");
    std::fs::write(&file, "second\n").unwrap();
    assert_eq!(client.token().await.unwrap().unwrap(), "Bearer first", "not read each time");
    client.token = None;
    assert_eq!(client.token().await.unwrap().unwrap(), "Bearer second");
    for status in [401, 403] {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, retry_after: None, body: Bytes::new() };
        assert_eq!(judge(answer).unwrap_err().then, Then::RetryAfter(REFUSED_PAUSE));
    }
}
