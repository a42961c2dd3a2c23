//! The table of facts on the operators' page is written from the function that decides.
//!
//! Every combination of facts, at the time when nothing more is waited for, is put into words; the
//! same words must always get the same verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use telemetry::words::{ContextDetail, Detail, Reason};
use upstream::{Cause, Ended, Phase, UpstreamState, WsUrl};

use crate::facts::{Alive, ClientEnd, ContextEnd, End, Facts, TargetSeen, UpstreamEnd, Waits};
use crate::verdict::{Decision, PAIRS, resolve};

const BEGIN: &str = "<!-- Written by `cargo test -p devtoolsproxy -- --ignored`; a test holds it to the program. -->\n\n";
const END: &str = "\n<!-- The end of what is written. -->";
const DIALLED: u64 = 7;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/disconnect-reasons.md")
}

/// Each end with its words, and whether the browser's fate decides on it.
fn ends() -> Vec<(&'static str, End, bool)> {
    let rule = "RULE";
    let client = |words, end| (words, End::Client(end), false);
    let context = |words, end| (words, End::Context(end), false);
    let browser = |words, end, open| (words, End::Upstream(end), open);
    vec![
        client("the client sent a Close", ClientEnd::Closed),
        client("the client's socket ended", ClientEnd::Vanished),
        client("the client broke a rule", ClientEnd::ProtocolError { rule, utf8: false }),
        client("the client broke a rule", ClientEnd::ProtocolError { rule, utf8: true }),
        client("the client sent too much", ClientEnd::MessageTooLarge { limit: 1 }),
        client("the client did not read", ClientEnd::WriteStalled),
        context("no data for the idle time", ContextEnd::Idle),
        context("a fault of ours", ContextEnd::Fault),
        browser("a newer browser was ready first", UpstreamEnd::Superseded, false),
        browser("the browser broke a rule", UpstreamEnd::ProtocolError { rule }, false),
        browser("the browser sent too much", UpstreamEnd::MessageTooLarge { limit: 1 }, false),
        browser("the browser did not read", UpstreamEnd::WriteStalled, false),
        browser("the browser sent a Close", CLOSED, true),
        browser("the browser's socket ended", UpstreamEnd::Lost, true),
    ]
}

const CLOSED: UpstreamEnd = UpstreamEnd::Closed { code: Some(4001), text: String::new() };

const CAUSES: [(&str, Cause); 7] = [
    ("exit code 0", Cause::Exited { code: 0 }),
    ("another exit code", Cause::Exited { code: 7 }),
    ("a signal", Cause::Signalled { signal: 9 }),
    ("out of memory", Cause::OomKilled),
    ("on request", Cause::RestartRequested),
    ("no start in time", Cause::StartTimeout),
    ("nobody knows how", Cause::UnknownExit),
];

fn ended(cause: Option<Cause>) -> &'static str {
    let found = CAUSES.iter().find(|(_, known)| Some(*known) == cause);
    found.map_or("nobody knows how", |(words, _)| words)
}

/// These end what has not become a session.
const REFUSALS: [Detail; 2] = [Detail::RequestCancelled, Detail::OverLimit];

const ANSWERS: [(&str, Alive); 6] = [
    ("and answers", Alive::Same(TargetSeen::NotAPage)),
    ("and answers", Alive::Same(TargetSeen::Listed)),
    ("and answers", Alive::Same(TargetSeen::NotKnown)),
    ("and answers, without this page", Alive::Same(TargetSeen::Unlisted)),
    ("and does not answer", Alive::No),
    ("and does not answer", Alive::NotAsked),
];

/// Every state that a source can be in after a session with [`DIALLED`].
fn states(now: Instant) -> Vec<UpstreamState> {
    let last =
        |cause: Option<Cause>| cause.map(|cause| Ended { generation: DIALLED, cause, at: now });
    let known = || CAUSES.iter().map(|(_, cause)| Some(*cause)).chain([None]);
    let mut states = Vec::new();
    let mut add = |generation, phase, last_end| {
        let url = (phase == Phase::Ready).then(|| WsUrl::from_parts("127.0.0.1", 1, "g").unwrap());
        states.push(UpstreamState { generation, url, phase, last_end });
    };
    add(DIALLED, Phase::Ready, None);
    for own in known() {
        add(DIALLED + 1, Phase::Ready, last(own));
        add(DIALLED + 1, Phase::Starting, last(own));
        add(DIALLED, Phase::Starting, last(own));
        for (_, cause) in CAUSES {
            for phase in [Phase::Down { since: now, cause }, Phase::Gone { cause }] {
                // The same browser has not ended in two ways.
                if own.is_none_or(|own| own == cause) {
                    add(DIALLED, phase, last(own));
                }
                add(DIALLED + 1, phase, last(own));
            }
        }
    }
    states
}

/// What a person would say of these facts: the end, and what became of the browser.
fn words(facts: &Facts<'_>, end: &str, open: bool, answer: &str) -> (String, String) {
    if let Some(stop) = facts.stop {
        return ("anything".to_owned(), format!("before the verdict we ended it: `{stop}`"));
    }
    if !open {
        return (end.to_owned(), "anything".to_owned());
    }
    let own = facts.how_it_ended();
    let known = match &facts.state.phase {
        Phase::Ready if facts.state.generation > facts.dialled => {
            format!("another is ready; it ended: {}", ended(own))
        }
        Phase::Starting | Phase::Down { .. } | Phase::Gone { .. }
            if own == Some(Cause::RestartRequested) =>
        {
            "its restart was asked for".to_owned()
        }
        Phase::Ready => {
            return (end.to_owned(), format!("it counts as ready {answer}"));
        }
        Phase::Gone { cause } => format!("it is gone for good: {}", ended(own.or(Some(*cause)))),
        Phase::Starting | Phase::Down { .. } => {
            format!("none was ready in time; it ended: {}", ended(own))
        }
    };
    ("the browser's socket ended, or it sent a Close".to_owned(), known)
}

/// Every combination in words, with its one verdict.
fn decided() -> BTreeMap<(String, String), (Reason, Detail)> {
    let ended_at = Instant::now();
    let (states, waits) = (states(ended_at), Waits::default());
    let mut decided = BTreeMap::new();
    let of_a_session = |stop: &ContextDetail| !REFUSALS.contains(&Detail::from(*stop));
    let stops = || ContextDetail::ALL.iter().copied().filter(of_a_session).map(Some).chain([None]);
    for (end_words, end, open) in ends() {
        for (state, (answer, alive)) in
            states.iter().flat_map(|state| ANSWERS.iter().map(move |answer| (state, *answer)))
        {
            for (stop, restart_expected) in stops().flat_map(|stop| [(stop, false), (stop, true)]) {
                let facts = Facts {
                    end: &end,
                    ended_at,
                    dialled: DIALLED,
                    state,
                    restart_expected,
                    stop,
                    alive,
                    waits,
                    now: ended_at + waits.confirm,
                };
                let Decision::Given(verdict) = resolve(&facts) else {
                    panic!("nothing more is waited for, and there is no verdict: {facts:?}");
                };
                let verdict = (verdict.reason, verdict.detail);
                let words = words(&facts, end_words, open, answer);
                let before = *decided.entry(words.clone()).or_insert(verdict);
                assert_eq!(before, verdict, "two verdicts for {words:?}");
            }
        }
    }
    decided
}

/// The table, in the order of the pairs; facts of the same end and verdict share a row.
fn table() -> String {
    let decided = decided();
    let mut text =
        "| reason | detail | how it ended | what was known |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for (reason, details) in PAIRS {
        for detail in *details {
            let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for ((end, known), verdict) in &decided {
                if *verdict == (*reason, *detail) {
                    rows.entry(end).or_default().push(known);
                }
            }
            for (end, known) in rows {
                let known = known.join("; or ");
                writeln!(text, "| `{reason}` | `{detail}` | {end} | {known} |").expect("a string");
            }
        }
    }
    text
}

#[test]
fn the_page_has_the_table_of_facts_that_the_function_gives() {
    let page = std::fs::read_to_string(path()).expect("the page");
    let written = page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    assert_eq!(
        written.map(|(table, _)| table),
        Some(table().as_str()),
        "outdated; write it anew: cargo test -p devtoolsproxy -- --ignored"
    );
}

#[test]
fn every_pair_of_a_session_comes_from_facts() {
    let given: Vec<_> = decided().into_values().collect();
    for (reason, details) in PAIRS {
        for detail in details.iter().filter(|detail| !REFUSALS.contains(detail)) {
            assert!(given.contains(&(*reason, *detail)), "no facts give {reason} {detail}");
        }
    }
}

#[test]
#[ignore = "writes docs/disconnect-reasons.md"]
fn write_the_table_of_facts() {
    let page = std::fs::read_to_string(path()).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("the mark where it begins");
    let (_, after) = rest.split_once(END).expect("the mark where it ends");
    let page = format!("{before}{BEGIN}{}{END}{after}", table());
    std::fs::write(path(), page).expect("a writable page");
}
