use super::*;
use crate::settings::mistake::nearest;
use crate::settings::units::{parse_duration, parse_size, show_duration, show_size};

#[test]
fn durations_have_units() {
    let good = [
        ("250ms", 250),
        ("10s", 10_000),
        ("10 s", 10_000),
        (" 15m ", 900_000),
        ("15 min", 900_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("2w", 1_209_600_000),
        ("1h30m", 5_400_000),
        ("1 h 30 min", 5_400_000),
        ("0", 0),
        ("0s", 0),
    ];
    for (text, ms) in good {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for bad in ["", "10", "s", "10x", "10 S", "1.5s", "-1s", "1s2", "10 s x", "99999999999999w"] {
        assert!(parse_duration(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn sizes_have_units_of_1024() {
    let good = [
        ("4096 B", 4096),
        ("32 KiB", 32_768),
        ("512MiB", 512 << 20),
        ("1 gib", 1 << 30),
        ("2TiB", 2 << 40),
        ("0", 0),
    ];
    for (text, bytes) in good {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for bad in ["", "1024", "1 GB", "1G", "GiB", "1.5 GiB", "99999999 TiB"] {
        assert!(parse_size(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    for ms in [0, 1, 250, 1000, 1500, 60_000, 90_000, 900_000, 3_600_000, 86_400_000, 604_800_000] {
        let duration = Duration::from_millis(ms);
        assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
    }
    assert_eq!(show_duration(Duration::from_secs(900)), "15 min");
    for bytes in [0, 1, 1000, 1024, 1 << 20, 1 << 30, (1 << 30) + 1, 3 << 40] {
        assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
    }
    assert_eq!(show_size(1 << 30), "1 GiB");
}

#[test]
fn a_range_holds_at_its_ends_and_zero_may_mean_something_of_its_own() {
    let grace = |text: &str| Given::default().env("LOCKKEEPER_GRACE", text).load(&[]).is_ok();
    assert!(grace("1s") && grace("1h") && grace("60min"));
    assert!(!grace("999ms") && !grace("3601s"));
    assert!(grace("0"), "does not wait");
    let workers = |text: &str| Given::default().env("LOCKKEEPER_WORKERS", text).load(&[]).is_ok();
    assert!(workers("1") && workers("64"));
    assert!(!workers("0") && !workers("65") && !workers("-1") && !workers(""));
}

#[test]
fn a_public_url_is_an_origin_with_a_path() {
    let url = PublicUrl::read("https://Example.org:443/base/").expect("good");
    assert_eq!(url.show(), "https://example.org/base");
    assert_eq!(PublicUrl::read("http://10.0.0.1:80").expect("good").path, "");
    for bad in
        ["example.org", "ftp://a.b", "https://", "https://a/?x", "https://u@a/", "http://a b"]
    {
        assert!(PublicUrl::read(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_nearest_name_is_found_and_a_far_one_is_not_offered() {
    let known = ["api_listen", "allowed_hosts", "log", "log_format"];
    let near = |wrong| nearest(wrong, known);
    assert_eq!(near("api_lisen"), Some("api_listen"));
    assert_eq!(near("api_litsen"), Some("api_listen"), "swapped letters are one step");
    assert_eq!(near("allowed_host"), Some("allowed_hosts"));
    assert_eq!(near("lgo"), Some("log"));
    assert_eq!(near("logformat"), Some("log_format"));
    assert_eq!(near("port_7300_tcp"), None);
    assert_eq!(near("x"), None);
}
