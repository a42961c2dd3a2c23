use std::ffi::OsString;

use service::settings::{Environment, Invocation, Mistakes, load};

use std::path::PathBuf;

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

#[test]
fn runners_are_on_this_machine_unless_others_are_listed() {
    assert_eq!(runners(&read(&[]).expect("good settings")), Guard::default());
    let other = read(&[("LOCKKEEPER_RUNNERS", "10.0.0.0/8,*.runners.internal:8000-8999")]);
    assert_ne!(runners(&other.expect("good settings")), Guard::default());
    let mistake = read(&[("LOCKKEEPER_RUNNERS", "10.0.0.0/99")]).expect_err("no network");
    assert!(mistake.to_string().contains("RUNNERS"), "{mistake}");
}

#[test]
fn a_listener_outside_this_machine_needs_a_token() {
    let open = ("LOCKKEEPER_API_LISTEN", "0.0.0.0:7310");
    let error = read(&[open]).expect_err("it is open").to_string();
    assert!(error.contains("API_LISTEN 0.0.0.0:7310") && error.contains("TOKEN"), "{error}");
    assert!(read(&[open, ("LOCKKEEPER_TOKEN", "secret")]).is_ok());
}

fn page() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings-listenerd.md");
    let note = "Written by `cargo test -p listenerd -- --ignored`; a test holds it to the program.";
    let text = format!("{}\n\n{note}\n", table().markdown().trim_end());
    (path, text)
}

#[test]
fn the_page_of_settings_is_the_table() {
    let (path, text) = page();
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{} is outdated; write it anew: cargo test -p listenerd -- --ignored",
        path.display()
    );
}

#[test]
#[ignore = "writes docs/settings-listenerd.md"]
fn write_the_page_of_settings() {
    let (path, text) = page();
    std::fs::write(path, text).expect("a writable page");
}
