//! Pure: what becomes of one item of a stream.

use std::time::Instant;

use super::{
    Began, Draft, Envelope, Event, EventType, Item, Kind, Lane, Open, Order, Origin, Owner, Shadow,
    Source, Taken, hash, json,
};
use crate::sse::{Cap, Event as SseEvent};

impl Lane {
    /// Takes an item of a stream. `Wait` has changed nothing.
    pub fn take(&mut self, from: Source, item: &Item, now: Instant, out: &mut Vec<Draft>) -> Taken {
        match item {
            Item::Event(event) => {
                let taken = self.event(from, event, now, out);
                if taken == Taken::Done {
                    self.heard(from, now);
                }
                taken
            }
            Item::Oversize { cap, limit, seen } => {
                self.counts.losses += 1;
                let cap = match cap {
                    Cap::Line => "line",
                    Cap::Event => "event",
                    Cap::Budget => "budget",
                };
                let data = json!({ "cap": cap, "limit": limit, "seen": seen }).to_string();
                let envelope = self.envelope(Kind::Loss, Origin::Gateway, Some(from), None);
                let envelope = Envelope { reason: Some("oversize".into()), ..envelope };
                out.push(Draft { envelope, data: data.into() });
                self.heard(from, now);
                Taken::Done
            }
            Item::Comment { .. } | Item::Retry(_) => {
                self.heard(from, now);
                Taken::Done
            }
        }
    }

    /// A comment or an event came: its run is alive.
    fn heard(&mut self, from: Source, now: Instant) {
        if let Some(open) = self.open.as_mut().filter(|open| open.owner.is(from)) {
            open.sound = now;
        }
    }

    fn event(&mut self, from: Source, sse: &SseEvent, now: Instant, out: &mut Vec<Draft>) -> Taken {
        let event = match Event::parse(&sse.data) {
            Ok(event) => event,
            Err(invalid) => {
                self.reject(invalid.kind(), from, sse, None, out);
                return Taken::Done;
            }
        };
        if event.kind == EventType::RunStarted {
            return self.run_started(from, &event, sse, now, out);
        }
        if let Some(shadow) = self.shadows.get(&from).copied() {
            match shadow {
                Shadow::Duplicate => self.counts.duplicates += 1,
                Shadow::Late(why) => self.reject(why, from, sse, Some(event.name()), out),
            }
            if event.kind.is_terminal() {
                self.shadows.remove(&from);
            }
            return Taken::Done;
        }
        let free = matches!(event.kind, EventType::Custom | EventType::Raw);
        let Some(open) = &self.open else { return self.outside(from, &event, sse, now, out) };
        let mine = open.owner.is(from);
        let between = open.began == Began::Between;
        let listening = matches!(from, Source::Listen(_));
        if between && self.pending(from) {
            self.close_between(out);
            return self.outside(from, &event, sse, now, out);
        }
        if open.owner == Owner::Nobody && listening && !free {
            // It goes on with the run that was open when the daemon ended.
            self.adopt(now);
            self.inside(from, &event, sse, out);
            return Taken::Done;
        }
        if mine || between || free {
            self.inside(from, &event, sse, out);
            if let Some(open) = &mut self.open {
                open.event = now;
            }
            return Taken::Done;
        }
        Taken::Wait
    }

    fn adopt(&mut self, now: Instant) {
        if let Some(open) = &mut self.open {
            (open.owner, open.sound) = (Owner::Listen, now);
        }
        self.adopt_until = None;
    }

    fn run_started(
        &mut self,
        from: Source,
        event: &Event,
        sse: &SseEvent,
        now: Instant,
        out: &mut Vec<Draft>,
    ) -> Taken {
        let run = event.text("runId").unwrap_or_default().to_owned();
        let listening = matches!(from, Source::Listen(_));
        if let Some(open) = &self.open
            && open.run == run
        {
            if open.owner.is(from) || (open.owner == Owner::Nobody && listening) {
                if open.owner == Owner::Nobody {
                    self.adopt(now);
                }
                self.reject("run_started_twice", from, sse, Some(event.name()), out);
                return Taken::Done;
            }
            if listening {
                return self.shadow(from, Shadow::Duplicate);
            }
        }
        if listening {
            let seen = hash(&run);
            if self.torn.contains(&seen) {
                self.shadows.insert(from, Shadow::Late("run_closed"));
                self.reject("run_closed", from, sse, Some(event.name()), out);
                return Taken::Done;
            }
            let posted = self.posted.values().any(|posted| posted.run == run);
            if posted || self.known_runs.contains(&seen) {
                return self.shadow(from, Shadow::Duplicate);
            }
        }
        match &self.open {
            Some(open) if open.began == Began::Between => self.close_between(out),
            Some(open) if open.owner.is(from) => {
                self.fail("RUNNER_TRUNCATED", "the runner began another run", out);
            }
            Some(open) if open.owner == Owner::Nobody && listening => {
                self.fail("GATEWAY_RESTARTED", "the gateway was restarted during the run", out);
            }
            Some(_) => return Taken::Wait,
            None => {}
        }
        self.shadows.remove(&from);
        let began = if self.pending(from) { Began::Client } else { Began::Runner };
        if let Source::Run(number) = from {
            self.write_input(number, out);
            if let Some(posted) = self.posted.get_mut(&number) {
                posted.started = true;
            }
        }
        self.begin(run, event, began, from, now);
        let data = sse.data.clone().into_bytes();
        self.log(event, data, Origin::Runner, true, Some(from), Some(sse), out);
        Taken::Done
    }

    fn shadow(&mut self, from: Source, shadow: Shadow) -> Taken {
        self.counts.duplicates += 1;
        self.shadows.insert(from, shadow);
        Taken::Done
    }

    /// Opens a run. Its RUN_STARTED is logged by the caller.
    pub(super) fn begin(
        &mut self,
        run: String,
        started: &Event,
        began: Began,
        from: Source,
        now: Instant,
    ) {
        let thread = started.text("threadId").unwrap_or_default().to_owned();
        if began != Began::Between && !thread.is_empty() {
            self.thread.get_or_insert_with(|| thread.clone());
        }
        self.known_runs.insert(hash(&run));
        let owner = match from {
            Source::Listen(_) => Owner::Listen,
            Source::Run(number) => Owner::Run(number),
        };
        let order = Order::new(started);
        self.open = Some(Open { run, thread, began, owner, order, sound: now, event: now });
    }

    /// An event while no run is open.
    fn outside(
        &mut self,
        from: Source,
        event: &Event,
        sse: &SseEvent,
        now: Instant,
        out: &mut Vec<Draft>,
    ) -> Taken {
        let pending = self.pending(from);
        if event.kind == EventType::RunFinished && !pending {
            self.reject("no_run", from, sse, Some(event.name()), out);
            return Taken::Done;
        }
        // What could not stand first in a run opens none.
        if let Err(misplaced) = Order::default().admit(event) {
            self.reject(misplaced.kind(), from, sse, Some(event.name()), out);
            return Taken::Done;
        }
        match from {
            Source::Run(number) if pending => self.begin_posted(number, now, out),
            Source::Run(_) | Source::Listen(_) => {
                let run = self.next_run();
                let mut fields = json!({
                    "type": "RUN_STARTED", "threadId": self.thread_name(), "runId": run,
                });
                if let Some(parent) = &self.last_run {
                    fields["parentRunId"] = parent.as_str().into();
                }
                self.begin_ours(run, fields, Began::Between, "between", from, now, out);
            }
        }
        self.inside(from, event, sse, out);
        Taken::Done
    }

    /// An event of the open run.
    fn inside(&mut self, from: Source, event: &Event, sse: &SseEvent, out: &mut Vec<Draft>) {
        let Some(open) = &mut self.open else { return };
        if event.kind.is_terminal() {
            if event.kind == EventType::RunFinished {
                self.write_closers(out);
            }
            let data = sse.data.clone().into_bytes();
            self.log(event, data, Origin::Runner, false, Some(from), Some(sse), out);
            let outcome = event.field("outcome").and_then(|outcome| outcome["type"].as_str());
            let finished = event.kind == EventType::RunFinished && outcome != Some("interrupt");
            self.over(finished);
            return;
        }
        if let Err(misplaced) = open.order.admit(event) {
            self.reject(misplaced.kind(), from, sse, Some(event.name()), out);
            return;
        }
        if self.complete(from, event, sse, out) {
            return;
        }
        let data = sse.data.clone().into_bytes();
        self.log(event, data, Origin::Runner, false, Some(from), Some(sse), out);
    }

    /// The open run has ended.
    pub(super) fn over(&mut self, finished: bool) {
        let Some(open) = self.open.take() else { return };
        self.finished |= finished && open.began != Began::Between;
        if open.began != Began::Between {
            self.last_run = Some(open.run);
        }
        self.adopt_until = None;
    }
}
