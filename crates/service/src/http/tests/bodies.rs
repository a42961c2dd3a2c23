//! Bodies that take their time.

use super::*;

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_answered_408_when_its_time_is_over() {
    let router = Router::new().route("/", post(|body: Bytes| async move { body }));
    let short = HttpLimits { body_timeout: Duration::from_millis(100), ..limits() };
    let rig = start(router, short).await;
    let mut stream = rig.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let drip = async {
        // Until the other side has closed.
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut bytes = vec![0; 1024];
    let answer = async {
        let count = timeout(PATIENCE, read.read(&mut bytes)).await.expect("an answer").unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let answer = tokio::select! {
        answer = answer => answer,
        () = drip => panic!("closed before it was answered"),
    };
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("connection: close") && answer.contains("body"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_whole_in_time_arrives_however_long_its_handler_takes() {
    let late = |body: Bytes| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        body
    };
    let short = HttpLimits { body_timeout: Duration::from_millis(200), ..limits() };
    let rig = start(Router::new().route("/", post(late)), short).await;
    let answer = rig
        .talk(
            "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 5\r\n\r\n\
             whole",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("whole"), "{answer}");
}
