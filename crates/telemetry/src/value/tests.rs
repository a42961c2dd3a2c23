use super::*;

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn durations_are_milliseconds_exact_to_the_microsecond() {
    assert_eq!(json(&Millis(Duration::from_micros(1))), "0.001");
    assert_eq!(json(&Millis(Duration::from_micros(1_500))), "1.5");
    assert_eq!(json(&Millis(Duration::from_nanos(1_999))), "0.001", "nanoseconds are cut");
    let day = Duration::from_secs(86_400) + Duration::from_micros(1);
    assert_eq!(json(&Millis(day)), "86400000.001");
}

#[test]
fn text_and_ids_are_cut_at_a_character_boundary() {
    let long = format!("{}é", "a".repeat(127));
    assert_eq!(long.len(), 129);
    for cut in [Id::from(long.as_str()).as_str(), Text::from(long.clone()).as_str()] {
        assert_eq!(cut, "a".repeat(127));
    }
    assert_eq!(Id::from(Arc::<str>::from(long.as_str())).as_str().len(), 127);
    assert_eq!(Text::copy("short").as_str(), "short");
}

#[test]
fn an_id_made_of_a_shared_string_copies_no_bytes() {
    let shared: Arc<str> = Arc::from("abc");
    let id = Id::from(&shared);
    assert!(std::ptr::eq(id.as_str(), &*shared));
}
