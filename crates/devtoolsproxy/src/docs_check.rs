//! The operators' page lists exactly what the code can say.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use telemetry::words::{ContextDetail, Detail};
use upstream::{Cause, Phase, UpstreamState, WsUrl};

use crate::close_code::{ClientClose, decide};
use crate::facts::{Alive, ClientEnd, ContextEnd, End, Facts, TargetSeen, UpstreamEnd, Waits};
use crate::refusal::tests::all_refusals;
use crate::verdict::PAIRS;

const PAGE: &str = include_str!("../../../docs/disconnect-reasons.md");

/// The first cells of the rows of the table under a heading, without their back-ticks.
fn rows(heading: &str, cells: usize) -> Vec<Vec<String>> {
    let (_, section) = PAGE.split_once(heading).expect("the heading exists");
    let section = section.split("\n## ").next().unwrap_or(section);
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|row| {
        row.split(" | ")
            .take(cells)
            .map(|cell| cell.trim_matches(['|', ' ', '`']).to_owned())
            .collect()
    })
    .collect()
}

#[test]
fn the_page_lists_exactly_the_pairs_in_their_order() {
    let listed = rows("## Sessions", 2);
    let pairs: Vec<Vec<String>> = PAIRS
        .iter()
        .flat_map(|(reason, details)| {
            details.iter().map(|detail| vec![reason.to_string(), detail.to_string()])
        })
        .collect();
    assert_eq!(listed, pairs);
}

/// Every Close that the edge can decide on, with numbers and rules left out.
fn closes() -> BTreeSet<(String, String)> {
    let now = Instant::now();
    let rule = "RULE";
    let mut ends = vec![
        End::Client(ClientEnd::ProtocolError { rule, utf8: false }),
        End::Client(ClientEnd::ProtocolError { rule, utf8: true }),
        End::Client(ClientEnd::MessageTooLarge { limit: 1 }),
        End::Client(ClientEnd::WriteStalled),
        End::Upstream(UpstreamEnd::Superseded),
        End::Upstream(UpstreamEnd::Lost),
        End::Upstream(UpstreamEnd::ProtocolError { rule }),
        End::Upstream(UpstreamEnd::MessageTooLarge { limit: 1 }),
        End::Upstream(UpstreamEnd::WriteStalled),
    ];
    ends.extend([ContextEnd::Idle, ContextEnd::Fault].map(End::Context));
    let state = |phase| {
        let url = (phase == Phase::Ready).then(|| WsUrl::from_parts("127.0.0.1", 1, "g").unwrap());
        UpstreamState { generation: 1, url, phase, last_end: None }
    };
    let causes = [
        Cause::Exited { code: 1 },
        Cause::Signalled { signal: 1 },
        Cause::OomKilled,
        Cause::RestartRequested,
        Cause::StartTimeout,
        Cause::UnknownExit,
    ];
    let mut states = vec![state(Phase::Ready)];
    states.extend(causes.map(|cause| state(Phase::Gone { cause })));
    states.extend(causes.map(|cause| state(Phase::Down { since: now, cause })));
    let stops = ContextDetail::ALL.iter().copied().map(Some).chain([None]);
    let mut found = BTreeSet::new();
    for stop in stops {
        for (end, state) in ends.iter().flat_map(|end| states.iter().map(move |s| (end, s))) {
            for (alive, use_1014) in [
                (Alive::No, false),
                (Alive::No, true),
                (Alive::Same(TargetSeen::NotAPage), false),
                (Alive::Same(TargetSeen::Unlisted), false),
            ] {
                let facts = Facts {
                    end,
                    ended_at: now,
                    dialled: 1,
                    state,
                    restart_expected: false,
                    stop,
                    alive,
                    waits: Waits::default(),
                    now: now + Duration::from_secs(1),
                };
                if let Some(ClientClose::Frame { code, text }) = decide(&facts, use_1014) {
                    let text = text.replace("code 1", "code N").replace("signal 1", "signal N");
                    found.insert((code.to_string(), text.replace("over 1 bytes", "over N bytes")));
                }
            }
        }
    }
    found
}

#[test]
fn the_page_lists_exactly_the_closes() {
    let rows = rows("## Close codes", 2);
    let listed: BTreeSet<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(listed.len(), rows.len(), "a close is listed twice");
    assert_eq!(listed, closes());
}

#[test]
fn the_page_lists_exactly_the_refusals() {
    let rows = rows("## Refusals", 3);
    let listed: BTreeSet<_> = rows.iter().map(|row| row.join(" ")).collect();
    let mut possible: BTreeSet<_> = all_refusals()
        .iter()
        .filter_map(|refusal| {
            let verdict = refusal.verdict()?;
            let status = refusal.status().as_u16();
            Some(format!("{status} {} {}", verdict.reason, verdict.detail))
        })
        .collect();
    // The client that left has no status; the refusal for it is the drop of its request.
    possible.retain(|row| !row.ends_with(Detail::RequestCancelled.as_str()));
    possible.insert("- context_cancelled request_cancelled".to_owned());
    assert_eq!(listed, possible);
}
