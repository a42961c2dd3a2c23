use super::*;
use crate::log::{Envelope, Origin, Stored};

fn epoch() -> Epoch {
    "abcdefgh".parse().unwrap()
}

fn entry(offset: u64, kind: Kind, event_type: &str, run: Option<u64>) -> Step {
    let envelope = Envelope {
        event_type: Some(event_type.to_owned()),
        feed: run.map(|_| FeedName::Run),
        feed_generation: run,
        ..Envelope::new(kind, Origin::Runner)
    };
    Step::Entry(Arc::new(Entry::new(&epoch(), Stored { offset, envelope, data: "{}".into() })))
}

/// What is shown: `e5` an event at 5, `loss5..5` a gap.
fn shown(view: &mut View, steps: &[Step]) -> Vec<String> {
    let mut out = Vec::new();
    steps.iter().for_each(|step| view.show(step, &mut out));
    view.flush(&mut out);
    out.iter().map(|frame| tell(std::str::from_utf8(frame).unwrap())).collect()
}

fn tell(frame: &str) -> String {
    match frame.strip_prefix("event: lk.gap\n") {
        Some(gap) => {
            let data = gap.split("data: ").nth(1).unwrap();
            let gap: serde_json::Value = serde_json::from_str(data).unwrap();
            format!("{}{}..{}", gap["reason"].as_str().unwrap(), gap["from"], gap["to"])
        }
        None => format!("e{}", frame.lines().next().unwrap().rsplit('-').next().unwrap()),
    }
}

#[test]
fn events_and_losses_are_shown_and_nothing_else() {
    let steps = [
        entry(1, Kind::Event, "RUN_STARTED", None),
        entry(2, Kind::Rejected, "X", None),
        entry(3, Kind::Loss, "X", None),
        entry(4, Kind::Note, "X", None),
        entry(5, Kind::Event, "X", None),
    ];
    assert_eq!(shown(&mut View::new(Which::Agui, epoch()), &steps), ["e1", "loss3..3", "e5"]);
    let all = shown(&mut View::new(Which::Records, epoch()), &steps);
    assert_eq!(all, ["e1", "e2", "e3", "e4", "e5"]);
}

#[test]
fn after_a_gap_the_next_event_is_the_start_of_a_run() {
    let steps = [
        entry(1, Kind::Event, "RUN_STARTED", None),
        Step::Gap(Missing { from: 2, to: 4, why: "corrupt" }),
        entry(5, Kind::Event, "TEXT_MESSAGE_CONTENT", None),
        entry(6, Kind::Rejected, "X", None),
        entry(7, Kind::Event, "RUN_STARTED", None),
        entry(8, Kind::Event, "X", None),
    ];
    let view = shown(&mut View::new(Which::Agui, epoch()), &steps);
    assert_eq!(view, ["e1", "corrupt2..5", "e7", "e8"]);
}

#[test]
fn a_gap_is_told_before_the_wait_for_the_next_run() {
    let mut view = View::new(Which::Agui, epoch());
    let gap = Step::Gap(Missing { from: 1, to: 4, why: "retention" });
    assert_eq!(shown(&mut view, &[gap]), ["retention1..4"]);
    let steps = [entry(5, Kind::Event, "X", None), entry(6, Kind::Event, "RUN_STARTED", None)];
    assert_eq!(shown(&mut view, &steps), ["retention5..5", "e6"]);
}

#[test]
fn a_posted_run_is_shown_from_its_start_to_its_end() {
    let mut view = View::new(Which::Run(3), epoch());
    let steps = [
        entry(1, Kind::Event, "RUN_STARTED", None),
        entry(2, Kind::Event, "RUN_FINISHED", None),
        entry(3, Kind::Event, "RUN_STARTED", Some(3)),
        entry(4, Kind::Event, "CUSTOM", None),
        entry(5, Kind::Event, "RUN_ERROR", None),
        entry(6, Kind::Event, "RUN_STARTED", Some(4)),
    ];
    assert_eq!(shown(&mut view, &steps), ["e3", "e4", "e5"]);
    assert!(view.is_over());
}
