use super::*;

fn envelope() -> Envelope {
    Envelope {
        ts_ms: 7,
        feed: Some(FeedName::Run),
        feed_generation: Some(3),
        run_id: Some("r".into()),
        event_type: Some("CUSTOM".into()),
        upstream_id: Some("5\u{2026}".into()),
        ..Envelope::new(Kind::Event, Origin::Runner)
    }
}

fn read(payloads: impl IntoIterator<Item = Bytes>) -> Vec<Stored> {
    let mut assembler = Assembler::default();
    let read = |(at, payload)| assembler.take(at as u64 + 1, payload).unwrap();
    payloads.into_iter().enumerate().filter_map(read).collect()
}

#[test]
fn what_was_written_is_read_byte_for_byte() {
    let data = b"{ \"type\":\"CUSTOM\",\n\"name\":\"\xe2\x80\xa6\" }\n";
    let stored = read(encode(&envelope(), data));
    assert_eq!(stored.len(), 1);
    assert_eq!((&stored[0].envelope, &stored[0].data[..]), (&envelope(), &data[..]));
}

#[test]
fn an_event_over_the_cap_of_a_record_is_cut_and_put_together() {
    for len in [PART_MAX - 1, PART_MAX, PART_MAX + 1, 2 * PART_MAX, 2 * PART_MAX + 1, 16 << 20] {
        let data: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let payloads = encode(&envelope(), &data);
        assert!(payloads.iter().all(|payload| payload.len() <= eventlog::PAYLOAD_MAX));
        let offsets = payloads.len() as u64;
        let stored = read(payloads);
        assert_eq!((stored.len(), stored[0].offset), (1, offsets), "{len}");
        assert!(stored[0].data == data && stored[0].envelope == envelope(), "{len}");
    }
}

#[test]
fn parts_without_an_end_are_left_out() {
    let mut torn = encode(&envelope(), &vec![b'x'; 3 * PART_MAX]);
    torn.pop();
    let long = vec![b'y'; PART_MAX + 5];
    let all = torn.clone().into_iter().chain(encode(&envelope(), &long));
    let stored = read(all);
    assert_eq!(stored.len(), 1);
    assert!(stored[0].data == long);
    let short = read(torn.into_iter().chain(encode(&envelope(), b"{}")));
    assert_eq!((short.len(), &short[0].data[..]), (1, &b"{}"[..]));
}

#[test]
fn what_is_no_record_is_said_to_be_none() {
    let mut assembler = Assembler::default();
    assert_eq!(assembler.take(1, Bytes::from_static(b"hello")), Err(BadRecord));
    assert_eq!(assembler.take(2, Bytes::from_static(b"{}\nhello")), Err(BadRecord));
}
