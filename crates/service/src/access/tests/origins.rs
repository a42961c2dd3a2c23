use std::net::SocketAddr;

use super::*;

fn from(access: &Access, host: &str, origin: &str) -> Result<(), AccessDenied> {
    check(access, "/", &[("host", host), ("origin", origin)])
}

#[test]
fn no_origin_and_the_requests_own_origin_are_let_in() {
    let access = Access::new(AccessSettings::default());
    assert_eq!(check(&access, "/", &[("host", "localhost:7300")]), Ok(()));
    assert_eq!(from(&access, "localhost:7300", "http://localhost:7300"), Ok(()));
    assert_eq!(from(&access, "LocalHost:7300", "http://localhost:7300"), Ok(()));
    assert_eq!(from(&access, "localhost", "http://localhost:80"), Ok(()), "the scheme's own port");
    assert_eq!(from(&access, "[::1]:7300", "http://[0::1]:7300"), Ok(()), "one address");
}

#[test]
fn every_other_origin_is_refused() {
    let access = Access::new(AccessSettings::default());
    for bad in [
        "null",
        "",
        "http://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "https://localhost:7300",
        "http://127.0.0.1:7300",
        "http://localhost:7300/",
        "http://user@localhost:7300",
        "devtools://devtools",
        "file://",
        "localhost:7300",
    ] {
        let outcome = from(&access, "localhost:7300", bad);
        assert_eq!(outcome, Err(AccessDenied::OriginRefused), "{bad:?}");
    }
}

#[test]
fn two_origins_are_nobodys() {
    let access = Access::new(AccessSettings::default());
    let own = ("origin", "http://localhost:7300");
    let headers = [("host", "localhost:7300"), own, own];
    assert_eq!(check(&access, "/", &headers), Err(AccessDenied::OriginRefused));
}

#[test]
fn listed_origins_are_let_in() {
    let settings = AccessSettings {
        origins: vec![origin("https://app.example.org:443")],
        ..AccessSettings::default()
    };
    let access = Access::new(settings);
    assert_eq!(from(&access, "localhost:7300", "https://app.example.org"), Ok(()));
    let other_scheme = from(&access, "localhost:7300", "http://app.example.org");
    assert_eq!(other_scheme, Err(AccessDenied::OriginRefused));
}

#[test]
fn more_origins_hold_only_for_the_routes_they_were_added_for() {
    let api = Access::new(AccessSettings::default());
    let edge = api.with_origins([origin("devtools://devtools")]);
    assert_eq!(from(&edge, "localhost:7300", "devtools://devtools"), Ok(()));
    let on_api = from(&api, "localhost:7300", "devtools://devtools");
    assert_eq!(on_api, Err(AccessDenied::OriginRefused));
}

#[test]
fn the_scheme_is_the_servers_or_a_trusted_proxys() {
    let settings = AccessSettings {
        public_host: Some("boxes.example.org".to_owned()),
        trusted_proxies: Network::parse("10.0.0.0/8").into_iter().collect(),
        ..AccessSettings::default()
    };
    let access = Access::new(settings);
    let peer = |text: &str| text.parse::<SocketAddr>().ok();
    let outcome = |peer, proto: &[&str]| {
        let mut headers =
            vec![("host", "boxes.example.org"), ("origin", "https://boxes.example.org")];
        headers.extend(proto.iter().map(|proto| ("x-forwarded-proto", *proto)));
        access.check_without_token(&request("/", &headers), peer)
    };
    let refused = Err(AccessDenied::OriginRefused);
    assert_eq!(outcome(peer("10.0.0.9:5000"), &["https"]), Ok(()));
    assert_eq!(outcome(peer("10.0.0.9:5000"), &["http, https"]), Ok(()), "the proxy's own is last");
    assert_eq!(
        outcome(peer("10.0.0.9:5000"), &["https, http"]),
        refused,
        "the first is the client's"
    );
    assert_eq!(outcome(peer("10.0.0.9:5000"), &["https", "http"]), refused);
    assert_eq!(outcome(peer("10.0.0.9:5000"), &[]), refused);
    assert_eq!(outcome(peer("192.0.2.1:5000"), &["https"]), refused, "not a proxy of ours");
    assert_eq!(outcome(None, &["https"]), refused);

    let headers = [("host", "boxes.example.org"), ("origin", "https://boxes.example.org")];
    let mut over_tls = request("/", &headers);
    over_tls.extensions.insert(Scheme::Https);
    assert_eq!(access.check_without_token(&over_tls, None), Ok(()));
}

#[test]
fn a_refused_host_is_said_before_a_refused_origin_and_both_before_the_token() {
    let settings = AccessSettings { token: Some("t".to_owned()), ..AccessSettings::default() };
    let access = Access::new(settings);
    let evil = from(&access, "evil.example", "http://evil.example");
    assert_eq!(evil, Err(AccessDenied::HostRefused));
    let page = from(&access, "localhost", "http://evil.example");
    assert_eq!(page, Err(AccessDenied::OriginRefused));
    assert_eq!(from(&access, "localhost", "http://localhost"), Err(AccessDenied::TokenRequired));
}
