use super::*;
use tokio::net::TcpListener;

/// A browser that says `answers` to the first message.
async fn ask(answers: &'static [&'static str]) -> Result<String, CallError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = WsUrl::from_parts("127.0.0.1", port, "abc").unwrap();
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let asked = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let asked: Value = serde_json::from_str(&asked).unwrap();
        assert_eq!(asked, json!({ "id": 1, "method": "Browser.getVersion" }));
        for answer in answers {
            socket.send(Message::text(*answer)).await.unwrap();
        }
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
    };
    tokio::join!(product(&url), serve).0
}

#[tokio::test]
async fn events_before_the_answer_are_passed_over() {
    let product = ask(&[
        r#"{"method":"Target.targetCreated","params":{}}"#,
        r#"{"id":1,"result":{"product":"Chrome/156"}}"#,
    ]);
    assert_eq!(product.await.unwrap(), "Chrome/156");
}

#[tokio::test]
async fn an_error_is_shown() {
    let error = ask(&[r#"{"id":1,"error":{"message":"no"}}"#]).await.unwrap_err();
    assert!(matches!(&error, CallError::Answer { answer, .. } if answer.contains("no")), "{error}");
}

#[tokio::test]
async fn an_answer_of_another_form_is_an_error() {
    assert!(matches!(ask(&["not json"]).await, Err(CallError::Answer { .. })));
    assert!(matches!(ask(&[r#"{"id":1,"result":{}}"#]).await, Err(CallError::Answer { .. })));
}

#[tokio::test]
async fn a_port_that_nobody_has_is_a_lost_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = WsUrl::from_parts("127.0.0.1", port, "abc").unwrap();
    assert!(matches!(product(&url).await, Err(CallError::Connection(_))));
}
