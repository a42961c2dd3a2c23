//! Random operations, compared after each with a plain list.

use eventlog::{AppendError, Batch, Log, LogName, NewRecord, ReadError, ReadLimit, Store};
use proptest::prelude::*;
use std::sync::Arc;

use crate::suite::{Backend, NOW, options};

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Append(Vec<u16>),
    Trim(u64),
    Read { from: u64, records: usize, bytes: usize },
    CloseAndOpen,
    Restart,
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => prop::collection::vec(0..300u16, 1..8).prop_map(Op::Append),
        1 => (0..60u64).prop_map(Op::Trim),
        4 => (0..60u64, 0..12usize, 0..900usize)
            .prop_map(|(from, records, bytes)| Op::Read { from, records, bytes }),
        1 => Just(Op::CloseAndOpen),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..60)
}

/// The records of a log as a plain list: index 0 has offset 1.
#[derive(Default)]
struct Model {
    lengths: Vec<u16>,
    trimmed: u64,
}

impl Model {
    fn head(&self) -> u64 {
        self.lengths.len() as u64 + 1
    }

    fn read(&self, from: u64, records: usize, bytes: usize) -> Vec<(u64, u16)> {
        let start = from.max(1).max(self.trimmed + 1);
        let mut room = bytes;
        let mut read = Vec::new();
        for offset in start..self.head() {
            let length = self.lengths[usize::try_from(offset).unwrap() - 1];
            let fits = read.len() < records && usize::from(length) <= room;
            if !read.is_empty() && !fits {
                break;
            }
            room = room.saturating_sub(usize::from(length));
            read.push((offset, length));
        }
        read
    }
}

/// Runs operations on a log and on the model, and compares what can be seen.
pub(crate) async fn agrees_with_a_plain_list(backend: &mut dyn Backend, ops: Vec<Op>) {
    let name = LogName::new("model").unwrap();
    let mut store: Arc<dyn Store> = backend.start().await;
    let mut log: Arc<dyn Log> = store.open(&name, options()).await.unwrap();
    let mut epoch = log.epoch().clone();
    let mut model = Model::default();
    for op in ops {
        match op {
            Op::Append(lengths) => {
                let record = |length: &u16| NewRecord {
                    ts: NOW,
                    payload: vec![b'a' + (*length % 26) as u8; usize::from(*length)].into(),
                };
                let batch = Batch::new(lengths.iter().map(record).collect()).unwrap();
                let appended = log.append(batch).await.unwrap();
                assert_eq!(appended.first, model.head());
                model.lengths.extend(lengths);
                assert_eq!(appended.last, model.head() - 1);
            }
            Op::Trim(before) => {
                let first = log.trim(before).await.unwrap();
                model.trimmed = model.trimmed.max(before.min(model.head()).saturating_sub(1));
                assert_eq!(first, model.trimmed + 1);
            }
            Op::Read { from, records, bytes } => {
                let read = log.read_from(from, ReadLimit { records, bytes }).await;
                if from > model.head() {
                    assert_eq!(read, Err(ReadError::Ahead { next: model.head() }));
                    continue;
                }
                let page = read.unwrap();
                let seen = page
                    .records
                    .iter()
                    .map(|record| (record.offset, u16::try_from(record.payload.len()).unwrap()));
                assert_eq!(seen.collect::<Vec<_>>(), model.read(from, records, bytes));
                assert_eq!(page.head, model.head());
                let gap = page.gap.map(|gap| (gap.from, gap.to));
                let missing = from.max(1) <= model.trimmed;
                assert_eq!(gap, missing.then_some((from.max(1), model.trimmed)));
            }
            Op::CloseAndOpen => {
                log.close().await.unwrap();
                let refused = log.append(Batch::one(NOW, "late").unwrap()).await;
                assert_eq!(refused, Err(AppendError::Closed));
                log = store.open(&name, options()).await.unwrap();
                assert_eq!(*log.epoch(), epoch);
            }
            Op::Restart => {
                store.close().await.unwrap();
                drop((log, store));
                store = backend.start().await;
                log = store.open(&name, options()).await.unwrap();
                assert_eq!(*log.epoch() == epoch, backend.survives());
                if !backend.survives() {
                    model = Model::default();
                    epoch = log.epoch().clone();
                }
            }
        }
        let status = log.status();
        assert_eq!((status.first, status.next), (model.trimmed + 1, model.head()));
    }
}
