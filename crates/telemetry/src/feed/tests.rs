use super::*;
use crate::testing::faulty_log;

async fn log_with(payloads: &[&str]) -> Arc<dyn Log> {
    let log = faulty_log().await;
    for payload in payloads {
        let now = micros(std::time::SystemTime::now());
        let batch = eventlog::Batch::one(now, payload.as_bytes().to_vec()).unwrap();
        log.append(batch).await.unwrap();
    }
    log
}

const EVENT: &str = r#"{"ts":1,"type":"a","category":"run","data":{}}"#;

#[tokio::test]
async fn a_record_that_is_no_event_becomes_a_gap() {
    let log = log_with(&[EVENT, "junk", "[]", EVENT]).await;
    let feed = Feed::new(log);
    let mut seen = Vec::new();
    let mut next = 1;
    while next < 5 {
        let chunk = feed.read(next, ReadLimit::default()).await.unwrap();
        if let Some(Gap { from, to, cause }) = chunk.gap {
            assert_eq!((from, cause), (to, GapCause::Corrupt));
            seen.push(format!("gap {from}"));
        }
        seen.extend(chunk.events.iter().map(|event| format!("event {}", event.offset)));
        assert!(chunk.next > next, "always further");
        next = chunk.next;
    }
    assert_eq!(seen, ["event 1", "gap 2", "gap 3", "event 4"]);
}

#[tokio::test]
async fn what_was_stored_reads_back_as_what_was_shown() {
    let log = log_with(&[EVENT]).await;
    let feed = Feed::new(Arc::clone(&log));
    let from_log = feed.read(1, ReadLimit::default()).await.unwrap().events.remove(0);
    assert_eq!(
        from_log.envelope(),
        format!("{{\"epoch\":\"{}\",\"offset\":1,{}", log.epoch(), &EVENT[1..])
    );
    assert_eq!(
        from_log.frame(),
        &format!(
            "id: {0}-1\ndata: {{\"epoch\":\"{0}\",\"offset\":1,{1}\n\n",
            log.epoch(),
            &EVENT[1..]
        )
    );
    assert_eq!(feed.push(vec![(*from_log).clone()]), 1, "the ring starts again where it is told");
    let from_ring = feed.read(1, ReadLimit::default()).await.unwrap().events.remove(0);
    assert_eq!(from_ring, from_log);
}
