use super::*;

const ALL: ReadLimit = ReadLimit { records: 100, bytes: 1_000_000 };

fn appended(bytes: &[usize]) -> Vec<NewRecord> {
    bytes.iter().map(|bytes| NewRecord { ts: 1, payload: vec![b'x'; *bytes].into() }).collect()
}

fn offsets(page: Option<Page>) -> Option<(Vec<u64>, u64)> {
    page.map(|page| (page.records.iter().map(|record| record.offset).collect(), page.next))
}

#[test]
fn it_gives_what_storage_would_give() {
    let mut tail = Tail::default();
    tail.keep(5, appended(&[10]).iter());
    tail.keep(6, appended(&[10, 10]).iter());
    assert_eq!(offsets(tail.page(5, 1, 8, ALL)), Some((vec![5, 6, 7], 8)));
    assert_eq!(offsets(tail.page(6, 1, 8, ALL)), Some((vec![6, 7], 8)));
    let two = ReadLimit { records: 2, ..ALL };
    assert_eq!(offsets(tail.page(5, 1, 8, two)), Some((vec![5, 6], 7)));
    let little = ReadLimit { bytes: 25, ..ALL };
    assert_eq!(offsets(tail.page(5, 1, 8, little)), Some((vec![5, 6], 7)));
    let nothing = ReadLimit { records: 0, bytes: 0 };
    assert_eq!(offsets(tail.page(7, 1, 8, nothing)), Some((vec![7], 8)), "one always comes");
}

#[test]
fn what_is_not_all_here_is_left_to_storage() {
    let mut tail = Tail::default();
    assert_eq!(tail.page(1, 1, 1, ALL), None);
    tail.keep(5, appended(&[10, 10]).iter());
    assert_eq!(tail.page(4, 1, 7, ALL), None, "older");
    assert_eq!(tail.page(5, 6, 7, ALL), None, "trimmed");
    assert_eq!(tail.page(5, 1, 8, ALL), None, "there is a newer one");
    assert_eq!(tail.page(7, 1, 7, ALL), None, "at the end");
    tail.keep(9, appended(&[10]).iter());
    assert_eq!(tail.page(6, 1, 10, ALL), None, "before a hole");
    tail.keep(10, appended(&[10, TAIL_BYTES - 10, 10]).iter());
    assert_eq!(offsets(tail.page(10, 1, 13, ALL)), None, "too much to keep");
    assert_eq!(offsets(tail.page(12, 1, 13, ALL)), Some((vec![12], 13)));
    tail.forget();
    assert_eq!(tail.page(12, 1, 13, ALL), None);
}
