use std::net::SocketAddr;

use super::{UrlError, UrlPolicy, WsUrl, host_for_log, host_header};

const GOOD: &str = "ws://127.0.0.1:9222/devtools/browser/0a1b-2C";

fn parse(text: &str) -> Result<WsUrl, UrlError> {
    WsUrl::parse(text, &UrlPolicy::default())
}

#[test]
fn the_parts_of_an_accepted_address_are_readable() {
    let url = parse(GOOD).unwrap();
    assert_eq!(url.host(), "127.0.0.1");
    assert_eq!(url.port(), 9222);
    assert_eq!(url.authority(), "127.0.0.1:9222");
    assert_eq!(url.path(), "/devtools/browser/0a1b-2C");
    assert_eq!(url.guid(), "0a1b-2C");
    assert_eq!(url.to_string(), GOOD);
}

#[test]
fn an_ipv6_host_keeps_its_brackets_in_the_authority_only() {
    let url = parse("ws://[0:0:0:0:0:0:0:1]:9222/devtools/browser/a").unwrap();
    assert_eq!(url.host(), "::1");
    assert_eq!(url.authority(), "[::1]:9222");
    assert_eq!(url.path(), "/devtools/browser/a");
}

#[test]
fn spellings_of_one_address_are_one_value() {
    let plain = parse("ws://localhost:80/devtools/browser/a").unwrap();
    for other in [
        "WS://LOCALHOST:80/devtools/browser/a",
        "ws://localhost/devtools/browser/a",
        "ws://localhost:0080/devtools/browser/a",
        "ws://localhost:80/devtools/browser/a#fragment",
    ] {
        assert_eq!(parse(other).unwrap(), plain, "{other}");
    }
    // The id is compared as it is: case makes another instance.
    assert_ne!(parse("ws://localhost:80/devtools/browser/A").unwrap(), plain);
}

#[test]
fn every_rule_refuses_with_its_own_cause() {
    let long = format!("ws://127.0.0.1:1/devtools/browser/{}", "a".repeat(65));
    for (text, cause) in [
        ("", UrlError::Malformed),
        ("127.0.0.1:9222", UrlError::Malformed),
        ("ws://127.0.0.1:1/devtools/browser/a b", UrlError::Malformed),
        ("ws://127.0.0.1:1/devtools/browser/\u{e9}", UrlError::Malformed),
        ("ws://127.0.0.1\\@evil:1/devtools/browser/a", UrlError::Malformed),
        ("ws://:1/devtools/browser/a", UrlError::Malformed),
        ("ws://::1:9222/devtools/browser/a", UrlError::Malformed),
        ("ws://[::1/devtools/browser/a", UrlError::Malformed),
        ("ws://[::1]x:1/devtools/browser/a", UrlError::Malformed),
        ("ws://[127.0.0.1]:1/devtools/browser/a", UrlError::Malformed),
        ("wss://127.0.0.1:1/devtools/browser/a", UrlError::Scheme),
        ("http://127.0.0.1:1/devtools/browser/a", UrlError::Scheme),
        ("ws://127.0.0.1:1@evil.example:1/devtools/browser/a", UrlError::UserPart),
        ("ws://user@127.0.0.1:1/devtools/browser/a", UrlError::UserPart),
        ("ws://evil.example:1/devtools/browser/a", UrlError::Host),
        ("ws://localhost.evil.example:1/devtools/browser/a", UrlError::Host),
        ("ws://127.1:1/devtools/browser/a", UrlError::Host),
        ("ws://0.0.0.0:1/devtools/browser/a", UrlError::Host),
        ("ws://2130706433:1/devtools/browser/a", UrlError::Host),
        ("ws://127.0.0.1:0/devtools/browser/a", UrlError::Port),
        ("ws://127.0.0.1:+1/devtools/browser/a", UrlError::Port),
        ("ws://127.0.0.1:65536/devtools/browser/a", UrlError::Port),
        ("ws://127.0.0.1:/devtools/browser/a", UrlError::Port),
        ("ws://127.0.0.1:1", UrlError::Path),
        ("ws://127.0.0.1:1/", UrlError::Path),
        ("ws://127.0.0.1:1/devtools/page/a", UrlError::Path),
        ("ws://127.0.0.1:1/devtools/browser/", UrlError::Path),
        ("ws://127.0.0.1:1/devtools/browser/a/", UrlError::Path),
        ("ws://127.0.0.1:1/devtools/browser/a?b=c", UrlError::Path),
        ("ws://127.0.0.1:1/devtools/browser/../a", UrlError::Path),
        ("ws://127.0.0.1:1/devtools/browser/%61", UrlError::Path),
        (long.as_str(), UrlError::Path),
    ] {
        assert_eq!(parse(text), Err(cause), "{text}");
    }
    let huge = format!("{GOOD}#{}", "x".repeat(600));
    assert_eq!(parse(&huge), Err(UrlError::Malformed));
    assert!(parse(&format!("ws://127.0.0.1:1/devtools/browser/{}", "a".repeat(64))).is_ok());
}

#[test]
fn all_of_loopback_is_accepted_without_a_setting() {
    for host in ["127.0.0.1", "127.8.9.10", "[::1]", "localhost", "LocalHost", "[::ffff:127.0.0.1]"]
    {
        let text = format!("ws://{host}:1/devtools/browser/a");
        assert!(parse(&text).is_ok(), "{text}");
    }
}

#[test]
fn another_host_needs_to_be_named() {
    let policy = UrlPolicy {
        allowed_hosts: vec!["Browser_1".into(), "fd00:0::1".into()],
        expected_port: None,
    };
    assert!(WsUrl::parse("ws://browser_1:1/devtools/browser/a", &policy).is_ok());
    assert!(WsUrl::parse("ws://[fd00::1]:1/devtools/browser/a", &policy).is_ok());
    let refused = WsUrl::parse("ws://browser_2:1/devtools/browser/a", &policy);
    assert_eq!(refused, Err(UrlError::Host));
}

#[test]
fn another_port_than_the_expected_one_is_refused() {
    let policy = UrlPolicy::loopback_port(9222);
    assert!(WsUrl::parse(GOOD, &policy).is_ok());
    let refused = WsUrl::parse("ws://127.0.0.1:9223/devtools/browser/a", &policy);
    assert_eq!(refused, Err(UrlError::Port));
}

#[test]
fn another_instance_at_the_same_place_differs_in_its_id_only() {
    let url = parse("ws://[::1]:9222/devtools/browser/a").unwrap();
    let other = url.with_guid("b").unwrap();
    assert_eq!(other.as_str(), "ws://[::1]:9222/devtools/browser/b");
    assert_eq!(url.with_guid("b/c"), Err(UrlError::Path));
    assert_eq!(WsUrl::from_parts("::1", 9222, "a").unwrap(), url);
    assert_eq!(WsUrl::from_parts("::1", 0, "a"), Err(UrlError::Port));
    assert_eq!(WsUrl::from_parts("a b", 1, "a"), Err(UrlError::Malformed));
}

#[test]
fn only_a_harmless_host_reaches_the_log() {
    assert_eq!(host_for_log("ws://user:secret@evil.example:1/devtools/x"), "evil.example");
    assert_eq!(host_for_log("ws://[fd00::1]:1/devtools/x"), "fd00::1");
    assert_eq!(host_for_log("ws://a\u{1b}[31m\nb/secret"), "a??31m?b");
    assert_eq!(host_for_log("no url, secret"), "");
    assert_eq!(host_for_log(&format!("ws://{}/", "h".repeat(500))).len(), 64);
}

#[test]
fn a_browser_behind_a_name_is_asked_by_address() {
    let peer: SocketAddr = "10.0.0.7:9222".parse().unwrap();
    assert_eq!(host_header("browser", 9222, peer), "10.0.0.7:9222");
    assert_eq!(host_header("10.0.0.7", 9222, peer), "10.0.0.7:9222");
    let loopback: SocketAddr = "[::1]:9222".parse().unwrap();
    assert_eq!(host_header("LOCALHOST", 9222, loopback), "localhost:9222");
    assert_eq!(host_header("::1", 9222, loopback), "[::1]:9222");

    let url = WsUrl::from_parts("browser", 9222, "a").unwrap();
    assert_eq!(url.host_header(peer), "10.0.0.7:9222");
}
