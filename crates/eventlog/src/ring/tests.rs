use super::*;

fn numbers(ring: &Ring<char>, from: u64) -> Vec<(u64, char)> {
    ring.from(from).map(|(number, _, item)| (number, *item)).collect()
}

fn ring() -> Ring<char> {
    let mut ring = Ring::starting_at(5);
    assert_eq!(ring.push(10, 'a'), 5);
    ring.push(20, 'b');
    ring.push(30, 'c');
    ring
}

#[test]
fn reads_from_a_number_or_from_the_oldest() {
    let ring = ring();
    assert_eq!(numbers(&ring, 0), [(5, 'a'), (6, 'b'), (7, 'c')]);
    assert_eq!(numbers(&ring, 6), [(6, 'b'), (7, 'c')]);
    assert_eq!(numbers(&ring, 8), []);
    assert_eq!(numbers(&ring, u64::MAX), []);
}

#[test]
fn the_newest_is_kept_whatever_its_size() {
    let mut ring = ring();
    assert_eq!(ring.shrink(10, 50), 1);
    assert_eq!((ring.first(), ring.next(), ring.bytes()), (6, 8, 50));
    assert_eq!(ring.shrink(0, 0), 1);
    assert_eq!(numbers(&ring, 0), [(7, 'c')]);
}

#[test]
fn numbers_go_on_when_everything_was_dropped() {
    let mut ring = ring();
    assert_eq!(ring.drop_before(u64::MAX), 3);
    assert_eq!((ring.first(), ring.bytes(), ring.is_empty()), (8, 0, true));
    assert_eq!(ring.push(1, 'd'), 8);
}
