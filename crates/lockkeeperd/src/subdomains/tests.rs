use http::Request;

use super::*;

fn token(host: &str, authorization: Option<&str>) -> Option<String> {
    let parent = Parent::read("Boxes.Example").unwrap();
    let mut request = Request::builder().uri("/json/version").header("host", host);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let named = parent.with_key_as_token(&parts)?;
    Some(named.headers[AUTHORIZATION].to_str().unwrap().to_owned())
}

#[test]
fn the_key_of_a_host_is_its_token() {
    assert_eq!(token("a-1--secret7.boxes.example:80", None).as_deref(), Some("Bearer secret7"));
    assert_eq!(token("A-1--secret7.BOXES.example", None).as_deref(), Some("Bearer secret7"));
}

#[test]
fn a_host_without_a_key_or_of_another_name_has_none() {
    for host in ["a-1.boxes.example", "a--k.example", "a--k.xboxes.example", "127.0.0.1", "a b"] {
        assert_eq!(token(host, None), None, "{host}");
    }
}

#[test]
fn a_header_goes_before_the_key() {
    assert_eq!(token("a--right.boxes.example", Some("Bearer wrong")), None);
}

#[test]
fn a_parent_is_a_name_and_all_below_it_are_hosts_of_ours() {
    let parent = Parent::read(" Localhost ").unwrap();
    assert_eq!((parent.name(), parent.show().as_str()), ("localhost", "localhost"));
    assert_eq!(parent.pattern(), HostPattern::parse(".localhost").unwrap());
    for text in ["", "127.0.0.1", "[::1]", "a b", "localhost:80", ".localhost", "http://a"] {
        assert!(Parent::read(text).is_err(), "{text:?}");
    }
}
