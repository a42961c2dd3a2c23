use super::*;

#[test]
fn what_is_known_narrows_the_search() {
    let mut index = Index::default();
    assert_eq!(index.range(5, 2, 90), (2, 90));
    index.note(11, 10);
    index.note(21, 20);
    // Offsets 1 to 10 are in 10 or before it, 11 to 20 behind 10 and in 20 or before it.
    assert_eq!(index.range(10, 2, 90), (2, 10));
    assert_eq!(index.range(11, 2, 90), (11, 20));
    assert_eq!(index.range(21, 2, 90), (21, 90));
    assert_eq!(index.range(1, 15, 90), (15, 15), "what was dropped is not looked for");
}

#[test]
fn it_forgets_the_places_that_came_first() {
    let mut index = Index::default();
    for at in 1..=PLACES as u64 + 2 {
        index.note(at * 10, at);
        index.note(at * 10, at);
    }
    assert_eq!((index.places.len(), index.order.len()), (PLACES, PLACES));
    assert_eq!(index.range(5, 1, 9_999), (1, 3));
}
