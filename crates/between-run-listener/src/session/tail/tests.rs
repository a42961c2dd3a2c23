use super::*;

#[test]
fn an_event_of_several_lines_is_several_data_lines() {
    let epoch: Epoch = "abcdefgh".parse().unwrap();
    let frame = frame(&epoch, 7, b"{\n \"a\": 1\n}");
    assert_eq!(&frame[..], b"id: abcdefgh-7\ndata: {\ndata:  \"a\": 1\ndata: }\n\n");
}

#[test]
fn what_is_shown_is_there_until_it_is_old() {
    let tail = Tail::new("abcdefgh".parse().unwrap(), 5);
    let stored = |offset| Stored {
        offset,
        envelope: Envelope::new(Kind::Event, Origin::Runner),
        data: Bytes::from_static(b"{}"),
    };
    // The parts of an event have the offsets before it.
    tail.show([stored(5), stored(8)], 8);
    let offsets = |from| tail.from(from).map(|all| all.iter().map(|e| e.offset()).collect());
    assert_eq!(offsets(5), Some(vec![5, 6, 7, 8]));
    assert_eq!((offsets(4), offsets(9)), (None, None::<Vec<u64>>));
    tail.show((9..=400).map(stored), 400);
    assert_eq!(tail.from(8).map(|_| ()), None);
    assert_eq!(tail.from(145).unwrap().len(), 256);
    assert_eq!(*tail.head().borrow(), Head { last: 400, closed: false });
}

#[test]
fn more_is_kept_in_memory_while_somebody_follows_and_no_more_bytes() {
    let tail = Tail::new("abcdefgh".parse().unwrap(), 1);
    let stored = |offset, bytes: usize| Stored {
        offset,
        envelope: Envelope::new(Kind::Event, Origin::Runner),
        data: vec![b'x'; bytes].into(),
    };
    let small = |offset| stored(offset, 2);
    let follower = tail.head();
    tail.show((1..=2_000).map(small), 2_000);
    assert_eq!(tail.from(977).unwrap().len(), 1_024);
    assert!(tail.from(976).is_none());
    tail.show((2_001..=2_100).map(|offset| stored(offset, 32 << 10)), 2_100);
    // Each counts as its data and as what is sent of it.
    assert!(tail.from(2_086).is_some() && tail.from(2_084).is_none());
    drop(follower);
    tail.show((2_101..=4_000).map(small), 4_000);
    assert_eq!(tail.from(3_745).unwrap().len(), 256);
    assert!(tail.from(3_744).is_none());
}
