use super::*;

#[test]
fn the_ring_stays_within_its_capacity_and_keeps_the_newest() {
    let mut ring = LogRing::default();
    for i in 0..10_000 {
        ring.push(&format!("{i:0>100}"));
        assert!(ring.bytes <= CAPACITY);
    }
    assert!(ring.tail().ends_with("9999"));
}

#[test]
fn the_tail_is_at_most_four_kibibytes_of_whole_lines() {
    let mut ring = LogRing::default();
    for _ in 0..1000 {
        ring.push(&"x".repeat(99));
    }
    let tail = ring.tail();
    assert!(tail.len() <= TAIL && tail.len() > TAIL - 200);
    assert!(tail.lines().all(|line| line.len() == 99));
}

#[test]
fn a_line_longer_than_the_tail_is_cut_between_characters() {
    let mut ring = LogRing::default();
    ring.push(&"ä".repeat(LINE));
    assert_eq!(ring.lines[0].len(), LINE);
    let tail = ring.tail();
    assert!(tail.len() <= TAIL && tail.chars().all(|c| c == 'ä'));
}

#[test]
fn an_empty_log_has_an_empty_tail() {
    assert_eq!(LogRing::default().tail(), "");
}
