use super::*;

fn host(access: &Access, host: &str) -> Result<(), AccessDenied> {
    check(access, "/", &[("host", host)])
}

fn public() -> Access {
    Access::new(AccessSettings {
        hosts: [".lan", "exact.example"].into_iter().filter_map(HostPattern::parse).collect(),
        public_host: Some("boxes.example.org".to_owned()),
        ..AccessSettings::default()
    })
}

#[test]
fn localhost_and_addresses_are_answered_to() {
    let access = Access::new(AccessSettings::default());
    for good in [
        "localhost",
        "localhost:7300",
        "LOCALHOST:1",
        "localhost.",
        "127.0.0.1:7300",
        "10.1.2.3",
        "[::1]:7300",
        "[2001:db8::7]",
    ] {
        assert_eq!(host(&access, good), Ok(()), "{good}");
    }
}

#[test]
fn foreign_names_are_refused_however_they_are_dressed_up() {
    let access = public();
    for bad in [
        "evil.example",
        "localhost.evil.example",
        "evil.localhost",
        "127.0.0.1.evil.example",
        "notboxes.example.org",
        "example.org",
        "sub.exact.example",
        "xlan",
    ] {
        assert_eq!(host(&access, bad), Err(AccessDenied::HostRefused), "{bad}");
    }
}

#[test]
fn the_public_host_is_answered_to_with_everything_below_it() {
    let access = public();
    for good in [
        "boxes.example.org",
        "my-box.boxes.example.org:443",
        "a.b.boxes.example.org",
        "lan",
        "node7.lan",
        "exact.example",
        "EXACT.example.:80",
    ] {
        assert_eq!(host(&access, good), Ok(()), "{good}");
    }
}

#[test]
fn what_is_no_host_is_malformed() {
    let access = public();
    for bad in [
        "",
        ":7300",
        "localhost:",
        "localhost:65536",
        "localhost:+80",
        "localhost:abc",
        "user@localhost",
        "localhost/path",
        "local host",
        "127.1",
        "2130706433",
        "0x7f000001.1",
        "[::1",
        "::1",
        "a..b",
        "a,b",
    ] {
        assert_eq!(host(&access, bad), Err(AccessDenied::HostMalformed), "{bad:?}");
    }
    let long = "a.".repeat(130);
    assert_eq!(host(&access, &long), Err(AccessDenied::HostMalformed));
}

#[test]
fn exactly_one_host_is_needed() {
    let access = Access::new(AccessSettings::default());
    assert_eq!(check(&access, "/", &[]), Err(AccessDenied::HostMissing));
    let twice = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(check(&access, "/", &twice), Err(AccessDenied::HostRepeated));
}

#[test]
fn a_target_that_names_a_host_must_agree_with_the_header() {
    let access = Access::new(AccessSettings::default());
    let header = [("host", "localhost:7300")];
    assert_eq!(check(&access, "http://localhost:7300/x", &header), Ok(()));
    assert_eq!(check(&access, "http://localhost:7300/x", &[]), Ok(()), "as HTTP/2 has it");
    assert_eq!(check(&access, "http://evil.example/x", &header), Err(AccessDenied::HostRepeated));
    assert_eq!(check(&access, "http://evil.example/x", &[]), Err(AccessDenied::HostRefused));
}

#[test]
fn refusals_have_a_status_a_code_word_and_a_label() {
    use AccessDenied as No;
    let all = [
        (No::HostMissing, 400, "BAD_REQUEST", "host_missing"),
        (No::HostRepeated, 400, "BAD_REQUEST", "host_repeated"),
        (No::HostMalformed, 400, "BAD_REQUEST", "host_malformed"),
        (No::HostRefused, 403, "HOST_REFUSED", "host_refused"),
        (No::OriginRefused, 403, "ORIGIN_REFUSED", "origin_refused"),
        (No::TokenRequired, 401, "TOKEN_REQUIRED", "token_required"),
        (No::TokenInvalid, 401, "TOKEN_INVALID", "token_invalid"),
        (No::TokensDiffer, 401, "TOKEN_INVALID", "tokens_differ"),
    ];
    for (denied, status, code, kind) in all {
        assert_eq!((denied.status().as_u16(), denied.code(), denied.kind()), (status, code, kind));
        assert!(
            denied.to_string().contains(';') || denied.to_string().contains("Host"),
            "{denied}"
        );
    }
}

#[test]
fn networks_hold_what_their_prefix_says() {
    let network = |text| Network::parse(text).expect("a network");
    let address = |text: &str| text.parse::<std::net::IpAddr>().expect("an address");
    assert!(network("10.0.0.0/8").contains(address("10.255.0.1")));
    assert!(!network("10.0.0.0/8").contains(address("11.0.0.1")));
    assert!(network("10.0.0.0/8").contains(address("::ffff:10.0.0.1")), "mapped");
    assert!(network("192.0.2.7").contains(address("192.0.2.7")));
    assert!(!network("192.0.2.7").contains(address("192.0.2.8")));
    assert!(network("0.0.0.0/0").contains(address("203.0.113.9")));
    assert!(!network("0.0.0.0/0").contains(address("::1")));
    assert!(network("fd00::/8").contains(address("fd12::1")));
    assert!(!network("fd00::/8").contains(address("fe80::1")));
    assert_eq!(network("10.9.8.7/8").to_string(), "10.0.0.0/8");
    assert_eq!(network("fd12::1/8").to_string(), "fd00::/8");
    for bad in ["", "10.0.0.0/33", "::/129", "ten", "10.0.0.0/", "10.0.0.0/x"] {
        assert_eq!(Network::parse(bad), None, "{bad:?}");
    }
}
