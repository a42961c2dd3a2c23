use std::time::{Duration, Instant};

use super::{Checker, GAP, Origin, Plan, Question, Rules, Verdict};
use crate::counts::UrlRefusal;
use crate::model::{Model, step};
use crate::probe::Answer;
use crate::state::{Cause, Fact};
use crate::testing::url;

const SECOND: Duration = Duration::from_secs(1);

/// A checker and the model it reports to, on a clock that only the test moves.
struct Bench {
    checker: Checker,
    model: Model,
    now: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules {
            origin: Origin::Announced,
            ready_every: Some(5 * SECOND),
            waiting_every: SECOND / 2,
            adopt: false,
            start_timeout: 60 * SECOND,
        };
        change(&mut rules);
        Self { checker: Checker::new(rules), model: Model::new(), now: Instant::now() }
    }

    fn fact(&mut self, fact: Fact) {
        let (model, _) = step(std::mem::take(&mut self.model), fact, self.now);
        self.model = model;
    }

    fn plan(&mut self) -> Plan {
        self.checker.plan(&self.model, self.now)
    }

    /// Waits as planned, and gives the question that comes then and how long the wait was.
    fn question(&mut self) -> (Question, Duration) {
        let start = self.now;
        for _ in 0..10 {
            match self.plan() {
                Plan::Ask(question) => return (question, self.now - start),
                Plan::Wait(Some(until)) => self.now = until,
                other @ (Plan::Stop | Plan::Report(_) | Plan::Wait(None)) => {
                    panic!("no question but {other:?}")
                }
            }
        }
        panic!("a wait that does not end");
    }

    fn answer(&mut self, question: Question, answer: Answer) -> Verdict {
        let verdict = self.checker.handle_answer(&self.model, question, answer, self.now);
        if let Some(fact) = verdict.fact.clone() {
            self.fact(fact);
        }
        verdict
    }

    fn announce(&mut self, guid: &str) {
        self.checker.handle_candidates(vec![url(1, guid)], &self.model, self.now);
    }
}

fn alive(guid: &str) -> Answer {
    Answer::Alive { guid: guid.to_owned() }
}

fn ready(guid: &str) -> Fact {
    Fact::Ready { url: url(1, guid) }
}

fn lost() -> Option<Fact> {
    Some(Fact::Ended { cause: Cause::UnknownExit })
}

/// A bench whose browser "a" is ready and was asked just now.
fn with_ready(change: impl FnOnce(&mut Rules)) -> Bench {
    let mut bench = Bench::new(change);
    bench.fact(ready("a"));
    let (question, _) = bench.question();
    assert_eq!(bench.answer(question, alive("a")), Verdict::default());
    bench
}

#[test]
fn a_ready_browser_is_asked_every_five_seconds_and_lost_after_two_failures() {
    for failure in [Answer::Refused, Answer::NoAnswer] {
        let mut bench = with_ready(|_| ());
        let (question, after) = bench.question();
        assert_eq!((question.clone(), after), (Question::Newest(url(1, "a")), 5 * SECOND));
        assert_eq!(bench.answer(question, failure.clone()), Verdict::default());
        let (question, after) = bench.question();
        assert_eq!(after, GAP);
        assert_eq!(bench.answer(question, failure).fact, lost());
    }
}

#[test]
fn one_answer_between_failures_starts_the_count_again() {
    let mut bench = with_ready(|_| ());
    for _ in 0..3 {
        let (question, _) = bench.question();
        assert_eq!(bench.answer(question, Answer::NoAnswer), Verdict::default());
        let (question, _) = bench.question();
        assert_eq!(bench.answer(question, alive("a")), Verdict::default());
    }
}

#[test]
fn another_browser_at_the_address_is_a_certain_end() {
    let mut bench = with_ready(|_| ());
    let (question, _) = bench.question();
    assert_eq!(bench.answer(question, alive("b")).fact, lost());
}

#[test]
fn where_the_place_is_its_own_another_browser_is_the_next_one() {
    let mut bench = with_ready(|rules| rules.adopt = true);
    let (question, _) = bench.question();
    assert_eq!(bench.answer(question, alive("b")).fact, Some(ready("b")));
    assert_eq!(bench.model.state().generation, 2);
}

#[test]
fn hints_bring_the_next_question_forward_but_never_closer_than_the_gap() {
    let mut bench = with_ready(|rules| rules.ready_every = None);
    assert_eq!(bench.plan(), Plan::Wait(None));
    for _ in 0..3 {
        bench.checker.handle_hint(bench.now);
        let (question, after) = bench.question();
        assert_eq!(after, GAP);
        assert_eq!(bench.answer(question, alive("a")), Verdict::default());
    }
    bench.now += SECOND;
    bench.checker.handle_hint(bench.now);
    assert_eq!(bench.question().1, Duration::ZERO);
}

#[test]
fn a_hint_between_two_failures_does_not_shorten_their_distance() {
    let mut bench = with_ready(|_| ());
    let (question, _) = bench.question();
    bench.now += GAP;
    assert_eq!(bench.answer(question, Answer::NoAnswer), Verdict::default());
    bench.checker.handle_hint(bench.now);
    assert_eq!(bench.question().1, GAP);
}

#[test]
fn a_browser_that_was_only_busy_is_the_same_one_again() {
    let mut bench = with_ready(|_| ());
    bench.fact(Fact::Ended { cause: Cause::UnknownExit });
    let (question, after) = bench.question();
    assert_eq!((question.clone(), after), (Question::Newest(url(1, "a")), SECOND / 2));
    assert_eq!(bench.answer(question, alive("b")).fact, None, "somebody else's browser");
    let (question, _) = bench.question();
    assert_eq!(bench.answer(question, alive("a")).fact, Some(Fact::Alive));
    assert_eq!(bench.model.state().generation, 1);
}

#[test]
fn an_end_that_is_known_is_not_asked_about() {
    let mut bench = with_ready(|_| ());
    bench.fact(Fact::Ended { cause: Cause::Exited { code: 1 } });
    assert_eq!(bench.plan(), Plan::Wait(None));
}

#[test]
fn an_announced_browser_counts_when_it_confirms_its_id() {
    let mut bench = Bench::new(|_| ());
    bench.announce("a");
    let (question, after) = bench.question();
    assert_eq!((question.clone(), after), (Question::Candidate(url(1, "a")), Duration::ZERO));
    assert_eq!(bench.answer(question, alive("a")).fact, Some(ready("a")));
}

#[test]
fn an_announcement_nobody_answers_to_is_tried_again_with_growing_waits() {
    let mut bench = Bench::new(|_| ());
    bench.announce("a");
    let mut waits = Vec::new();
    for n in 0..6 {
        let (question, after) = bench.question();
        waits.push(after);
        let refused = bench.answer(question, Answer::Refused).refused;
        let expected = (n == 0).then(|| (UrlRefusal::NoAnswer, url(1, "a")));
        assert_eq!(refused, expected, "it is counted once");
    }
    let expected = [0, 250, 500, 1000, 2000, 2000].map(Duration::from_millis);
    assert_eq!(waits, expected);
    let (question, _) = bench.question();
    assert_eq!(bench.answer(question, alive("a")).fact, Some(ready("a")));
}

#[test]
fn an_announcement_that_another_browser_answers_to_is_dropped() {
    let mut bench = with_ready(|_| ());
    bench.announce("printed-by-a-page");
    let (question, _) = bench.question();
    let verdict = bench.answer(question, alive("a"));
    let expected = Some((UrlRefusal::OtherInstance, url(1, "printed-by-a-page")));
    assert_eq!(verdict, Verdict { fact: None, refused: expected });
    // The browser in use is asked soon, in case the line was the truth of a moment.
    let (question, after) = bench.question();
    assert_eq!((question.clone(), after), (Question::Newest(url(1, "a")), GAP));
    assert_eq!(bench.answer(question, alive("a")), Verdict::default());
    assert_eq!(bench.question().1, 5 * SECOND);
}

#[test]
fn an_announcement_nobody_answers_to_is_given_up_while_the_present_browser_lives() {
    let mut bench = with_ready(|_| ());
    let announced = url(2, "b");
    bench.checker.handle_candidates(vec![announced.clone()], &bench.model, bench.now);
    let start = bench.now;
    let mut tries = 0;
    loop {
        match bench.question() {
            (question @ Question::Candidate(_), _) => {
                tries += 1;
                bench.answer(question, Answer::Refused);
            }
            (question, wait) => {
                assert_eq!(bench.answer(question, alive("a")), Verdict::default());
                if wait == 5 * SECOND {
                    break;
                }
            }
        }
    }
    assert_eq!(tries, 6);
    let took = bench.now - start;
    assert!(took > 8 * SECOND && took < 13 * SECOND, "{took:?}");
}

#[test]
fn a_failing_announcement_makes_the_end_of_the_present_browser_known() {
    let mut bench = with_ready(|_| ());
    bench.announce("b");
    let start = bench.now;
    while bench.model.state().is_ready() {
        let (question, _) = bench.question();
        bench.answer(question, Answer::Refused);
    }
    assert!(bench.now - start <= SECOND);
    let (question, _) = bench.question();
    assert_eq!(question, Question::Candidate(url(1, "b")));
    assert_eq!(bench.answer(question, alive("b")).fact, Some(ready("b")));
    assert_eq!(bench.model.state().generation, 2);
}

#[test]
fn announcing_the_address_in_use_again_is_no_news() {
    let mut bench = with_ready(|_| ());
    bench.announce("b");
    bench.announce("a");
    assert_eq!(bench.question(), (Question::Newest(url(1, "a")), 5 * SECOND));
}

#[test]
fn of_several_readings_of_a_line_the_one_that_answers_counts() {
    let mut bench = Bench::new(|_| ());
    let urls = vec![url(1, "x"), url(2, "y"), url(3, "z")];
    bench.checker.handle_candidates(urls, &bench.model, bench.now);
    let mut asked = Vec::new();
    for answer in [Answer::Refused, alive("other"), Answer::NoAnswer, Answer::Refused, alive("z")] {
        let (question, _) = bench.question();
        asked.push(question.place().1);
        bench.answer(question, answer);
    }
    assert_eq!(asked, [1, 2, 3, 1, 3]);
    assert_eq!(bench.model.state().url, Some(url(3, "z")));
}

#[test]
fn the_last_breath_of_a_browser_is_not_the_next_generation() {
    let place = || Origin::Place { host: "127.0.0.1".into(), port: 1 };
    let mut bench = Bench::new(|rules| {
        rules.origin = place();
        rules.adopt = true;
    });
    let (question, after) = bench.question();
    assert_eq!(after, Duration::ZERO);
    assert_eq!(bench.answer(question, alive("a")).fact, Some(ready("a")));
    bench.fact(Fact::RestartRequested);
    for before in [Fact::RestartRequested, Fact::Starting] {
        bench.fact(before);
        let (question, _) = bench.question();
        assert_eq!(bench.answer(question, alive("a")), Verdict::default());
    }
    let (question, _) = bench.question();
    assert_eq!(bench.answer(question, alive("b")).fact, Some(ready("b")));
    assert_eq!(bench.model.state().generation, 2);
}

#[test]
fn a_start_that_takes_too_long_is_an_end() {
    let mut bench = Bench::new(|_| ());
    assert_eq!(bench.plan(), Plan::Wait(Some(bench.now + 60 * SECOND)));
    bench.now += 60 * SECOND;
    let timeout = Fact::Ended { cause: Cause::StartTimeout };
    assert_eq!(bench.plan(), Plan::Report(timeout.clone()));
    bench.fact(timeout);
    // A later start has its own time.
    bench.now += 600 * SECOND;
    bench.fact(Fact::Starting);
    assert_eq!(bench.plan(), Plan::Wait(Some(bench.now + 60 * SECOND)));
}

#[test]
fn nothing_is_asked_when_nobody_will_start_another_browser() {
    let mut bench = with_ready(|_| ());
    bench.fact(Fact::GaveUp { cause: Cause::UnknownExit });
    assert_eq!(bench.plan(), Plan::Stop);
}
