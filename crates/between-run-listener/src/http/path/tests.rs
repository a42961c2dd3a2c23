use super::*;

#[test]
fn a_value_never_leaves_its_segment() {
    let stop = |id| fill("/tasks/{id}/stop", &[("id", id)]);
    assert_eq!(stop("7").as_deref(), Ok("/tasks/7/stop"));
    assert_eq!(stop("a/../../x").as_deref(), Ok("/tasks/a%2F..%2F..%2Fx/stop"));
    assert_eq!(stop("a?b#c d%2e").as_deref(), Ok("/tasks/a%3Fb%23c%20d%252e/stop"));
    assert_eq!(stop("é").as_deref(), Ok("/tasks/%C3%A9/stop"));
    for id in ["", ".", ".."] {
        assert_eq!(stop(id), Err(PathError::Segment), "{id:?}");
    }
}

#[test]
fn a_template_that_is_no_path_is_refused() {
    for path in
        ["", "events", "//x\\y", "/a b", "/a#b", "/{unknown}", "/a/../b", "/a/%2E%2e", "/.", "/a\n"]
    {
        assert!(matches!(fill(path, &[]), Err(PathError::Path { .. })), "{path:?}");
    }
}

#[test]
fn a_path_is_appended_to_the_bases_own() {
    for (base, path, whole) in [
        ("http://r:1", "/events", "http://r:1/events"),
        ("http://r:1/", "/", "http://r:1/"),
        ("http://r:1/base/", "/events?a=b", "http://r:1/base/events?a=b"),
        ("http://r:1/base?x#y", "/s%2Fe", "http://r:1/base/s%2Fe"),
        ("http://r:1", "//other/x", "http://r:1//other/x"),
    ] {
        let base = Url::parse(base).expect("a URL");
        assert_eq!(join(&base, path).expect(path).as_str(), whole);
    }
}
