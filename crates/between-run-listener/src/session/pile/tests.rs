use super::*;

const LIMITS: Limits = Limits { bytes: 100, records: 50, most: 1_000 };

/// A pile of closed runs of two records and so many bytes each.
fn runs(runs: u64, bytes: u64) -> Pile {
    let mut pile = Pile::default();
    for run in 0..runs {
        pile.add(2 * run + 1, bytes / 2);
        pile.add(2 * run + 2, bytes - bytes / 2);
        pile.close();
    }
    pile
}

#[test]
fn the_newest_four_runs_stay_and_the_rest_is_folded_once_it_is_much() {
    assert_eq!(runs(4, 120).due(&LIMITS, false, 0), None, "four runs are never old");
    assert_eq!(runs(5, 99).due(&LIMITS, false, 0), None);
    let mut pile = runs(9, 20);
    assert_eq!(pile.due(&LIMITS, false, 0).map(|mark| mark.offset), Some(10));
    assert_eq!(pile.due(&LIMITS, false, 300), None, "it is little beside the base");
    pile.folded(pile.due(&LIMITS, false, 0).unwrap());
    assert_eq!(pile.due(&LIMITS, false, 0), None);
    assert_eq!(pile.all, Mark { offset: 18, bytes: 80, records: 8 });
}

#[test]
fn many_small_records_are_much_too() {
    let pile = runs(29, 2);
    assert_eq!(pile.due(&LIMITS, true, 0).map(|mark| mark.offset), Some(50));
}

#[test]
fn few_large_runs_are_folded_all_and_an_open_one_is_left_alone() {
    let mut pile = runs(2, 300);
    assert_eq!(pile.due(&LIMITS, false, 0).map(|mark| mark.offset), Some(4));
    pile.add(5, 600);
    assert_eq!(pile.due(&LIMITS, true, 0).map(|mark| mark.offset), Some(4));
    assert!(!pile.is_full(&LIMITS));
    pile.add(6, 401);
    assert!(pile.is_full(&LIMITS));
    // What comes outside of any run counts as well.
    let mut outside = Pile::default();
    outside.add(1, 501);
    assert_eq!(outside.due(&LIMITS, true, 0), None);
    assert_eq!(outside.due(&LIMITS, false, 0).map(|mark| mark.offset), Some(1));
}

#[test]
fn runs_that_end_while_a_fold_runs_are_counted_on() {
    let mut pile = runs(9, 20);
    let mark = pile.due(&LIMITS, false, 0).unwrap();
    for offset in 19..40 {
        pile.add(offset, 10);
        pile.close();
    }
    pile.folded(mark);
    assert_eq!(pile.all, Mark { offset: 39, bytes: 290, records: 29 });
    assert_eq!(pile.due(&LIMITS, false, 0).map(|mark| mark.offset), Some(35));
}
