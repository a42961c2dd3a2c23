use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::subscriber::with_default;

use super::*;
use crate::fields;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, terminal: bool, filter: &str) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let lines_of = super::lines(format, terminal, filter, move || writer.clone()).unwrap();
    with_default(Registry::default().with(lines_of), || {
        let span = tracing::info_span!("session", { fields::SESSION_ID } = "c1");
        let _inside = span.enter();
        tracing::info!({ fields::SANDBOX_ID } = "demo", { fields::CLOSE_CODE } = 1012, "closed");
        tracing::debug!("not wanted");
    });
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn away_from_a_terminal_a_line_is_one_flat_json_object() {
    let text = logged(Format::Auto, false, "info");
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["message"], "closed");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line[fields::SANDBOX_ID], "demo");
    assert_eq!(line[fields::CLOSE_CODE], 1012);
    assert_eq!(line["span"][fields::SESSION_ID], "c1");
    assert!(line["timestamp"].is_string());
}

#[test]
fn on_a_terminal_a_line_is_for_a_person() {
    let text = logged(Format::Auto, true, "info");
    assert!(text.contains("\u{1b}["), "coloured: {text:?}");
    let plain = logged(Format::Text, false, "info");
    assert!(plain.contains("closed") && plain.contains("sandbox.id=\"demo\""), "{plain:?}");
    assert!(!plain.contains("\u{1b}[") && !plain.starts_with('{'), "{plain:?}");
}

#[test]
fn a_filter_chooses_by_target_and_a_bad_one_is_explained() {
    assert_eq!(logged(Format::Text, false, "error"), "");
    assert_eq!(logged(Format::Text, false, "warn,telemetry=debug").lines().count(), 2);
    let error = check_filter("telemetry=loud").unwrap_err();
    assert!(error.to_string().starts_with("log filter `telemetry=loud`: "), "{error}");
    assert_eq!(check_filter("info,wsproxy=debug"), Ok(()));
}
