use super::*;
use crate::NewRecord;

fn batch(words: &[&str]) -> Batch {
    let record = |word: &&str| NewRecord { ts: -7, payload: word.as_bytes().to_vec().into() };
    Batch::new(words.iter().map(record).collect()).unwrap()
}

fn read(headers: &[(&'static str, String)]) -> Result<Mark, BadMark> {
    Mark::read(|name| headers.iter().find(|(known, _)| *known == name).map(|(_, v)| v.as_str()))
}

fn mark() -> (Mark, Bytes) {
    let mut mark = Mark::new(Epoch::random(), 7);
    let batches = [batch(&["", "one"]).named(DedupeId(1)), batch(&["two"]).named(DedupeId(2))];
    assert_eq!(mark.add(&batches[0]), Appended { first: 1, last: 2 });
    assert_eq!(mark.add(&batches[1]), Appended { first: 3, last: 3 });
    (mark, encode(batches.iter()))
}

#[test]
fn a_mark_is_read_as_it_was_written() {
    let (mark, _) = mark();
    assert_eq!((mark.next(), mark.bytes(), mark.newest), (4, 6 + 3 * 32, -7));
    assert_eq!(read(&mark.headers()), Ok(mark.clone()));
    let empty = mark.without_records();
    assert_eq!((empty.first, empty.next(), empty.bytes()), (4, 4, mark.bytes()));
    assert_eq!(read(&empty.headers()), Ok(empty));
}

#[test]
fn a_header_that_is_missing_or_newer_is_named() {
    let (mark, _) = mark();
    let headers = mark.headers();
    for left_out in 0..headers.len() - 1 {
        let mut fewer = headers.clone();
        let (name, _) = fewer.remove(left_out);
        assert_eq!(read(&fewer), Err(BadMark::Header(name)));
    }
    let mut newer = headers;
    newer[0].1 = "2".to_owned();
    assert_eq!(read(&newer), Err(BadMark::Newer(2)));
}

#[test]
fn records_are_read_as_they_were_written_and_a_cut_is_seen() {
    let (mark, payload) = mark();
    let records = decode(&mark, payload.clone()).unwrap();
    let seen: Vec<_> = records.iter().map(|r| (r.offset, r.ts, &r.payload[..])).collect();
    assert_eq!(seen, [(1, -7, &b""[..]), (2, -7, b"one"), (3, -7, b"two")]);
    for length in 0..payload.len() {
        assert_eq!(decode(&mark, payload.slice(..length)), None, "{length}");
    }
}
