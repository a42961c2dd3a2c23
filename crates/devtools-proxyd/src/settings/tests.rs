use std::ffi::OsString;
use std::path::PathBuf;

use service::settings::{Environment, Invocation, Mistakes, load};
use telemetry::words::UpstreamSource;

use super::*;

struct Variables(Vec<(&'static str, &'static str)>);

impl Environment for Variables {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.0.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }
}

fn read(variables: &[(&'static str, &'static str)]) -> Result<Values, Mistakes> {
    match load(&table(), [], &Variables(variables.to_vec()))? {
        Invocation::Run(values) => Ok(values),
        Invocation::Print(text) => panic!("printed {text}"),
    }
}

const LOG: (&str, &str) = ("LOCKKEEPER_BROWSER_LOG", "/log");
const FILE: (&str, &str) = ("LOCKKEEPER_BROWSER_PORT_FILE", "/profile/DevToolsActivePort");
const PLACE: (&str, &str) = ("LOCKKEEPER_BROWSER_ADDRESS", "browser:9222");
const URL: (&str, &str) = ("LOCKKEEPER_BROWSER_URL", "ws://browser:9222/devtools/browser/4f2a");

#[test]
fn each_way_to_find_the_browser_has_its_own_source() {
    for (variable, word, expected) in [
        (LOG, UpstreamSource::LogFollow, true),
        (FILE, UpstreamSource::PortFile, false),
        (PLACE, UpstreamSource::HttpPoll, false),
        (URL, UpstreamSource::Fixed, false),
    ] {
        let values = read(&[variable]).expect("good settings");
        let (found, restart) = source(&values);
        assert_eq!((found.word(), restart), (word, expected));
        let values = read(&[variable, ("LOCKKEEPER_RESTART_EXPECTED", "true")]).expect("good");
        assert!(source(&values).1, "{word} did not take the setting");
    }
}

#[test]
fn no_way_and_two_ways_to_find_the_browser_are_mistakes() {
    let none = read(&[]).expect_err("no source").to_string();
    assert!(none.contains("nothing says where the browser is"), "{none}");
    let two = read(&[LOG, URL]).expect_err("two sources").to_string();
    assert!(two.contains("BROWSER_LOG, BROWSER_URL are all set"), "{two}");
}

#[test]
fn what_the_edge_is_told_is_valid_at_both_ends_of_every_range() {
    for extra in [
        [("LOCKKEEPER_RESTART_WAIT", "300ms"), ("LOCKKEEPER_HOLD_MAX", "1ms")],
        [("LOCKKEEPER_RESTART_WAIT", "10m"), ("LOCKKEEPER_HOLD_MAX", "10m")],
        [("LOCKKEEPER_MAX_SESSIONS", "1"), ("LOCKKEEPER_HOLD_MAX", "10s")],
    ] {
        let values = read(&[LOG, extra[0], extra[1]]).expect("good settings");
        assert_eq!(edge(&values).validate(), Ok(()), "{extra:?}");
    }
}

#[test]
fn the_public_address_and_its_proxies_reach_the_edge() {
    let public = ("LOCKKEEPER_PUBLIC_URL", "https://example.org:444/browser/");
    let proxies = ("LOCKKEEPER_TRUSTED_PROXIES", "10.0.0.0/8,::1");
    let settings = edge(&read(&[LOG, public, proxies]).expect("good settings"));
    let url = settings.public_url.expect("a public address");
    assert_eq!((url.tls, &*url.authority, &*url.prefix), (true, "example.org:444", "/browser"));
    assert_eq!(settings.trusted_proxies.len(), 2);
}

#[test]
fn a_listener_outside_this_machine_needs_a_token() {
    let open = ("LOCKKEEPER_API_LISTEN", "0.0.0.0:9223");
    let error = read(&[LOG, open]).expect_err("it is open").to_string();
    assert!(error.contains("API_LISTEN 0.0.0.0:9223") && error.contains("TOKEN"), "{error}");
    assert!(read(&[LOG, open, ("LOCKKEEPER_TOKEN", "secret")]).is_ok());
}

#[test]
fn what_is_open_without_a_proxy_is_warned_of() {
    let open = ("LOCKKEEPER_API_LISTEN", "0.0.0.0:9223");
    let public = ("LOCKKEEPER_PUBLIC_URL", "https://browser.example.org");
    let token = ("LOCKKEEPER_TOKEN", "secret");
    for (setting, warning) in [(open, "without TLS"), (public, "PUBLIC_URL is https")] {
        let values = read(&[LOG, setting, token]).expect("good settings");
        assert!(values.warnings().iter().any(|told| told.contains(warning)), "{setting:?}");
    }
    assert!(read(&[LOG]).expect("good settings").warnings().is_empty());
}

#[test]
fn a_shutdown_has_an_end_by_default() {
    let settings = shared::shutdown_settings(&read(&[LOG]).expect("good settings"));
    assert!(settings.budget().total().is_some(), "{settings:?}");
}

fn page() -> (PathBuf, String) {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings-devtools-proxyd.md");
    let note =
        "Written by `cargo test -p devtools-proxyd -- --ignored`; a test holds it to the program.";
    let text = format!("{}\n\n{note}\n", table().markdown().trim_end());
    (path, text)
}

#[test]
fn the_page_of_settings_is_the_table() {
    let (path, text) = page();
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{} is outdated; write it anew: cargo test -p devtools-proxyd -- --ignored",
        path.display()
    );
}

#[test]
#[ignore = "writes docs/settings-devtools-proxyd.md"]
fn write_the_page_of_settings() {
    let (path, text) = page();
    std::fs::write(path, text).expect("a writable page");
}
