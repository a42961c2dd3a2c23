//! Whatever was logged, a base stands for it.

use super::hostile::{Plain, fields, play, step};
use super::*;
use crate::session::fold::Fold;

/// Records as the log has them.
pub(super) fn stored(log: &[Draft]) -> Vec<Stored> {
    let numbered = log.iter().zip(1..);
    numbered
        .map(|(draft, offset)| {
            let (envelope, data) = (draft.envelope.clone(), draft.data.clone());
            Stored { offset, envelope, data }
        })
        .collect()
}

pub(super) fn folded(records: &[Stored]) -> Fold {
    let mut fold = Fold::new("s");
    records.iter().for_each(|record| fold.take(record));
    fold
}

/// The places behind which no run is open.
fn borders(records: &[Stored]) -> Vec<usize> {
    let ends = |record: &Stored| {
        let name = record.envelope.event_type.as_deref().unwrap_or_default();
        record.envelope.kind == Kind::Event && EventType::named(name).is_terminal()
    };
    records.iter().zip(1..).filter(|(record, _)| ends(record)).map(|(_, at)| at).collect()
}

/// Whether a stream is runs in order, one after the other.
fn in_order(events: &[Stored]) -> Result<(), String> {
    let mut plain = Plain::default();
    for stored in events.iter().filter(|stored| stored.envelope.kind == Kind::Event) {
        let text = std::str::from_utf8(&stored.data).map_err(|e| e.to_string())?;
        plain.check(&Event::parse(text).map_err(|e| e.to_string())?)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_base_and_the_rest_lead_to_what_the_whole_log_leads_to(
        steps in prop::collection::vec(step(), 1..150),
        cuts in prop::collection::vec(0.0..1.0_f64, 1..4),
    ) {
        let records = stored(&play(steps).log);
        let borders = borders(&records);
        let whole = folded(&records);
        // Folded once, and again behind the base of the time before.
        let mut cuts: Vec<usize> = cuts
            .iter()
            .filter_map(|cut| borders.get((cut * borders.len() as f64) as usize).copied())
            .collect();
        cuts.sort_unstable();
        let (mut fold, mut from) = (Fold::new("s"), 0);
        let mut shown = records.clone();
        for cut in cuts {
            records[from..cut].iter().for_each(|record| fold.take(record));
            from = from.max(cut);
            let base = fold.finish(u64::MAX);
            let checked = fold.check(&base);
            prop_assert!(checked.is_ok(), "{checked:?}");
            fold = Fold::resume("s", &base);
            shown = base.events.iter().chain(&records[from..]).cloned().collect();
            let order = in_order(&shown);
            prop_assert!(order.is_ok(), "{order:?}");

            // A lane that begins with the base goes on as one that has read everything.
            let mut read = Bench::new();
            read.lane.restore(&base, read.now);
            records[from..].iter().for_each(|record| read.lane.replay(record, read.now));
            let mut all = Bench::new();
            records.iter().for_each(|record| all.lane.replay(record, all.now));
            prop_assert_eq!(read.lane.status().agent(), all.lane.status().agent());
            prop_assert_eq!(read.lane.status().last_error(), all.lane.status().last_error());
            prop_assert_eq!(read.lane.thread(), all.lane.thread());
            prop_assert_eq!(read.lane.open_run(), all.lane.open_run());
            prop_assert_eq!(&read.lane.last_run, &all.lane.last_run);
            prop_assert_eq!(&read.lane.torn, &all.lane.torn);
        }
        records[from..].iter().for_each(|record| fold.take(record));
        prop_assert!(fold.same_outcome(&whole), "{:#?}\n{:#?}", fold.messages(), whole.messages());
        // And so does a client that knows nothing but what it is shown.
        prop_assert!(folded(&shown).same_outcome(&whole));
    }
}

#[test]
fn a_run_over_the_limit_of_a_session_is_ended_and_what_it_says_later_is_kept_apart() {
    let mut bench = Bench::new();
    bench.post(1, "r", "m").unwrap();
    bench.take(RUN, &started("r")).take(RUN, &text("START", "a"));
    assert_eq!(bench.lane.full(&mut bench.log), Some(1), "its stream is dropped");
    assert_eq!(bench.lane.status().last_error().unwrap().code.as_deref(), Some("LOG_FULL"));
    bench.take(RUN, &text("CONTENT", "a"));
    assert_eq!(bench.told().last().map(String::as_str), Some("!log_full"));
    // What came outside of any run is closed as it should be.
    bench.take(LISTEN, &fields(EventType::KNOWN.len(), 0, 0).to_string());
    assert_eq!(bench.lane.full(&mut bench.log), None);
    assert_eq!(bench.told().last().map(String::as_str), Some("+RUN_FINISHED(between)"));
    assert_eq!(bench.lane.full(&mut bench.log), None, "nothing is open");
}
