//! Pure: when a source asks the browser, and what the answers mean.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::counts::UrlRefusal;
use crate::model::Model;
use crate::probe::Answer;
use crate::state::{Cause, Fact, Phase};
use crate::url::WsUrl;

/// Time between two questions about the same thing: after a first failure, and under many hints.
pub(crate) const GAP: Duration = Duration::from_millis(250);
/// Failed questions in a row that make a ready browser a lost one.
const STRIKES: u8 = 2;
/// How often an announced address is tried while the present browser still answers.
const MAX_ROUNDS: usize = 6;
/// Longest wait between two tries of an announced address.
const MAX_TRY_WAIT: Duration = Duration::from_secs(2);

/// How one kind of source behaves.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Where the address comes from, besides announcements.
    pub(crate) origin: Origin,
    /// How often a ready browser is asked without a hint.
    pub(crate) ready_every: Option<Duration>,
    /// How often it is asked while it is not ready.
    pub(crate) waiting_every: Duration,
    /// Another instance at the same place is the next one. Only where the place belongs to this
    /// browser alone: on a port that was free, anybody may listen next.
    pub(crate) adopt: bool,
    /// How long a start may take until [`Cause::StartTimeout`].
    pub(crate) start_timeout: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Only from announcements.
    Announced,
    /// A place that is asked who is there.
    Place { host: String, port: u16 },
    /// A setting.
    Fixed(WsUrl),
}

/// What the shell has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing ever again: nobody will start another browser.
    Stop,
    /// Apply this.
    Report(Fact),
    /// Ask, and bring the answer.
    Ask(Question),
    /// Wait for a hint, an announcement, another state, or this time.
    Wait(Option<Instant>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Is the announced instance there?
    Candidate(WsUrl),
    /// Is the newest instance still there?
    Newest(WsUrl),
    /// Who is there?
    Place { host: String, port: u16 },
}

impl Question {
    pub(crate) fn place(&self) -> (&str, u16) {
        match self {
            Self::Candidate(url) | Self::Newest(url) => (url.host(), url.port()),
            Self::Place { host, port } => (host, *port),
        }
    }
}

/// What an answer means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) fact: Option<Fact>,
    /// An announced address that is not taken, for the first reason that was found.
    pub(crate) refused: Option<(UrlRefusal, WsUrl)>,
}

#[derive(Debug)]
pub(crate) struct Checker {
    rules: Rules,
    candidate: Option<Candidate>,
    /// When the newest instance, or the place, is asked next.
    due: Option<Instant>,
    asked_at: Option<Instant>,
    strikes: u8,
    /// Generation and kind of phase at the last look, and since when.
    seen: Option<(u64, &'static str, Instant)>,
}

/// An announced address that no answer has confirmed yet. Where it is not certain what was
/// announced, the other readings stand behind it.
#[derive(Debug)]
struct Candidate {
    urls: VecDeque<WsUrl>,
    due: Instant,
    /// Questions so far that nobody has answered.
    tries: usize,
}

impl Checker {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self { rules, candidate: None, due: None, asked_at: None, strikes: 0, seen: None }
    }

    pub(crate) fn plan(&mut self, model: &Model, now: Instant) -> Plan {
        let state = model.state();
        if state.is_gone() {
            return Plan::Stop;
        }
        let since = self.look(model, now);
        let mut wake = None;
        if state.phase == Phase::Starting {
            if let Origin::Fixed(url) = &self.rules.origin {
                return Plan::Report(Fact::Ready { url: url.clone() });
            }
            let deadline = since + self.rules.start_timeout;
            if now >= deadline {
                return Plan::Report(Fact::Ended { cause: Cause::StartTimeout });
            }
            wake = Some(deadline);
        }
        if let Some(candidate) = &self.candidate
            && let Some(url) = candidate.urls.front()
        {
            if now >= candidate.due {
                self.asked_at = Some(now);
                return Plan::Ask(Question::Candidate(url.clone()));
            }
            wake = earlier(wake, Some(candidate.due));
        }
        if let Some(question) = self.standing_question(model) {
            match self.due {
                Some(due) if now >= due => {
                    self.asked_at = Some(now);
                    return Plan::Ask(question);
                }
                due => wake = earlier(wake, due),
            }
        }
        Plan::Wait(wake)
    }

    /// Notices a new phase. Returns since when the present one is known.
    fn look(&mut self, model: &Model, now: Instant) -> Instant {
        let state = model.state();
        match self.seen {
            Some((generation, phase, since))
                if generation == state.generation && phase == state.phase.kind() =>
            {
                since
            }
            before => {
                self.seen = Some((state.generation, state.phase.kind(), now));
                self.strikes = 0;
                let at_once = before.is_none() || matches!(self.rules.origin, Origin::Fixed(_));
                self.due = if at_once { Some(now) } else { self.next_due(model, now) };
                now
            }
        }
    }

    /// What is asked again and again in this phase, if anything.
    fn standing_question(&self, model: &Model) -> Option<Question> {
        if let Origin::Place { host, port } = &self.rules.origin {
            return Some(Question::Place { host: host.clone(), port: *port });
        }
        match model.state().phase {
            Phase::Ready => {}
            // It may have been busy only. A known end needs no question.
            Phase::Down { cause, .. } if !cause.is_known() => {}
            Phase::Down { .. } | Phase::Starting | Phase::Gone { .. } => return None,
        }
        model.newest_url().cloned().map(Question::Newest)
    }

    fn next_due(&self, model: &Model, now: Instant) -> Option<Instant> {
        let every = match model.state().phase {
            Phase::Ready => self.rules.ready_every,
            Phase::Starting | Phase::Down { .. } => Some(self.rules.waiting_every),
            Phase::Gone { .. } => None,
        };
        every.map(|every| now + every)
    }

    /// A dial has failed or a session was lost: ask soon, but not faster than every [`GAP`].
    pub(crate) fn handle_hint(&mut self, now: Instant) {
        let soon = self.ask_standing_soon(now);
        if let Some(candidate) = &mut self.candidate {
            candidate.due = candidate.due.min(soon);
        }
    }

    fn ask_standing_soon(&mut self, now: Instant) -> Instant {
        let soon = self.asked_at.map_or(now, |asked| now.max(asked + GAP));
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        soon
    }

    /// Announcements were read; the first is the newest. The address in use is no news.
    pub(crate) fn handle_candidates(&mut self, urls: Vec<WsUrl>, model: &Model, now: Instant) {
        if urls.first() == model.state().url.as_ref() {
            self.candidate = None;
        } else if self.candidate.as_ref().is_none_or(|candidate| candidate.urls != urls) {
            self.candidate = Some(Candidate { urls: urls.into(), due: now, tries: 0 });
        }
    }

    pub(crate) fn handle_answer(
        &mut self,
        model: &Model,
        question: Question,
        answer: Answer,
        now: Instant,
    ) -> Verdict {
        // An answer may have taken its time: the gap counts from here.
        self.asked_at = Some(now);
        match question {
            Question::Candidate(url) => self.candidate_answer(model, url, answer, now),
            Question::Newest(url) => {
                let (host, port) = (url.host().to_owned(), url.port());
                self.standing_answer(model, &host, port, answer, now)
            }
            Question::Place { host, port } => self.standing_answer(model, &host, port, answer, now),
        }
    }

    fn candidate_answer(
        &mut self,
        model: &Model,
        url: WsUrl,
        answer: Answer,
        now: Instant,
    ) -> Verdict {
        let ready = model.state().is_ready();
        match answer {
            Answer::Alive { guid } if guid == url.guid() => {
                self.candidate = None;
                Verdict { fact: news(model, url), refused: None }
            }
            Answer::Alive { .. } => {
                if let Some(candidate) = &mut self.candidate {
                    candidate.urls.pop_front();
                    if candidate.urls.is_empty() {
                        self.candidate = None;
                    }
                }
                if ready {
                    self.ask_standing_soon(now);
                }
                Verdict { fact: None, refused: Some((UrlRefusal::OtherInstance, url)) }
            }
            Answer::Refused | Answer::NoAnswer => {
                let Some(candidate) = &mut self.candidate else {
                    return Verdict::default();
                };
                let count = candidate.urls.len();
                let first = candidate.tries < count;
                candidate.urls.rotate_left(1);
                candidate.tries += 1;
                let rounds = candidate.tries / count;
                if candidate.tries.is_multiple_of(count) {
                    let wait = GAP.saturating_mul(1 << (rounds - 1).min(8));
                    candidate.due = now + wait.min(MAX_TRY_WAIT);
                }
                if ready {
                    // Either a page has printed this line, or the present browser is being
                    // replaced: its own answer decides.
                    if rounds >= MAX_ROUNDS {
                        self.candidate = None;
                    }
                    self.ask_standing_soon(now);
                }
                Verdict { fact: None, refused: first.then_some((UrlRefusal::NoAnswer, url)) }
            }
        }
    }

    fn standing_answer(
        &mut self,
        model: &Model,
        host: &str,
        port: u16,
        answer: Answer,
        now: Instant,
    ) -> Verdict {
        let ready = model.state().is_ready();
        let url = match answer {
            Answer::Alive { guid } => WsUrl::from_parts(host, port, &guid).ok(),
            Answer::Refused | Answer::NoAnswer => None,
        };
        self.due = self.next_due(model, now);
        let lost = Some(Fact::Ended { cause: Cause::UnknownExit });
        let fact = match url {
            Some(url) => {
                self.strikes = 0;
                if model.last_url() == Some(&url) || self.rules.adopt {
                    news(model, url)
                } else if ready {
                    // Somebody else answers at its address, so this one is gone for certain.
                    lost
                } else {
                    None
                }
            }
            None if ready => {
                self.strikes += 1;
                if self.strikes < STRIKES {
                    self.due = Some(now + GAP);
                    None
                } else {
                    self.strikes = 0;
                    lost
                }
            }
            None => None,
        };
        Verdict { fact, refused: None }
    }
}

/// What it means that the instance at `url` has answered.
fn news(model: &Model, url: WsUrl) -> Option<Fact> {
    if model.last_url() != Some(&url) {
        return Some(Fact::Ready { url });
    }
    match model.state().phase {
        // Only a guess said that it had ended.
        Phase::Down { cause, .. } if !cause.is_known() && model.newest_url().is_some() => {
            Some(Fact::Alive)
        }
        // Known already; or the last breath of an instance whose end is known or ordered.
        Phase::Ready | Phase::Down { .. } | Phase::Starting | Phase::Gone { .. } => None,
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests;
