use std::path::PathBuf;

use super::table;

fn page() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let note =
        "Written by `cargo test -p lockkeeperd -- --ignored`; a test holds it to the program.";
    let text = format!("{}\n\n{note}\n", table().markdown().trim_end());
    (path, text)
}

#[test]
fn the_page_of_settings_is_the_table() {
    let (path, text) = page();
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/settings.md is outdated; write it anew: cargo test -p lockkeeperd -- --ignored"
    );
}

#[test]
#[ignore = "writes docs/settings.md"]
fn write_the_page_of_settings() {
    let (path, text) = page();
    std::fs::write(path, text).unwrap();
}
