//! Pure: how runs end that do not end by themselves.

use std::time::Instant;

use super::{Began, Draft, Event, Lane, Owner, Shadow, Source, Taken, Value, hash, json};

/// Why a posted run's stream is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The word in the RUN_ERROR.
    pub code: String,
    /// What a person reads.
    pub message: String,
}

impl Failure {
    /// The runner's answer ended before its run did.
    pub fn truncated() -> Self {
        Self {
            code: "RUNNER_TRUNCATED".into(),
            message: "the runner's answer ended before its run did".into(),
        }
    }
}

impl Lane {
    /// The answer to a posted run has ended, or there never was one. `Wait` has changed nothing.
    pub fn run_ended(
        &mut self,
        number: u64,
        why: &Failure,
        now: Instant,
        out: &mut Vec<Draft>,
    ) -> Taken {
        let from = Source::Run(number);
        if self.pending(from) {
            match &self.open {
                Some(open) if open.began == Began::Between => self.close_between(out),
                Some(_) => return Taken::Wait,
                None => {}
            }
            self.begin_posted(number, now, out);
        }
        if let Some(open) = &self.open
            && open.owner.is(from)
        {
            if open.began == Began::Between {
                self.close_between(out);
            } else {
                self.fail(&why.code, &why.message, out);
            }
        }
        self.posted.remove(&number);
        self.shadows.remove(&from);
        Taken::Done
    }

    /// A connection of the listener has ended. A run of the runner stays open: the listener comes
    /// back and goes on with it.
    pub fn listen_cut(&mut self, generation: u64, out: &mut Vec<Draft>) {
        self.shadows.remove(&Source::Listen(generation));
        let between =
            |open: &super::Open| open.began == Began::Between && open.owner == Owner::Listen;
        if self.open.as_ref().is_some_and(between) {
            self.close_between(out);
        }
    }

    /// The listener has given up: nobody will go on with the runner's run.
    pub fn listen_gone(&mut self, generation: u64, out: &mut Vec<Draft>) {
        self.listen_cut(generation, out);
        if self.open.as_ref().is_some_and(|open| open.owner == Owner::Listen) {
            let failure = Failure::truncated();
            self.fail(&failure.code, &failure.message, out);
        }
    }

    /// The session is deleted.
    pub fn close(&mut self, out: &mut Vec<Draft>) {
        if self.open.is_some() {
            self.fail("SESSION_CLOSED", "the session was deleted", out);
        }
        self.posted.clear();
    }

    /// When to call [`Lane::timer`]; `waiting` says whether a stream waits for the lane.
    pub fn deadline(&self, waiting: bool) -> Option<Instant> {
        let open = self.open.as_ref()?;
        if open.owner == Owner::Nobody {
            return self.adopt_until;
        }
        let idle = self.rules.run_idle.map(|idle| open.sound + idle);
        let lane = waiting.then(|| open.sound + self.rules.lane);
        let quiet = (open.began == Began::Between && open.order.is_closed())
            .then(|| open.event + self.rules.quiet);
        [idle, lane, quiet].into_iter().flatten().min()
    }

    /// Ends what is over by now. Gives the posted run whose stream is to be dropped.
    pub fn timer(&mut self, waiting: bool, now: Instant, out: &mut Vec<Draft>) -> Option<u64> {
        let due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if !due(self.deadline(waiting)) {
            return None;
        }
        let open = self.open.as_ref()?;
        let (owner, sound) = (open.owner, open.sound);
        let run = match owner {
            Owner::Run(number) => Some(number),
            Owner::Listen | Owner::Nobody => None,
        };
        if open.began == Began::Between {
            self.close_between(out);
            return None;
        }
        if owner == Owner::Nobody {
            self.fail("GATEWAY_RESTARTED", "the gateway was restarted during the run", out);
            return None;
        }
        if due(self.rules.run_idle.map(|idle| sound + idle)) {
            self.fail("RUNNER_IDLE", "the runner said nothing for too long", out);
            return run;
        }
        let lost: Vec<Source> = match owner {
            Owner::Run(number) => vec![Source::Run(number)],
            Owner::Listen | Owner::Nobody => Vec::new(),
        };
        self.fail("LANE_LOST", "the runner said nothing while another run waited", out);
        for source in lost {
            self.shadows.insert(source, Shadow::Late("lane_lost"));
        }
        None
    }

    /// The open run has more than a session may have. Gives the posted run whose stream is to be
    /// dropped.
    pub fn full(&mut self, out: &mut Vec<Draft>) -> Option<u64> {
        let open = self.open.as_ref()?;
        if open.began == Began::Between {
            self.close_between(out);
            return None;
        }
        let owner = open.owner;
        self.fail("LOG_FULL", "the run has more than a session may have", out);
        match owner {
            Owner::Run(number) => {
                self.shadows.insert(Source::Run(number), Shadow::Late("log_full"));
                Some(number)
            }
            Owner::Listen | Owner::Nobody => None,
        }
    }

    /// Ends the open run with an error of ours, which closes everything in it.
    pub(super) fn fail(&mut self, code: &str, message: &str, out: &mut Vec<Draft>) {
        let Some(open) = &self.open else { return };
        let from = open.source();
        self.torn.insert(hash(&open.run));
        let fields = json!({ "type": "RUN_ERROR", "message": message, "code": code });
        self.ours(fields, "close", from, out);
        self.over(false);
    }

    /// Ends a run between runs as it should: what is open in it first.
    pub(super) fn close_between(&mut self, out: &mut Vec<Draft>) {
        self.write_closers(out);
        let Some(open) = &self.open else { return };
        let fields = json!({
            "type": "RUN_FINISHED", "threadId": open.thread, "runId": open.run,
        });
        let from = open.source();
        self.ours(fields, "between", from, out);
        self.over(false);
    }

    /// Closes what is open in the run, newest first.
    pub(super) fn write_closers(&mut self, out: &mut Vec<Draft>) {
        let Some(open) = &self.open else { return };
        let from = open.source();
        for fields in open.order.closers() {
            self.ours(Value::Object(fields), "close", from, out);
        }
    }

    /// Opens a run of ours.
    #[expect(clippy::too_many_arguments, reason = "a run has this much to it")]
    pub(super) fn begin_ours(
        &mut self,
        run: String,
        fields: Value,
        began: Began,
        kind: &str,
        from: Source,
        now: Instant,
        out: &mut Vec<Draft>,
    ) {
        let Ok(event) = Event::from_value(fields.clone()) else { return };
        self.begin(run, &event, began, from, now);
        self.ours(fields, kind, Some(from), out);
    }
}

impl super::Open {
    /// The stream that its last words are put down to.
    const fn source(&self) -> Option<Source> {
        match self.owner {
            Owner::Run(number) => Some(Source::Run(number)),
            Owner::Listen | Owner::Nobody => None,
        }
    }
}
