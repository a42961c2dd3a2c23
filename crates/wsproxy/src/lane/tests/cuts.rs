//! What is left of a direction when its source has gone or it is cut.

use super::*;

fn read(lane: &mut Lane, bytes: &[u8]) -> Found {
    lane.room(take)[..bytes.len()].copy_from_slice(bytes);
    lane.filled(bytes.len())
}

fn write(lane: &mut Lane, n: usize) -> Vec<u8> {
    let bytes = lane.front()[..n].to_vec();
    lane.wrote(n, &mut ());
    bytes
}

fn lane(sender: Sender) -> Lane {
    Lane::new(sender, &limits())
}

#[test]
fn a_gone_source_leaves_only_its_whole_frames() {
    let whole = Frame::browser(TEXT, vec![b'a'; 200]).bytes();
    let open = Frame::browser(TEXT, vec![b'b'; 200]).bytes();
    let mut lane = lane(Sender::Browser);
    read(&mut lane, &[&whole, &open[..150]].concat());
    write(&mut lane, 20);
    lane.source_gone();
    assert_eq!(lane.front(), &whole[20..]);
    assert!(!lane.is_settled() && !lane.is_dead_end());
    write(&mut lane, whole.len() - 20);
    assert!(lane.is_settled());
    assert_eq!(lane.totals().messages, 1);
}

#[test]
fn a_gone_source_inside_a_frame_that_is_out_is_a_dead_end() {
    let open = Frame::browser(TEXT, vec![b'b'; 200]).bytes();
    let mut lane = lane(Sender::Browser);
    read(&mut lane, &open[..150]);
    write(&mut lane, 100);
    lane.source_gone();
    assert_eq!(lane.front(), b"");
    assert!(lane.is_dead_end() && !lane.is_settled());
    assert_eq!(lane.totals().bytes, 96, "bytes of a cut message are counted");
}

#[test]
fn a_cut_keeps_no_more_than_the_frame_that_is_out() {
    let (one, two) = (Frame::browser(TEXT, "one").bytes(), Frame::browser(TEXT, "two").bytes());
    let mut inside = lane(Sender::Browser);
    read(&mut inside, &[&*one, &two].concat());
    write(&mut inside, 1);
    inside.cut_short();
    assert_eq!(inside.front(), &one[1..]);
    let mut between = lane(Sender::Browser);
    read(&mut between, &[&*one, &two].concat());
    write(&mut between, one.len());
    between.cut_short();
    assert!(between.is_settled());
}

#[test]
fn a_cut_of_a_frame_that_is_not_all_there_goes_on_reading_it() {
    let open = Frame::browser(TEXT, vec![b'x'; 300]).bytes();
    let mut lane = lane(Sender::Browser);
    read(&mut lane, &open[..100]);
    write(&mut lane, 50);
    lane.cut_short();
    assert_eq!(write(&mut lane, 50), &open[50..100]);
    assert!(!lane.is_settled());
    read(&mut lane, &[&open[100..], &Frame::browser(TEXT, "late").bytes()].concat());
    assert_eq!(lane.front(), &open[100..]);
    write(&mut lane, open.len() - 100);
    assert!(lane.is_settled());
}

#[test]
fn a_joined_message_is_cut_or_kept_as_a_whole() {
    let fragments = [Frame::client(TEXT, "one").unfinished(), Frame::client(CONTINUATION, "two")];
    let begin = || {
        let mut lane = lane(Sender::Client);
        read(&mut lane, &wire(&fragments));
        assert_eq!(lane.front().len(), 12);
        lane
    };
    let mut between = begin();
    between.cut_short();
    assert!(between.is_settled());
    let mut inside = begin();
    write(&mut inside, 1);
    inside.cut_short();
    assert_eq!(inside.front().len(), 11);
    let mut gone = begin();
    gone.source_gone();
    assert_eq!(gone.front().len(), 12);
}

#[test]
fn bytes_behind_a_joined_message_wait_for_it() {
    let fragments = [Frame::client(TEXT, "one").unfinished(), Frame::client(CONTINUATION, "two")];
    let close = Frame::client(CLOSE, "");
    let mut lane = lane(Sender::Client);
    let found = read(&mut lane, &[wire(&fragments), close.bytes()].concat());
    assert_eq!(found.into_event(), None);
    lane.park();
    write(&mut lane, 12);
    let found = lane.take_held(take).unwrap();
    assert_eq!(found.into_event(), Some(Event::Close(CloseFrame::empty())));
}

#[test]
fn there_is_room_for_a_last_look_behind_what_is_not_written() {
    let (one, two) = (Frame::client(TEXT, "one").bytes(), Frame::client(TEXT, "two").bytes());
    let close = Frame::client(CLOSE, close_payload(1000, "")).bytes();
    let mut lane = lane(Sender::Client);
    read(&mut lane, &[&*one, &Frame::client(PING, "x").bytes(), &two[..4]].concat());
    write(&mut lane, 3);
    let more = [&two[4..], &close].concat();
    lane.room_behind(take).unwrap()[..more.len()].copy_from_slice(&more);
    let found = lane.filled(more.len());
    assert!(matches!(found.into_event(), Some(Event::Close(_))));
    assert_eq!(lane.front(), [&one[3..], &two].concat());
}
