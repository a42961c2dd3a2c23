use super::*;

fn report(holders: &[(&str, u64)], unlabelled: u64, refused: u64) -> DrainReport {
    let holders: Vec<_> = holders
        .iter()
        .map(|(label, age)| Holder { label: Label::from(*label), age: Duration::from_secs(*age) })
        .collect();
    let inside = holders.len() as u64 + unlabelled;
    let state = if inside == 0 { State::Drained } else { State::Draining };
    DrainReport { state, inside, holders, unlabelled, refused }
}

#[test]
fn one_line_names_the_oldest_and_counts_the_rest() {
    assert_eq!(report(&[], 0, 0).to_string(), "drained, 0 inside");
    assert_eq!(report(&[], 2, 3).to_string(), "draining, 2 inside; 3 refused");
    assert_eq!(
        report(&[("sandbox a", 12), ("sandbox b", 4)], 1, 0).to_string(),
        "draining, 3 inside: sandbox a (12.0s), sandbox b (4.0s), 1 unnamed"
    );
    let many = [("a", 7), ("b", 6), ("c", 5), ("d", 4), ("e", 3), ("f", 2), ("g", 1)];
    assert_eq!(
        report(&many, 0, 1).to_string(),
        "draining, 7 inside: a (7.0s), b (6.0s), c (5.0s), d (4.0s), e (3.0s), 2 more; 1 refused"
    );
}
