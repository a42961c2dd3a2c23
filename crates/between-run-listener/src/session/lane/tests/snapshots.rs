//! Snapshots that hold only the messages of their own run.

use super::folded::{folded, stored};
use super::*;
use crate::session::fold::Fold;
use crate::session::settings::Snapshots;

fn snapshot(ids: &[&str]) -> String {
    let messages: Vec<Value> =
        ids.iter().map(|id| json!({ "id": id, "role": "user", "content": id })).collect();
    json!({ "type": "MESSAGES_SNAPSHOT", "messages": messages }).to_string()
}

/// Two runs of the runner, each with a message, a snapshot of it alone, and more text behind it.
fn told(snapshots: Snapshots) -> Bench {
    let mut bench = Bench::new();
    bench.lane.configure(None, Rules { snapshots, ..Rules::default() });
    if bench.lane.wants_conversation() {
        bench.lane.remember(Fold::new("s"));
    }
    bench.take(LISTEN, &started("r1")).take(LISTEN, &text("START", "a"));
    bench.take(LISTEN, &text("END", "a")).take(LISTEN, &snapshot(&["a"]));
    bench.take(LISTEN, &finished("r1"));
    bench.take(LISTEN, &started("r2")).take(LISTEN, &snapshot(&["b"]));
    bench.take(LISTEN, &text("START", "c")).take(LISTEN, &finished("r2"));
    bench
}

fn ids(bench: &Bench) -> Vec<String> {
    let messages = folded(&stored(&bench.log)).messages();
    let ids = messages.as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn one_of_all_messages_is_shown_in_place_of_a_snapshot_of_a_runs_own() {
    let bench = told(Snapshots::Increment);
    let ours = bench.told().iter().filter(|told| *told == "+MESSAGES_SNAPSHOT(base)").count();
    assert_eq!(ours, 1, "the first held all there was");
    assert_eq!(bench.told().iter().filter(|told| *told == "!increment").count(), 1);
    assert_eq!(ids(&bench), ["a", "b", "c"]);
    // The protocol's own way: what a snapshot leaves out is gone.
    let bench = told(Snapshots::Whole);
    assert!(!bench.told().iter().any(|told| told.contains("base")));
    assert_eq!(ids(&bench), ["b", "c"]);
}

#[test]
fn a_lane_that_begins_anew_has_the_conversation_of_the_log() {
    let before = told(Snapshots::Increment);
    let records = stored(&before.log);
    let mut bench = Bench::new();
    records.iter().for_each(|record| bench.lane.replay(record, bench.now));
    bench.lane.configure(None, Rules { snapshots: Snapshots::Increment, ..Rules::default() });
    assert!(bench.lane.wants_conversation());
    bench.lane.remember(folded(&records));
    bench.take(LISTEN, &started("r3")).take(LISTEN, &snapshot(&["d"]));
    let all: Value = serde_json::from_slice(&bench.log.last().unwrap().data).unwrap();
    let ids: Vec<_> = all["messages"].as_array().unwrap().iter().map(|m| m["id"].clone()).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    bench.lane.configure(None, Rules::default());
    assert!(!bench.lane.wants_conversation());
    let before = bench.log.len();
    bench.take(LISTEN, &snapshot(&["e"]));
    assert_eq!(bench.log.len(), before + 1, "the setting of the moment counts");
}
