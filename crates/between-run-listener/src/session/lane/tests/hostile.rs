//! Anything may come; what is logged as an event is in order.

use std::collections::HashSet;

use super::*;

/// What comes in one step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Event(bool, usize, usize, usize),
    Cut,
    Gone,
    Post(usize),
    End,
    Pass(u64),
    Restart,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (any::<bool>(), 0..EventType::KNOWN.len() + 2, 0..3_usize, 0..3_usize)
            .prop_map(|(run, kind, id, sub)| Step::Event(run, kind, id, sub)),
        1 => Just(Step::Cut),
        1 => Just(Step::Gone),
        2 => (0..4_usize).prop_map(Step::Post),
        2 => Just(Step::End),
        1 => (0..1_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// An event that fits its schema, with ids from a small set so that they collide.
pub(super) fn fields(kind: usize, id: usize, sub: usize) -> Value {
    let name = EventType::KNOWN.get(kind).map_or("META", |kind| kind.name());
    let id = ["a", "b", "c"][id];
    let subtype = if id == "a" { "tool-call" } else { "message" };
    let mut fields = json!({
        "type": name, "messageId": id, "toolCallId": id, "toolCallName": "n", "stepName": id,
        "threadId": "t", "runId": id, "delta": "x", "message": "m", "name": "n", "value": 1,
        "event": 1, "snapshot": {}, "messages": [], "activityType": "t", "patch": [],
        "subtype": subtype, "entityId": id, "encryptedValue": "e",
    });
    match name {
        "STATE_DELTA" => fields["delta"] = json!([]),
        "ACTIVITY_SNAPSHOT" => fields["content"] = json!({}),
        "TOOL_CALL_RESULT" => fields["content"] = "x".into(),
        "REASONING_MESSAGE_START" => fields["role"] = "reasoning".into(),
        _ => {}
    }
    if name.starts_with("SUBAGENT") {
        fields["subagentRunId"] = id.into();
    } else if sub > 0 {
        fields["subagentRunId"] = ["", "a", "b"][sub].into();
    }
    fields
}

/// The order of a stream without chunks and subagents, written down once more and in another way.
#[derive(Default)]
pub(super) struct Plain {
    run: bool,
    open: HashSet<(&'static str, String)>,
}

impl Plain {
    pub(super) fn check(&mut self, event: &Event) -> Result<(), String> {
        let what = event.kind.name();
        if event.kind == EventType::RunStarted {
            if std::mem::replace(&mut self.run, true) {
                return Err("a run in a run".into());
            }
            self.open.clear();
            return Ok(());
        }
        if !self.run {
            return Err(format!("{what} outside of a run"));
        }
        let id = |field| event.text(field).unwrap_or_default().to_owned();
        let step = format!("{}/{}", id("stepName"), id("subagentRunId"));
        let (group, key, opens) = match event.kind {
            EventType::TextStart => ("text", id("messageId"), true),
            EventType::TextEnd => ("text", id("messageId"), false),
            EventType::ToolStart => ("tool", id("toolCallId"), true),
            EventType::ToolEnd => ("tool", id("toolCallId"), false),
            EventType::ReasoningStart => ("span", id("messageId"), true),
            EventType::ReasoningEnd => ("span", id("messageId"), false),
            EventType::ReasoningMessageStart => ("reasoning", id("messageId"), true),
            EventType::ReasoningMessageEnd => ("reasoning", id("messageId"), false),
            EventType::StepStarted => ("step", step, true),
            EventType::StepFinished => ("step", step, false),
            EventType::SubagentStarted => ("subagent", id("subagentRunId"), true),
            EventType::SubagentFinished | EventType::SubagentError => {
                ("subagent", id("subagentRunId"), false)
            }
            EventType::RunFinished => {
                self.run = false;
                return if self.open.is_empty() { Ok(()) } else { Err("left open".into()) };
            }
            EventType::RunError => {
                self.run = false;
                return Ok(());
            }
            _ => return Ok(()),
        };
        let changed = match opens {
            true => self.open.insert((group, key.clone())),
            false => self.open.remove(&(group, key.clone())),
        };
        if changed { Ok(()) } else { Err(format!("{what} {key}")) }
    }
}

fn restart(bench: &mut Bench, so_far: &[Draft], starts: usize) {
    bench.lane = Lane::new("s", &format!("x{starts}"), None, Rules::default());
    for (at, draft) in so_far.iter().enumerate() {
        let (envelope, data) = (draft.envelope.clone(), draft.data.clone());
        bench.lane.replay(&Stored { offset: at as u64 + 1, envelope, data }, bench.now);
    }
    bench.lane.replayed(bench.now, &mut bench.log);
}

/// What is left when all steps were taken.
pub(super) struct Played {
    pub(super) log: Vec<Draft>,
    bench: Bench,
    starts: usize,
    offered: u64,
}

/// Takes steps, one after the other.
pub(super) fn play(steps: Vec<Step>) -> Played {
    let mut bench = Bench::new();
    let (mut number, mut starts) = (0, 0);
    let mut offered = 0_u64;
    for step in steps {
        let run = Source::Run(number);
        match step {
            Step::Event(on_run, kind, id, sub) => {
                let data = fields(kind, id, sub).to_string();
                let from = if on_run && number > 0 { run } else { LISTEN };
                offered += u64::from(bench.offer(from, &data) == Taken::Done);
            }
            Step::Cut => bench.lane.listen_cut(1, &mut bench.log),
            Step::Gone => bench.lane.listen_gone(1, &mut bench.log),
            Step::Post(run) => {
                if bench.post(number + 1, &format!("p{run}"), "m").is_ok() {
                    number += 1;
                }
            }
            Step::End => {
                bench.end(number);
            }
            Step::Pass(seconds) => {
                bench.pass(Duration::from_secs(seconds), seconds % 2 == 0);
            }
            Step::Restart => {
                starts += 1;
                let so_far = bench.log.clone();
                restart(&mut bench, &so_far, starts);
                number += 1;
            }
        }
    }
    Played { log: bench.log.clone(), bench, starts, offered }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_log_is_in_order(steps in prop::collection::vec(step(), 1..120)) {
        let Played { bench, starts, offered, .. } = play(steps);
        let mut plain = Plain::default();
        for draft in bench.log.iter().filter(|draft| draft.envelope.kind == Kind::Event) {
            let event = Event::parse(std::str::from_utf8(&draft.data).unwrap()).unwrap();
            let checked = plain.check(&event);
            prop_assert!(checked.is_ok(), "{:?}\n{:#?}", checked, bench.told());
        }
        // Nothing that came is gone without a record or a count.
        let kept = bench.log.iter().filter(|draft| draft.envelope.origin == Origin::Runner).count();
        if starts == 0 {
            prop_assert_eq!(kept as u64 + bench.lane.counts().duplicates, offered);
        }
    }
}
