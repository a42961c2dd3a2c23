use std::time::Duration;

use eventlog::memory::MemoryStore;

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
