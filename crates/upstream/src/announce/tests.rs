use super::{AnnounceScanner, PrefixForm, RefusedUrl, Scan};
use crate::url::{UrlError, UrlPolicy};

const LINE: &str = "DevTools listening on ws://127.0.0.1:9222/devtools/browser/a-1";

fn scanner(form: PrefixForm) -> AnnounceScanner {
    AnnounceScanner::new(UrlPolicy::default(), form)
}

fn announced(form: PrefixForm, line: &str) -> bool {
    match scanner(form).scan(line.as_bytes()) {
        Scan::Announced(url) => url.guid() == "a-1",
        Scan::Nothing | Scan::Refused(_) => false,
    }
}

#[test]
fn the_line_chromium_prints_is_found() {
    assert!(announced(PrefixForm::None, LINE));
    assert!(announced(PrefixForm::None, &format!("{LINE} \r")));
}

#[test]
fn an_announcement_inside_a_line_is_none() {
    let mut scanner = scanner(PrefixForm::None);
    for line in [
        format!(" {LINE}"),
        format!("[1:2:INFO:CONSOLE(1)] \"{LINE}\""),
        LINE.to_lowercase(),
        "DevTools listening".to_owned(),
        String::new(),
    ] {
        assert_eq!(scanner.scan(line.as_bytes()), Scan::Nothing, "{line}");
    }
}

#[test]
fn an_address_with_anything_after_it_is_refused() {
    let line = format!("{LINE} and more");
    let refused = RefusedUrl { why: UrlError::Malformed, host: "127.0.0.1".into() };
    assert_eq!(scanner(PrefixForm::None).scan(line.as_bytes()), Scan::Refused(refused));
}

#[test]
fn a_line_that_a_page_printed_is_refused_by_its_host_or_port() {
    let mut scanner = AnnounceScanner::new(UrlPolicy::loopback_port(9222), PrefixForm::None);
    for (url, why) in [
        ("ws://evil.example:9222/devtools/browser/a", UrlError::Host),
        ("ws://127.0.0.1:9223/devtools/browser/a", UrlError::Port),
        ("ws://127.0.0.1:9222/devtools/page/a", UrlError::Path),
        ("\u{1b}[2J", UrlError::Malformed),
    ] {
        let line = format!("DevTools listening on {url}");
        match scanner.scan(line.as_bytes()) {
            Scan::Refused(refused) => assert_eq!(refused.why, why, "{url}"),
            other => panic!("{url} gave {other:?}"),
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_without_a_panic() {
    let mut line = b"DevTools listening on ws://\xff\xfe".to_vec();
    line.extend_from_slice(&[0, 0x80]);
    assert!(matches!(scanner(PrefixForm::None).scan(&line), Scan::Refused(_)));
}

#[test]
fn a_literal_prefix_must_be_there() {
    let form = || PrefixForm::Literal("[chromium] ".into());
    assert!(announced(form(), &format!("[chromium] {LINE}")));
    assert!(!announced(form(), LINE));
}

#[test]
fn words_before_the_line_are_skipped() {
    let syslog = format!("Jan  2 03:04:05 host chromium[7]: {LINE}");
    assert!(announced(PrefixForm::Words(5), &syslog));
    assert!(!announced(PrefixForm::Words(4), &syslog));
    assert!(!announced(PrefixForm::Words(5), "one two"));
    assert!(announced(PrefixForm::Words(1), &format!("2026-01-01T00:00:00Z {LINE}")));
}

#[test]
fn a_cri_record_is_read() {
    assert!(announced(PrefixForm::Cri, &format!("2026-01-01T00:00:00.1Z stderr F {LINE}")));
    assert!(announced(PrefixForm::Cri, &format!("2026-01-01T00:00:00.1Z stdout F:x {LINE}")));
    assert!(!announced(PrefixForm::Cri, LINE));
    assert!(!announced(PrefixForm::Cri, "2026-01-01T00:00:00.1Z stderr F"));
}

#[test]
fn a_docker_record_is_read() {
    let line = format!(r#"{{"log":"{LINE}\r\n","stream":"stderr","time":"2026"}}"#);
    assert!(announced(PrefixForm::DockerJson, &line));
    assert!(!announced(PrefixForm::DockerJson, LINE));
    assert!(!announced(PrefixForm::DockerJson, r#"{"log":7}"#));
}

#[test]
fn the_rest_of_a_split_line_is_not_the_start_of_one() {
    let mut cri = scanner(PrefixForm::Cri);
    assert_eq!(cri.scan(b"t stderr P a page filled this record"), Scan::Nothing);
    // The other stream has lines of its own.
    assert!(matches!(cri.scan(format!("t stdout F {LINE}").as_bytes()), Scan::Announced(_)));
    assert_eq!(cri.scan(format!("t stderr F {LINE}").as_bytes()), Scan::Nothing);
    assert!(matches!(cri.scan(format!("t stderr F {LINE}").as_bytes()), Scan::Announced(_)));

    let mut docker = scanner(PrefixForm::DockerJson);
    let record = |text: &str| format!(r#"{{"log":"{text}","stream":"stderr"}}"#);
    assert_eq!(docker.scan(record("no newline").as_bytes()), Scan::Nothing);
    assert_eq!(docker.scan(record(&format!("{LINE}\\n")).as_bytes()), Scan::Nothing);
    let next = docker.scan(record(&format!("{LINE}\\n")).as_bytes());
    assert!(matches!(next, Scan::Announced(_)));
}
