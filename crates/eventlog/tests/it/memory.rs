//! The facts, on logs in memory.

use std::sync::Arc;

use eventlog::memory::MemoryStore;
use eventlog::{Batch, BoxFuture, LogName, LogOptions, ReadLimit, Store};

use crate::facts::facts;
use crate::suite::{Backend, NOW, payloads};

struct Memory;

impl Backend for Memory {
    fn start(&mut self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async { Arc::new(MemoryStore::default()) as Arc<dyn Store> })
    }

    fn survives(&self) -> bool {
        false
    }
}

facts!(Memory);

#[tokio::test]
async fn a_store_has_a_cap_whatever_retention_says() {
    let store = MemoryStore::with_cap(1_000);
    let name = LogName::new("a").unwrap();
    let log = store.open(&name, LogOptions::default()).await.unwrap();
    for _ in 0..100 {
        log.append(Batch::one(NOW, vec![b'x'; 68]).unwrap()).await.unwrap();
    }
    assert_eq!((log.status().bytes, log.status().first), (1_000, 91));
    let page = log.read_from(91, ReadLimit::default()).await.unwrap();
    assert_eq!(payloads(&page.records).len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_at_any_moment_sees_every_event_from_there_on_once() {
    crate::crowd::joiners_miss_nothing(Memory.start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_followers_hear_of_every_append() {
    crate::crowd::a_crowd_hears_of_every_append(Memory.start().await).await;
}
