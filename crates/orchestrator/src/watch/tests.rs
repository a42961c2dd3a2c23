use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn a_cursor_survives_the_wire_and_nothing_else_is_one() {
    let cursor = Cursor { epoch: "wabc2".into(), last: 42 };
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    for text in ["", "-", "w-", "-1", "w", "w-x", "w--1", "w w-1", "\u{e9}-1"] {
        assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text:?}");
    }
}

#[test]
fn a_place_of_another_life_is_foreign() {
    let mut journal = Journal::new("w1", 4);
    journal.push("a");
    let foreign = Cursor { epoch: "w2".into(), last: 1 };
    assert_eq!(journal.resume(&foreign), Err(Missed::Foreign));
    assert_eq!(journal.resume(&journal.cursor(2)), Err(Missed::Foreign), "it is ahead");
    assert_eq!(journal.resume(&journal.cursor(1)), Ok(1));
    assert_eq!(journal.after(0, 10), Ok(vec!["a"]));
}

/// What happens to a node and to one that watches it.
#[derive(Debug, Clone)]
enum Op {
    Change(u8, u8),
    Read(usize),
    /// The connection breaks, and a new one brings the cursor.
    Reconnect,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u8..5, any::<u8>()).prop_map(|(id, state)| Op::Change(id, state)),
        4 => (0_usize..6).prop_map(Op::Read),
        1 => Just(Op::Reconnect),
    ]
}

/// A watcher as the shell builds it: it folds changes, and starts anew when it is told of a gap.
#[derive(Default)]
struct Watcher {
    last: u64,
    seen: BTreeMap<u8, u8>,
    /// Changes seen one by one, and gaps.
    trace: Vec<Option<(u8, u8)>>,
}

proptest! {
    /// However slowly it reads and however often it breaks off: a watcher sees every change in order,
    /// or a gap followed by all that exists; and in the end what it knows is what is.
    #[test]
    fn a_watcher_ends_with_what_is_and_misses_nothing_silently(
        capacity in 1_usize..8,
        ops in prop::collection::vec(op(), 0..200),
    ) {
        let mut journal = Journal::new("w", capacity);
        let mut truth: BTreeMap<u8, u8> = BTreeMap::new();
        let mut all: Vec<(u8, u8)> = Vec::new();
        let mut watcher = Watcher::default();
        let read = |journal: &Journal<(u8, u8)>, truth: &BTreeMap<u8, u8>, w: &mut Watcher, n| {
            match journal.after(w.last, n) {
                Ok(changes) => {
                    for (id, state) in changes {
                        w.last += 1;
                        w.seen.insert(id, state);
                        w.trace.push(Some((id, state)));
                    }
                }
                Err(missed) => {
                    assert_eq!(missed, Missed::Overtaken);
                    w.trace.push(None);
                    w.seen = truth.clone();
                    w.last = journal.last();
                }
            }
        };
        for op in ops {
            match op {
                Op::Change(id, state) => {
                    truth.insert(id, state);
                    all.push((id, state));
                    journal.push((id, state));
                }
                Op::Read(n) => read(&journal, &truth, &mut watcher, n),
                Op::Reconnect => {
                    let cursor: Cursor = journal.cursor(watcher.last).to_string().parse().unwrap();
                    match journal.resume(&cursor) {
                        Ok(last) => prop_assert_eq!(last, watcher.last),
                        Err(_) => read(&journal, &truth, &mut watcher, 1),
                    }
                }
            }
        }
        while watcher.last < journal.last() {
            read(&journal, &truth, &mut watcher, 3);
        }
        prop_assert_eq!(&watcher.seen, &truth);
        // Between two gaps the trace is a run of the real changes, without a hole.
        let mut from = 0;
        for (index, run) in watcher.trace.split(Option::is_none).enumerate() {
            let run: Vec<_> = run.iter().flatten().copied().collect();
            if index == 0 {
                prop_assert_eq!(&run[..], &all[..run.len()]);
            }
            let found = (from..=all.len() - run.len()).find(|at| all[*at..*at + run.len()] == run[..]);
            prop_assert!(found.is_some(), "{:?} is no run of {:?}", run, all);
            from = found.unwrap_or(from);
        }
    }
}
