use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).expect(text)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

#[test]
fn loopback_alone_is_allowed_by_default() {
    let guard = Guard::default();
    for open in ["http://127.0.0.1:1/", "https://127.9.9.9", "http://[::1]:8080", "http://0x7f.1/"]
    {
        assert_eq!(guard.check_url(&url(open)), Ok(()), "{open}");
    }
    for blocked in ["http://10.0.0.1", "http://[fd00::1]", "http://192.0.2.1:80", "http://1.1"] {
        let verdict = guard.check_url(&url(blocked)).map_err(|why| why.kind());
        assert_eq!(verdict, Err("not_allowed"), "{blocked}");
    }
    assert_eq!(guard.check_address("localhost", ip("127.0.0.1"), 80), Ok(()));
    // A name that has another address now than it had when it was set.
    let rebound = guard.check_address("localhost", ip("10.0.0.1"), 80).map_err(|why| why.kind());
    assert_eq!(rebound, Err("not_allowed"));
}

#[test]
fn only_http_without_user_info_is_spoken() {
    let guard = Guard::default();
    for (text, kind) in [
        ("ftp://127.0.0.1", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://127.0.0.1:70/x", "scheme"),
        ("http://user@127.0.0.1", "user_info"),
        ("http://:pw@127.0.0.1", "user_info"),
    ] {
        assert_eq!(guard.check_url(&url(text)).map_err(|why| why.kind()), Err(kind), "{text}");
    }
}

#[test]
fn metadata_and_link_local_addresses_must_be_listed_themselves() {
    let wide = Guard::new(["0.0.0.0/0", "::/0", "*.example", "169.254.0.0/16"]).expect("entries");
    for special in [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let verdict = wide.check_address("a.example", ip(special), 80).map_err(|why| why.kind());
        assert_eq!(verdict, Err("special"), "{special}");
    }
    let listed = Guard::new(["169.254.169.254:80"]).expect("an entry");
    assert_eq!(listed.check_address("", ip("169.254.169.254"), 80), Ok(()));
    assert_eq!(listed.check_address("", ip("::ffff:169.254.169.254"), 80), Ok(()));
    assert!(listed.check_address("", ip("169.254.169.254"), 81).is_err());
}

#[test]
fn entries_are_names_networks_and_ports() {
    let guard = Guard::new(["10.0.0.0/8:8000-8999", "[fd00::/8]:1", "runner.internal", "*.svc:80"])
        .expect("entries");
    let may = |name: &str, to: &str, port| guard.check_address(name, ip(to), port).is_ok();
    assert!(may("", "10.1.2.3", 8000) && may("", "10.1.2.3", 8999));
    assert!(!may("", "10.1.2.3", 7999) && !may("", "10.1.2.3", 9000));
    assert!(may("", "fd00::1", 1) && !may("", "fd00::1", 2));
    assert!(may("runner.internal", "192.0.2.1", 1) && may("runner.internal.", "192.0.2.1", 1));
    assert!(!may("xrunner.internal", "192.0.2.1", 1) && !may("a.runner.internal", "192.0.2.1", 1));
    assert!(may("a.svc", "192.0.2.1", 80) && may("a.b.svc", "192.0.2.1", 80));
    assert!(!may("svc", "192.0.2.1", 80) && !may(".svc", "192.0.2.1", 80));
    assert!(!may("asvc", "192.0.2.1", 80) && !may("a.svc", "192.0.2.1", 81));
    assert!(guard.check_url(&url("http://RUNNER.internal:9/")).is_ok());
}

#[test]
fn an_entry_that_means_nothing_is_refused() {
    for entry in [
        "",
        ":80",
        "a b",
        "10.0.0.0/33",
        "10.0.0",
        "*",
        "*.",
        "a:99999",
        "a:2-1",
        "http://a",
        "a/8",
    ] {
        let error = Guard::new([entry]).expect_err(entry);
        assert!(error.to_string().contains(&format!("{entry:?}")), "{error}");
    }
}
