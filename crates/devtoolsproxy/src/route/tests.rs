use http::HeaderMap;
use proptest::prelude::*;

use super::*;

fn shared() -> Face {
    Face::Shared { subdomains_of: Some("Boxes.example.org".to_owned()) }
}

fn fixed(form: Addressing) -> Face {
    Face::Fixed { sandbox: "one".to_owned(), form }
}

fn sandbox(located: Located<'_>) -> (Addressing, String, String, String) {
    match located {
        Located::Sandbox(a) => (a.form, a.sandbox.to_owned(), a.prefix, a.rest.to_owned()),
        other => panic!("not a sandbox: {other:?}"),
    }
}

#[test]
fn every_form_of_address_ends_in_the_same_value() {
    let face = shared();
    for (host, path, want) in [
        (None, "/sandboxes/ab-1", (Addressing::Path, "ab-1", "/sandboxes/ab-1", "/")),
        (None, "/sandboxes/ab-1/", (Addressing::Path, "ab-1", "/sandboxes/ab-1", "/")),
        (
            Some("127.0.0.1:7300"),
            "/sandboxes/ab-1/json/version/",
            (Addressing::Path, "ab-1", "/sandboxes/ab-1", "/json/version"),
        ),
        (
            None,
            "/devtools/browser/ab-1/",
            (Addressing::BrowserPath, "ab-1", "", "/devtools/browser/ab-1"),
        ),
        (Some("ab-1.boxes.example.org"), "/json", (Addressing::Subdomain, "ab-1", "", "/json")),
        (
            Some("ab-1--abcdefghijklmnopqrstuvwxyz.boxes.EXAMPLE.org:8443"),
            "/",
            (Addressing::Subdomain, "ab-1", "", "/"),
        ),
        (
            Some("ab-1.boxes.example.org"),
            "/connect",
            (Addressing::Subdomain, "ab-1", "", "/connect"),
        ),
    ] {
        let (form, id, prefix, rest) = sandbox(locate(&face, host, path));
        assert_eq!((form, id.as_str(), prefix.as_str(), rest.as_str()), want, "{host:?} {path}");
    }
    for form in [Addressing::Port, Addressing::Sidecar] {
        let face = fixed(form);
        let (got, id, prefix, rest) = sandbox(locate(&face, Some("x.example"), "/sandboxes/two"));
        assert_eq!((got, id.as_str(), prefix.as_str()), (form, "one", ""));
        assert_eq!(rest, "/sandboxes/two");
    }
}

#[test]
fn connect_is_quick_on_the_shared_host_only() {
    assert_eq!(locate(&shared(), None, "/connect"), Located::Quick);
    assert_eq!(locate(&shared(), Some("localhost"), "/connect/"), Located::Quick);
    assert_eq!(sandbox(locate(&fixed(Addressing::Sidecar), None, "/connect")).3, "/connect");
}

#[test]
fn other_paths_of_the_shared_host_are_nothing() {
    for path in [
        "/",
        "",
        "/json/version",
        "/sandboxes",
        "/sandboxes/",
        "/sandboxes//x",
        "/connect/x",
        "/devtools/browser",
        "/devtools/browser/a/b",
        "/devtools/page/x",
        "/sandboxes/Ab",
        "/sandboxes/a--b",
        "/sandboxes/%61",
        "/v1/sandboxes/a",
        "/sandboxes/-a",
    ] {
        assert_eq!(locate(&shared(), Some("localhost:7300"), path), Located::Nothing, "{path}");
    }
}

#[test]
fn hosts_that_only_look_like_a_subdomain_are_not_one() {
    for host in [
        "boxes.example.org",
        ".boxes.example.org",
        "xboxes.example.org",
        "a.b.boxes.example.org",
        "A.boxes.example.org",
        "example.org",
        "a.boxes.example.org.evil",
        "é.org",
        "",
    ] {
        assert_eq!(subdomain_id("boxes.example.org", host), None, "{host}");
    }
    assert_eq!(subdomain_id("boxes.example.org", "a.boxes.example.org:1"), Some("a"));
}

#[test]
fn ids_are_short_dns_labels_without_a_double_dash() {
    for good in ["a", "0", "a-b", &"a".repeat(35)] {
        assert!(is_sandbox_id(good), "{good}");
    }
    for bad in ["", "-a", "a-", "a--b", "A", "a.b", "a_b", "é", &"a".repeat(36)] {
        assert!(!is_sandbox_id(bad), "{bad}");
    }
}

fn get(rest: &str) -> Result<Route, RouteRefused> {
    Route::of(&Method::GET, rest, None, false)
}

fn upgrade(rest: &str) -> Result<Route, RouteRefused> {
    Route::of(&Method::GET, rest, Some("token=x"), true)
}

#[test]
fn json_routes_answer_to_both_spellings_and_ignore_the_query() {
    for (path, route) in [
        ("/json/version", Route::Version),
        ("/json", Route::List),
        ("/json/list", Route::List),
        ("/json/protocol", Route::Protocol),
        ("/json/activate/AB.c_-9", Route::Activate { target: "AB.c_-9".to_owned() }),
        ("/json/close/AB", Route::Close { target: "AB".to_owned() }),
    ] {
        for spelling in [path.to_owned(), format!("{path}/")] {
            assert_eq!(get(&spelling).as_ref(), Ok(&route), "{spelling}");
            let with_query = Route::of(&Method::GET, &spelling, Some("token=a&for_tab"), false);
            assert_eq!(with_query, Ok(route.clone()));
            // An upgrade on a route that is none is answered as the plain request.
            assert_eq!(upgrade(&spelling), Ok(route.clone()));
        }
    }
    assert_eq!(Route::of(&Method::HEAD, "/json/list", None, false), Ok(Route::List));
}

#[test]
fn json_new_takes_its_whole_query_as_the_url_except_a_leading_token() {
    for (query, url) in [
        (None, ""),
        (Some(""), ""),
        (Some("about:blank"), "about:blank"),
        (Some("http://x/?a=1&token=2"), "http://x/?a=1&token=2"),
        (Some("token=s3&http://x/?a=1&b"), "http://x/?a=1&b"),
        (Some("token=s3"), ""),
    ] {
        let route = Route::of(&Method::PUT, "/json/new/", query, false);
        assert_eq!(route, Ok(Route::New { url: url.to_owned() }), "{query:?}");
    }
}

#[test]
fn wrong_methods_name_the_right_ones() {
    for (method, path, allow) in [
        (Method::GET, "/json/new", "PUT"),
        (Method::POST, "/json/version", "GET, HEAD"),
        (Method::DELETE, "/json/close/x", "GET, PUT"),
        (Method::PUT, "/json", "GET, HEAD"),
        (Method::POST, "/", "GET"),
        (Method::DELETE, "/devtools/page/x", "GET"),
    ] {
        let refused = Route::of(&method, path, None, false);
        assert_eq!(refused, Err(RouteRefused::Method { allow }), "{method} {path}");
    }
    let post_upgrade = Route::of(&Method::POST, "/", None, true);
    assert_eq!(post_upgrade, Err(RouteRefused::Method { allow: "GET" }));
}

#[test]
fn every_kind_of_target_has_its_own_socket() {
    for kind in ["page", "worker", "shared_worker", "service_worker", "iframe", "other"] {
        let want = Endpoint::Page { target: "T1.a_-".to_owned() };
        assert_eq!(want.upstream_path("/devtools/browser/g"), "/devtools/page/T1.a_-");
        for slash in ["", "/"] {
            let path = format!("/devtools/{kind}/T1.a_-{slash}");
            assert_eq!(upgrade(&path), Ok(Route::Socket(want.clone())), "{path}");
        }
    }
}

#[test]
fn any_other_path_is_the_browser_itself() {
    for path in ["/", "", "/devtools/browser/old-guid", "/devtools/browser", "/a/b", "/json/nope"] {
        assert_eq!(upgrade(path), Ok(Route::Socket(Endpoint::Browser)), "{path}");
        assert_eq!(get(path), Err(RouteRefused::UpgradeMissing), "{path}");
    }
    assert_eq!(Endpoint::Browser.upstream_path("/devtools/browser/g"), "/devtools/browser/g");
}

#[test]
fn target_ids_that_no_browser_makes_are_refused() {
    let long = "a".repeat(129);
    for bad in ["", "a/b", "..", ".", "a%2fb", "a b", "é", &long] {
        for path in [format!("/devtools/page/{bad}"), format!("/json/close/{bad}x/y")] {
            assert_eq!(upgrade(&path), Err(RouteRefused::Target), "{path}");
        }
    }
    assert!(upgrade(&format!("/devtools/page/{}", "a".repeat(128))).is_ok());
}

#[test]
fn the_token_is_read_from_the_query_as_it_was_written() {
    assert_eq!(query_token("/json/version", Some("a=1&token=x%2B&token=y")), Some("x%2B"));
    assert_eq!(query_token("/json/new/", Some("http://x/?a&token=y")), None);
    assert_eq!(query_token("/json/new", Some("token=y&http://x/")), Some("y"));
    assert_eq!(query_token("/", None), None);
}

#[test]
fn an_upgrade_is_recognised_in_any_spelling() {
    let asks = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::UPGRADE, http::HeaderValue::from_static(value));
        wants_websocket(&headers)
    };
    assert!(asks("websocket") && asks("WebSocket") && asks("h2c, websocket"));
    assert!(!asks("h2c") && !wants_websocket(&HeaderMap::new()));
}

proptest! {
    #[test]
    fn routing_never_panics_and_never_leaves_the_alphabet(path in "/[ -~é]{0,60}", up: bool) {
        let face = shared();
        for face in [&face, &fixed(Addressing::Sidecar)] {
            if let Located::Sandbox(address) = locate(face, Some("a.boxes.example.org"), &path) {
                prop_assert!(is_sandbox_id(address.sandbox));
                prop_assert!(address.rest.starts_with('/') || !path.starts_with('/'));
                if let Ok(Route::Socket(Endpoint::Page { target })) =
                    Route::of(&Method::GET, address.rest, None, up)
                {
                    prop_assert!(target.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
                }
            }
        }
    }
}
