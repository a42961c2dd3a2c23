use std::time::Duration;

use eventlog::memory::MemoryStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::http;

/// Settings of a session whose runner is away: nothing listens on that port.
fn settings() -> Checked {
    let text = r#"{"runner_url":"http://127.0.0.1:9"}"#;
    Checked::new(serde_json::from_str(text).unwrap()).unwrap()
}

async fn sessions() -> (Arc<Sessions>, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::default());
    let client = Client::new(http::Options::default());
    let all = Arc::clone(&store) as Arc<dyn Store>;
    (Sessions::open(all, client, Options::default()).await.unwrap(), store)
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_deleted_with_all_its_logs() {
    let (sessions, store) = sessions().await;
    let (old, used) = (SessionKey::new("p", "old").unwrap(), SessionKey::new("p", "used").unwrap());
    for key in [&old, &used] {
        sessions.put(key, settings()).await.unwrap();
        let session = sessions.find(key).unwrap().session.clone();
        session.note("feedback", "{}".into()).await.unwrap();
    }
    let now = SystemTime::now();
    let month = Duration::from_secs(30 * 24 * 3600);
    assert_eq!(sessions.delete_idle(now + month - Duration::from_secs(60)).await, 0);
    // One is being read.
    let reader = sessions.find(&used).unwrap().session.clone();
    let start = crate::session::Start::First;
    let which = crate::session::view::Which::Agui;
    let reading = reader.subscribe(start, which).await.unwrap();
    assert_eq!(sessions.delete_idle(now + month + Duration::from_secs(60)).await, 1);
    assert!(sessions.find(&old).is_none() && sessions.find(&used).is_some());
    let names = store.list().await.unwrap();
    let names: Vec<&str> = names.iter().map(eventlog::LogName::as_str).collect();
    assert_eq!(names, ["session.p.used", "settings.p"]);
    drop(reading);
    let report = sessions.shutdown(Instant::now() + Duration::from_secs(20)).await;
    assert_eq!(report.late, 0);
}

/// Answers one run with its begin and its end; everything else of a runner is away.
async fn run_once(listener: TcpListener, run: &str) {
    let mut stream = loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"}") {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                break;
            }
        }
        if String::from_utf8_lossy(&request).contains("messages") {
            break stream;
        }
    };
    let event = |kind: &str| {
        format!("data: {{\"type\":\"{kind}\",\"threadId\":\"one\",\"runId\":\"{run}\"}}\n\n")
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let answer = format!("{head}{}{}", event("RUN_STARTED"), event("RUN_FINISHED"));
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// All sessions of a store, and how often each of them was stopped by a run.
async fn reopened(store: &Arc<MemoryStore>) -> (Arc<Sessions>, Arc<AtomicU64>) {
    let stops = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&stops);
    let heard = move |_: &SessionKey| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let observe =
        Observe { stopped: Some(crate::session::OnStop(Arc::new(heard))), ..Observe::default() };
    let all = Arc::clone(store) as Arc<dyn Store>;
    let client = Client::new(http::Options::default());
    let sessions = Sessions::open_observed(all, client, Options::default(), observe).await;
    (sessions.unwrap(), stops)
}

/// Looks after them until `stopped`, or for a while.
async fn tended(sessions: &Sessions, key: &SessionKey, stopped: bool) {
    let until = async {
        while sessions.find(key).unwrap().is_stopped() != stopped {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = sessions.run() => {}
        done = tokio::time::timeout(Duration::from_secs(20), until) => done.unwrap(),
    }
}

#[tokio::test]
async fn a_stop_that_a_dead_process_owed_is_made_up_for_once() {
    let store = Arc::new(MemoryStore::default());
    let key = SessionKey::new("p", "one").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        r#"{{"runner_url":"http://{}","stop_on_run_finished":true}}"#,
        listener.local_addr().unwrap()
    );
    let checked = || Checked::new(serde_json::from_str(&text).unwrap()).unwrap();
    {
        // Nobody looks after these, as in a process that dies right after the end of the run.
        let (sessions, stops) = reopened(&store).await;
        sessions.put(&key, checked()).await.unwrap();
        let held = sessions.find(&key).unwrap();
        sessions.registry().cancel(&key).await;
        let body = r#"{"runId":"r","messages":[{"id":"1","role":"user","content":"x"}]}"#;
        let input = RunInput::complete(&body.into(), "one").unwrap();
        let (posted, ()) = tokio::join!(sessions.post(&held, input, None), run_once(listener, "r"));
        posted.unwrap();
        let limit = Instant::now() + Duration::from_secs(20);
        while !held.session.take_finished() {
            assert!(Instant::now() < limit, "the run never ends");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(sessions.shutdown(Instant::now() + Duration::from_secs(20)).await.late, 0);
        assert_eq!((held.is_stopped(), stops.load(Ordering::Relaxed)), (false, 0));
    }
    let (sessions, stops) = reopened(&store).await;
    tended(&sessions, &key, true).await;
    assert_eq!(stops.load(Ordering::Relaxed), 1);
    sessions.shutdown(Instant::now() + Duration::from_secs(20)).await;

    let (sessions, stops) = reopened(&store).await;
    assert!(sessions.find(&key).unwrap().is_stopped());
    // Put again, it listens, and the next process does not stop it for a run of long ago.
    sessions.put(&key, checked()).await.unwrap();
    sessions.shutdown(Instant::now() + Duration::from_secs(20)).await;
    assert_eq!(stops.load(Ordering::Relaxed), 0);
    let (sessions, stops) = reopened(&store).await;
    tended(&sessions, &key, false).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(stops.load(Ordering::Relaxed), 0);
    sessions.shutdown(Instant::now() + Duration::from_secs(20)).await;
}
