use super::*;

fn of(status: u16, fields: &[(&'static str, &str)]) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::try_from(*value).expect("a value"));
    }
    let url = Url::parse("http://a.example/x/y").expect("a URL");
    // 1994-11-06 08:49:27
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_767);
    answer(StatusCode::from_u16(status).expect("a status"), &headers, &url, now)
}

fn failed(reason: Reason) -> Answer {
    Answer::Failed(reason.into())
}

#[test]
fn only_an_event_stream_opens() {
    for kind in [
        "text/event-stream",
        "Text/Event-Stream",
        "text/event-stream;",
        "text/event-stream; charset=windows-1252",
        "text/event-stream;x bogus",
        " text/event-stream ;charset=utf-8",
    ] {
        assert_eq!(of(200, &[("content-type", kind)]), Answer::Stream, "{kind:?}");
    }
    for kind in ["", "text/x-bogus", "x bogus", "text/event-streams", "text/event-stream x"] {
        assert_eq!(of(200, &[("content-type", kind)]), failed(Reason::ContentType), "{kind:?}");
    }
    assert_eq!(of(200, &[]), failed(Reason::ContentType));
    let packed = [("content-type", "text/event-stream"), ("content-encoding", "gzip")];
    assert_eq!(of(200, &packed), failed(Reason::ContentType));
}

#[test]
fn every_status_has_its_class() {
    for (status, reason) in [
        (204, Reason::StoppedByServer),
        (401, Reason::Unauthorized),
        (403, Reason::Forbidden),
        (404, Reason::Http(404)),
        (410, Reason::Gone),
        (301, Reason::Redirect),
        (304, Reason::Http(304)),
        (206, Reason::Http(206)),
        (418, Reason::Http(418)),
        (503, Reason::Http(503)),
    ] {
        assert_eq!(of(status, &[]), failed(reason), "{status}");
    }
}

#[test]
fn a_location_is_read_from_where_it_was_given() {
    for (location, whole) in [
        ("/z", "http://a.example/z"),
        ("z?q", "http://a.example/x/z?q"),
        ("//b.example/", "http://b.example/"),
        ("https://b.example:1/", "https://b.example:1/"),
    ] {
        let expected = Answer::Elsewhere(Url::parse(whole).expect("a URL"));
        assert_eq!(of(307, &[("location", location)]), expected, "{location}");
    }
    assert_eq!(of(302, &[("location", "http://[")]), failed(Reason::Redirect));
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let after = |text| match of(503, &[("retry-after", text)]) {
        Answer::Failed(failure) => failure.retry_after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after("7"), Some(Duration::from_secs(7)));
    assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(10)));
    assert_eq!(after("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
    assert_eq!(after("soon"), None);
}
