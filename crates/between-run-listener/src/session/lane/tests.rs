use std::time::{Duration, Instant};

use bytestring::ByteString;
use proptest::prelude::*;

use super::*;
use crate::log::Stored;
use crate::session::status::Agent;
use crate::sse;

mod folded;
mod hostile;
mod lanes;
mod runs;
mod snapshots;

const LISTEN: Source = Source::Listen(1);
const RUN: Source = Source::Run(1);

/// A lane with its log and a clock that stands still until it is moved.
struct Bench {
    lane: Lane,
    now: Instant,
    log: Vec<Draft>,
}

impl Bench {
    fn new() -> Self {
        let lane = Lane::new("s", "x", None, Rules::default());
        Self { lane, now: Instant::now(), log: Vec::new() }
    }

    fn offer(&mut self, from: Source, data: &str) -> Taken {
        let event = sse::Event { kind: None, data: ByteString::from(data), id: None };
        self.lane.take(from, &Item::Event(event), self.now, &mut self.log)
    }

    fn take(&mut self, from: Source, data: &str) -> &mut Self {
        assert_eq!(self.offer(from, data), Taken::Done, "{data}");
        self
    }

    fn post(&mut self, number: u64, run: &str, message: &str) -> Result<(), Refused> {
        let messages = json!([{ "id": message, "role": "user", "content": "hi" }]);
        let input = json!({ "threadId": "t", "runId": run, "messages": messages });
        let posted = Posted::read(input.as_object().unwrap()).unwrap();
        self.lane.post(number, posted, &mut self.log)
    }

    fn end(&mut self, number: u64) -> Taken {
        self.lane.run_ended(number, &Failure::truncated(), self.now, &mut self.log)
    }

    fn pass(&mut self, time: Duration, waiting: bool) -> Option<u64> {
        self.now += time;
        self.lane.timer(waiting, self.now, &mut self.log)
    }

    /// Each record as kind of run or reason, and type.
    fn told(&self) -> Vec<String> {
        self.log.iter().map(tell).collect()
    }
}

/// `TYPE`, `+TYPE(kind)` if it is ours, `!reason` if it was rejected.
fn tell(draft: &Draft) -> String {
    let kind = draft.envelope.event_type.clone().unwrap_or_default();
    match (draft.envelope.kind, draft.envelope.origin) {
        (Kind::Event, Origin::Runner) => kind,
        (Kind::Event, Origin::Gateway) => {
            let fields: Value = serde_json::from_slice(&draft.data).unwrap();
            let ours = fields["metadata"]["lockkeeper"]["kind"].as_str().unwrap();
            match fields["code"].as_str() {
                Some(code) => format!("+{code}"),
                None => format!("+{kind}({ours})"),
            }
        }
        (other, _) => {
            format!("!{}", draft.envelope.reason.clone().unwrap_or_else(|| format!("{other:?}")))
        }
    }
}

fn started(run: &str) -> String {
    json!({ "type": "RUN_STARTED", "threadId": "t", "runId": run }).to_string()
}

fn finished(run: &str) -> String {
    json!({ "type": "RUN_FINISHED", "threadId": "t", "runId": run }).to_string()
}

fn custom() -> String {
    json!({ "type": "CUSTOM", "name": "n", "value": 1 }).to_string()
}

fn text(what: &str, id: &str) -> String {
    json!({ "type": format!("TEXT_MESSAGE_{what}"), "messageId": id, "delta": "x" }).to_string()
}
