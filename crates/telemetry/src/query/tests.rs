use bytes::Bytes;
use eventlog::Record;

use super::*;

fn epoch() -> Epoch {
    "abcdefgh".parse().unwrap()
}

fn after(offset: u64) -> Place {
    Place::After(Cursor { epoch: epoch(), offset })
}

#[test]
fn a_query_reads_its_names_and_ignores_others() {
    let query = Query::read(
        "category=run&category=api&type=a%20b&type=c+d&sandbox=x&limit=7&since=-1&until=9&token=t",
    )
    .unwrap();
    assert_eq!(query.filter.categories, [Category::Run, Category::Api]);
    assert_eq!(query.filter.kinds, ["a b", "c d"]);
    assert_eq!(query.filter.sandboxes, ["x"]);
    assert_eq!((query.limit, query.since, query.until), (Some(7), Some(-1), Some(9)));
    assert_eq!(Query::read("").unwrap(), Query::default());
}

#[test]
fn a_bad_query_names_the_member() {
    for (query, name) in [
        ("category=cdp", "category"),
        ("category=", "category"),
        ("replay=some", "replay"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("since=yesterday", "since"),
        ("until=1.5", "until"),
    ] {
        assert_eq!(Query::read(query).unwrap_err().name, name, "{query}");
    }
}

/// The places for every kind of header, `after` and `replay`.
#[test]
fn the_header_beats_after_beats_replay_beats_now() {
    let place = |query: &str, header| Query::read(query).unwrap().place(&epoch(), header);
    let other = Place::After(Cursor { epoch: "zzzzzzzz".parse().unwrap(), offset: 4 });
    assert_eq!(place("", None), Ok(Place::Now));
    assert_eq!(place("replay=all", None), Ok(Place::Oldest));
    assert_eq!(place("after=abcdefgh-3&replay=all", None), Ok(after(3)));
    assert_eq!(place("after=abcdefgh-3", Some("abcdefgh-5")), Ok(after(5)));
    assert_eq!(place("after=abcdefgh-3", Some("7")), Ok(after(7)));
    assert_eq!(place("after=0", None), Ok(after(0)));
    assert_eq!(place("after=zzzzzzzz-4", None), Ok(other));
    for junk in ["", "junk", "abcdefgh-", "-1", "1.5", "99999999999999999999999"] {
        assert_eq!(place("", Some(junk)), Ok(Place::Now), "{junk}");
        assert_eq!(place("after=2", Some(junk)), Ok(after(2)), "{junk}");
        assert!(place(&format!("after={junk}"), None).is_err(), "{junk}");
    }
}

#[test]
fn a_start_is_found_in_what_the_log_keeps() {
    let start = |place: Place| {
        let Start { gap, next } = place.find(&epoch(), 5, 9);
        (gap.map(|gap| (gap.cause.as_str(), gap.from, gap.to)), next)
    };
    assert_eq!(start(Place::Now), (None, 9));
    assert_eq!(start(Place::Oldest), (None, 5));
    assert_eq!(start(after(0)), (None, 1), "reading tells the gap");
    assert_eq!(start(after(6)), (None, 7));
    assert_eq!(start(after(8)), (None, 9));
    assert_eq!(start(after(9)), (Some(("ahead", None, 8)), 9));
    assert_eq!(start(after(u64::MAX)), (Some(("ahead", None, 8)), 9));
    let other = Place::After(Cursor { epoch: "zzzzzzzz".parse().unwrap(), offset: 7 });
    assert_eq!(start(other), (Some(("epoch_changed", None, 4)), 5));
}

#[test]
fn each_list_of_a_filter_has_to_fit() {
    let event = |json: &str| {
        let payload = Bytes::from(json.to_owned());
        Stored::read(&epoch(), &Record { offset: 1, ts: 0, payload }).unwrap()
    };
    let run = event(r#"{"ts":1,"type":"run_ended","category":"run","sandbox":"a","data":{}}"#);
    let node = event(r#"{"ts":1,"type":"node_started","category":"system","data":{}}"#);
    let future = event(r#"{"ts":1,"type":"x","category":"not_known_here","data":{}}"#);
    let wants = |query: &str, event: &Stored| Query::read(query).unwrap().filter.wants(event);
    for everything in ["", "limit=3"] {
        assert!([&run, &node, &future].iter().all(|event| wants(everything, event)));
    }
    assert!(wants("category=run", &run) && !wants("category=run", &node));
    assert!(wants("category=run&category=system", &node) && !wants("category=run", &future));
    assert!(wants("type=run_ended&sandbox=a", &run) && !wants("type=run_ended&sandbox=b", &run));
    assert!(!wants("sandbox=a", &node));
}
