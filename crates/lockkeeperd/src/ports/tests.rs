use service::settings::SettingValue;

use super::*;

#[test]
fn a_range_has_both_its_ends() {
    let range = PortRange::read("7400-7402").unwrap();
    assert_eq!(range.ports().collect::<Vec<_>>(), [7400, 7401, 7402]);
    assert_eq!((range.count(), range.show().as_str()), (3, "7400-7402"));
    let one = PortRange::read("65535").unwrap();
    assert_eq!(one.ports().collect::<Vec<_>>(), [65535]);
    assert_eq!((one.count(), one.show().as_str()), (1, "65535"));
    assert_eq!(PortRange::read(" 7400 - 7402 "), Ok(range));
}

#[test]
fn what_is_no_range_is_refused_with_how_to_write_one() {
    for text in ["", "-", "a", "7400-", "-7400", "0-10", "7400-65536", "7400-7401-7402"] {
        let refused = PortRange::read(text).unwrap_err();
        assert!(refused.contains("7400-7499"), "{text:?}: {refused}");
    }
    assert!(PortRange::read("7402-7400").unwrap_err().contains("ends before it begins"));
}

#[test]
fn a_port_is_shown_at_the_address_that_reaches_it() {
    let of = |ip: &str, host| authority(ip.parse().unwrap(), 7401, host);
    assert_eq!(of("127.0.0.1", Some("localhost:7300")), "127.0.0.1:7401");
    assert_eq!(of("::1", None), "[::1]:7401");
    assert_eq!(of("10.0.0.7", Some("box.example:80")), "10.0.0.7:7401");
    assert_eq!(of("0.0.0.0", Some("box.example")), "box.example:7401");
    assert_eq!(of("0.0.0.0", Some("10.0.0.7:7300")), "10.0.0.7:7401");
    assert_eq!(of("::", Some("[fd00::7]:7300")), "[fd00::7]:7401");
    assert_eq!(of("0.0.0.0", Some("a/b")), "127.0.0.1:7401");
    assert_eq!(of("::", None), "[::1]:7401");
}
