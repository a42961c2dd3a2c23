use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_traceparent_names_trace_parent_and_whether_it_is_recorded() {
    let trace = TraceContext::parse(GOOD).expect("it is good");
    assert_eq!(trace.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(trace.trace_id().to_bytes()[..2], [0x0a, 0xf7]);
    assert_eq!(trace.parent_id(), [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert!(trace.sampled());
    let silent =
        TraceContext::parse(&GOOD.replace("-01", "-02")).expect("other flags are kept out");
    assert!(!silent.sampled());
}

#[test]
fn a_later_version_may_have_more_behind_and_this_one_may_not() {
    assert!(TraceContext::parse(&format!("{GOOD}-more")).is_none());
    assert!(TraceContext::parse(&format!("01{}-more", &GOOD[2..])).is_some());
}

#[test]
fn what_is_no_traceparent_is_as_good_as_none() {
    let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    let zero_parent = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
    let upper = GOOD.to_uppercase();
    let no_version = format!("ff{}", &GOOD[2..]);
    let short = &GOOD[..GOOD.len() - 1];
    let bad = ["", "00", short, &zero_trace, &zero_parent, &upper, &no_version, "00-é-b-01"];
    for value in bad {
        assert_eq!(TraceContext::parse(value), None, "{value:?}");
    }
}

#[test]
fn two_of_them_count_as_none() {
    let mut headers = HeaderMap::new();
    assert_eq!(TraceContext::of(&headers), None);
    headers.append(HEADER, HeaderValue::from_static(GOOD));
    assert_eq!(TraceContext::of(&headers), TraceContext::parse(GOOD));
    headers.append(HEADER, HeaderValue::from_static(GOOD));
    assert_eq!(TraceContext::of(&headers), None);
}

proptest! {
    #[test]
    fn any_ids_but_zeros_come_out_as_they_went_in(
        trace in 1_u128..,
        parent in 1_u64..,
        flags: u8,
    ) {
        let read = TraceContext::parse(&format!("00-{trace:032x}-{parent:016x}-{flags:02x}"));
        let read = read.expect("it is good");
        prop_assert_eq!(read.trace_id().to_bytes(), trace.to_be_bytes());
        prop_assert_eq!(read.parent_id(), parent.to_be_bytes());
        prop_assert_eq!(read.sampled(), flags % 2 == 1);
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = TraceContext::parse(&text);
    }
}
