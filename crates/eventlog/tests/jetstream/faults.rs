//! Two writers, and a server that is away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eventlog::{
    AppendError, Batch, DedupeId, Follower, Log, LogName, NewRecord, OpenError, ReadError,
    ReadLimit, Step, Store, StoreError,
};
use tokio::task::JoinSet;

use crate::run;
use crate::server::Server;
use crate::suite::{NOW, options};

macro_rules! tests {
    ($($name:ident,)+) => {
        pub(crate) const TESTS: &[(&str, fn())] = &[$((stringify!($name), || run($name()))),+];
    };
}

tests! {
    whoever_opens_a_log_takes_it_over_and_the_writer_before_is_fenced,
    two_writers_never_come_in_between_each_other,
    a_server_that_was_killed_has_every_acknowledged_record_once_and_in_order,
    a_follower_waits_for_a_server_that_is_away_and_goes_on_where_it_was,
    an_append_that_was_not_answered_is_stored_once_under_its_name,
    without_a_server_nothing_opens_and_it_is_said_in_time,
    a_log_of_a_newer_program_is_left_alone,
}

async fn log(store: &Arc<dyn Store>) -> Arc<dyn Log> {
    store.open(&LogName::new("a.b").unwrap(), options()).await.unwrap()
}

fn one(word: &str) -> Batch {
    Batch::one(NOW, word.as_bytes().to_vec()).unwrap()
}

async fn words(log: &Arc<dyn Log>) -> Vec<(u64, String)> {
    let (mut words, mut next) = (Vec::new(), 1);
    loop {
        let page = log.read_from(next, ReadLimit::default()).await.unwrap();
        assert_eq!(page.gap, None);
        if page.records.is_empty() {
            return words;
        }
        let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
        words.extend(page.records.iter().map(|r| (r.offset, text(&r.payload))));
        next = page.next;
    }
}

async fn whoever_opens_a_log_takes_it_over_and_the_writer_before_is_fenced() {
    let server = Server::new();
    let (first, second) = (server.connect().await, server.connect().await);
    let old = log(&first).await;
    old.append(one("old")).await.unwrap();
    let new = log(&second).await;
    assert_eq!(old.epoch(), new.epoch());
    assert_eq!(old.append(one("late")).await, Err(AppendError::Fenced));
    assert_eq!(old.append(one("later")).await, Err(AppendError::Fenced));
    assert_eq!(old.trim(2).await, Err(StoreError::Fenced));
    assert!(old.head().borrow().closed, "its followers end and look for the new one");
    assert_eq!(new.append(one("new")).await.unwrap().first, 2);
    assert_eq!(words(&new).await, [(1, "old".into()), (2, "new".into())]);
    // Opened again it takes over in turn.
    let again = log(&first).await;
    assert_eq!(again.append(one("again")).await.unwrap().first, 3);
    assert_eq!(new.append(one("late")).await, Err(AppendError::Fenced));
}

async fn two_writers_never_come_in_between_each_other() {
    let server = Server::new();
    let mut writers = JoinSet::new();
    for writer in 0..2 {
        let store = server.connect().await;
        writers.spawn(async move {
            let (mut log, mut mine, mut fenced) = (self::log(&store).await, Vec::new(), 0);
            for turn in 0..60 {
                let record = |part| NewRecord {
                    ts: NOW,
                    payload: format!("{writer}-{turn}-{part}").into_bytes().into(),
                };
                let batch = Batch::new((0..3).map(record).collect()).unwrap();
                let batch = batch.named(DedupeId::random());
                let appended = loop {
                    match log.append(batch.clone()).await {
                        Ok(appended) => break appended,
                        Err(AppendError::Fenced) => {
                            fenced += 1;
                            log = self::log(&store).await;
                        }
                        Err(error) => panic!("{error}"),
                    }
                };
                mine.extend(
                    (0..3).map(|part| (appended.first + part, format!("{writer}-{turn}-{part}"))),
                );
                if turn % 20 == writer {
                    log = {
                        log.close().await.unwrap();
                        self::log(&store).await
                    };
                }
            }
            (mine, fenced)
        });
    }
    let ended = writers.join_all().await;
    assert!(ended.iter().any(|(_, fenced)| *fenced > 0), "they were at it at the same time");
    let mut told: Vec<_> = ended.into_iter().flat_map(|(mine, _)| mine).collect();
    told.sort();
    assert_eq!(words(&log(&server.connect().await).await).await, told);
    assert_eq!(told.len(), 360);
}

async fn a_server_that_was_killed_has_every_acknowledged_record_once_and_in_order() {
    let mut server = Server::new();
    let store = server.connect().await;
    let log = log(&store).await;
    let mut acknowledged = BTreeMap::new();
    for round in 0..5 {
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let log = Arc::clone(&log);
            writers.spawn(async move {
                let mut mine = Vec::new();
                for turn in 0..40 {
                    let word = format!("{round}-{writer}-{turn}");
                    let batch = one(&word).named(DedupeId::random());
                    let appended = loop {
                        match log.append(batch.clone()).await {
                            Ok(appended) => break appended,
                            Err(AppendError::Unavailable { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    };
                    mine.push((appended.first, word));
                }
                mine
            });
        }
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
        server.kill();
        server.start();
        acknowledged.extend(writers.join_all().await.concat());
    }
    assert_eq!(acknowledged.len(), 5 * 8 * 40);
    assert_eq!(words(&log).await, acknowledged.clone().into_iter().collect::<Vec<_>>());
    drop((log, store));
    let again = self::log(&server.connect().await).await;
    assert_eq!(words(&again).await, acknowledged.into_iter().collect::<Vec<_>>());
}

async fn a_follower_waits_for_a_server_that_is_away_and_goes_on_where_it_was() {
    let mut server = Server::new();
    let store = server.connect().await;
    let log = log(&store).await;
    log.append(one("1")).await.unwrap();
    let mut follower = Follower::new(Arc::clone(&log), 1, ReadLimit::default());
    assert!(matches!(follower.next().await, Ok(Some(Step::Records(_)))));
    server.kill();
    let append = log.append(one("2").named(DedupeId::random()));
    assert!(matches!(append.await, Err(AppendError::Unavailable { .. })));
    assert_eq!(log.status().next, 2);
    let read = log.read_from(1, ReadLimit::default()).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    server.start();
    let next = loop {
        if let Ok(appended) = log.append(one("3")).await {
            break appended.first;
        }
    };
    let mut met = Vec::new();
    while met.last() != Some(&next) {
        match follower.next().await {
            Ok(Some(Step::Records(records))) => met.extend(records.iter().map(|r| r.offset)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert_eq!(error.kind(), "unavailable"),
        }
    }
    assert_eq!(met, (2..=next).collect::<Vec<_>>());
}

async fn an_append_that_was_not_answered_is_stored_once_under_its_name() {
    let server = Server::new();
    let store = server.connect().await;
    let log = log(&store).await;
    let named = one("once").named(DedupeId::random());
    server.freeze();
    let unanswered = log.append(named.clone()).await;
    assert!(matches!(unanswered, Err(AppendError::Unavailable { .. })), "{unanswered:?}");
    server.thaw();
    let first = loop {
        if let Ok(appended) = log.append(named.clone()).await {
            break appended;
        }
    };
    assert_eq!((first.first, first.last), (1, 1));
    assert_eq!(log.append(one("next")).await.unwrap().first, 2);
    assert_eq!(words(&log).await, [(1, "once".into()), (2, "next".into())]);
}

async fn without_a_server_nothing_opens_and_it_is_said_in_time() {
    let mut server = Server::new();
    server.kill();
    let connecting = eventlog::jetstream::JetStreamStore::connect(server.options());
    let refused = tokio::time::timeout(Duration::from_secs(20), connecting).await.unwrap();
    assert!(matches!(refused.err(), Some(OpenError::Unavailable { .. })));
}

async fn a_log_of_a_newer_program_is_left_alone() {
    let server = Server::new();
    let store = server.connect().await;
    log(&store).await.append(one("1")).await.unwrap();
    store.close().await.unwrap();
    let client = async_nats::connect(server.options().servers).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Lockkeeper-Format", "2");
    let newer = context.publish_with_headers("test.a.b", headers, "".into()).await.unwrap();
    let sequence = newer.await.unwrap().sequence;
    let store = server.connect().await;
    let refused = store.open(&LogName::new("a.b").unwrap(), options()).await.err();
    assert_eq!(refused, Some(OpenError::NewerFormat { found: 2, known: 1 }));
    context.get_stream("test=a=b").await.unwrap().delete_message(sequence).await.unwrap();
    assert_eq!(log(&store).await.status().next, 2);
}
