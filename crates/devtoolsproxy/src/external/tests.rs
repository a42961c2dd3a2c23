use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use telemetry::words::Addressing;

use super::*;

const ADDRESS: Address<'static> =
    Address { form: Addressing::Path, sandbox: "ab", prefix: String::new(), rest: "/" };

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn seen<'a>(trusted: &'a [Network], peer: &str) -> Seen<'a> {
    Seen {
        public_url: None,
        trusted_proxies: trusted,
        peer: Some(peer.parse().unwrap()),
        tls: false,
        host: "127.0.0.1:7300",
    }
}

fn short(external: &External) -> String {
    format!("{}{}{}", if external.tls { "tls " } else { "" }, external.authority, external.prefix)
}

#[test]
fn without_more_the_host_header_is_the_address() {
    let address = Address { prefix: "/sandboxes/ab".to_owned(), ..ADDRESS };
    let external = External::of(seen(&[], "127.0.0.1"), &HeaderMap::new(), &address, Some("t%2B"));
    assert_eq!(short(&external), "127.0.0.1:7300/sandboxes/ab");
    assert_eq!((external.sandbox.as_str(), external.token.as_deref()), ("ab", Some("t%2B")));
    let tls = Seen { tls: true, ..seen(&[], "127.0.0.1") };
    assert!(External::of(tls, &HeaderMap::new(), &address, None).tls);
}

#[test]
fn forwarded_headers_count_only_from_a_trusted_proxy() {
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let all = headers(&[
        ("x-forwarded-proto", "https, http"),
        ("x-forwarded-host", "boxes.example.org"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-prefix", "/lk/"),
    ]);
    let of = |peer| short(&External::of(seen(&trusted, peer), &all, &ADDRESS, None));
    assert_eq!(of("10.1.2.3"), "tls boxes.example.org:8443/lk");
    assert_eq!(of("::ffff:10.1.2.3"), "tls boxes.example.org:8443/lk");
    assert_eq!(of("11.1.2.3"), "127.0.0.1:7300");
}

#[test]
fn forwarded_wins_over_the_x_family() {
    let trusted = ["::1".parse().unwrap()];
    let all = headers(&[
        ("forwarded", "for=1.2.3.4;Host=\"a.example:444\";proto=HTTPS, host=b.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "c.example"),
        ("x-forwarded-port", "80"),
    ]);
    let external = External::of(seen(&trusted, "::1"), &all, &ADDRESS, None);
    assert_eq!(short(&external), "tls a.example:444");
}

#[test]
fn a_forwarded_default_port_is_not_written() {
    let trusted = ["127.0.0.1".parse().unwrap()];
    for (proto, port, want) in
        [("https", "443", "tls h"), ("http", "80", "h"), ("http", "443", "h:443")]
    {
        let all = headers(&[
            ("x-forwarded-proto", proto),
            ("x-forwarded-host", "h"),
            ("x-forwarded-port", port),
        ]);
        assert_eq!(short(&External::of(seen(&trusted, "127.0.0.1"), &all, &ADDRESS, None)), want);
    }
}

#[test]
fn forwarded_values_that_could_break_out_of_a_url_are_ignored() {
    let trusted = ["127.0.0.1".parse().unwrap()];
    let all = headers(&[
        ("x-forwarded-host", "a/b\"c"),
        ("x-forwarded-prefix", "//evil"),
        ("forwarded", "host=x?y;proto=gopher"),
    ]);
    let external = External::of(seen(&trusted, "127.0.0.1"), &all, &ADDRESS, None);
    assert_eq!(short(&external), "127.0.0.1:7300");
}

#[test]
fn the_public_url_wins_over_everything() {
    let url: PublicUrl = "https://boxes.example.org/lk/".parse().unwrap();
    let trusted = ["127.0.0.1".parse().unwrap()];
    let seen = Seen { public_url: Some(&url), ..seen(&trusted, "127.0.0.1") };
    let all = headers(&[("x-forwarded-host", "other"), ("x-forwarded-prefix", "/x")]);
    assert_eq!(short(&External::of(seen, &all, &ADDRESS, None)), "tls boxes.example.org/lk");
}

#[test]
fn public_urls_are_read_whole_or_refused() {
    for bad in ["", "boxes", "ftp://x", "http://", "http://a?b", "http://a/b#c", "http://u@h"] {
        assert_eq!(bad.parse::<PublicUrl>(), Err(BadPublicUrl), "{bad}");
    }
    let url: PublicUrl = "ws://[::1]:80".parse().unwrap();
    let want = PublicUrl { tls: false, authority: "[::1]:80".to_owned(), prefix: String::new() };
    assert_eq!(url, want);
}

#[test]
fn networks_hold_what_their_prefix_says() {
    let inside = |net: &str, peer: &str| {
        net.parse::<Network>().unwrap().contains(peer.parse::<IpAddr>().unwrap())
    };
    assert!(inside("10.0.0.0/8", "10.255.0.1") && !inside("10.0.0.0/8", "11.0.0.1"));
    assert!(inside("0.0.0.0/0", "1.2.3.4") && !inside("0.0.0.0/0", "::2"));
    assert!(inside("fd00::/8", "fd12::1") && !inside("fd00::/8", "fe00::1"));
    assert!(inside("192.0.2.7", "192.0.2.7") && !inside("192.0.2.7", "192.0.2.8"));
    assert!(inside("::/0", "fe00::1"));
    for bad in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/"] {
        assert_eq!(bad.parse::<Network>(), Err(BadNetwork), "{bad}");
    }
}
