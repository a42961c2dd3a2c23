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

/// An answer without an end; says when it is over.
struct Endless(watch::Sender<usize>);

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.send_modify(|over| *over += 1);
    }
}

fn endless(over: &watch::Sender<usize>) -> Router {
    let over = over.clone();
    let answer = move || {
        let held = Endless(over.clone());
        let piece = Bytes::from_static(&[b'x'; 16 * 1024]);
        async move {
            Body::from_stream(stream::repeat_with(move || {
                let _held = &held;
                Ok::<_, std::convert::Infallible>(piece.clone())
            }))
        }
    };
    Router::new().route("/", get(answer))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_in_its_time_and_no_other() {
    let (over, mut ended) = watch::channel(0);
    let short = HttpLimits { stall_timeout: Duration::from_secs(1), ..limits() };
    let rig = start(endless(&over), short).await;
    let (mut deaf, mut slow) = (rig.connect().await, rig.connect().await);
    for stream in [&mut deaf, &mut slow] {
        stream.write_all(GET.as_bytes()).await.unwrap();
    }
    // Slower than it is sent, so that there is always something on its way, but never silent.
    let mut read = 0;
    let reading = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            read += slow.read(&mut bytes).await.expect("it is served on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = reading => {}
        closed = timeout(PATIENCE, ended.wait_for(|over| *over > 0)) => {
            assert_eq!(*closed.expect("the silent one is closed").unwrap(), 1);
        }
    }
    let mut bytes = vec![0; 64 * 1024];
    let until = read + (8 << 20);
    while read < until {
        let more = timeout(PATIENCE, slow.read(&mut bytes)).await.expect("it is served on");
        read += more.unwrap();
    }
    assert_eq!(*ended.borrow(), 1);
}
