use std::path::PathBuf;

use super::table;

fn page() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let text = format!(
        "# Settings of lockkeeperd\n\nWritten by `cargo test -p lockkeeperd -- --ignored`; a test \
         holds it to the program.\n\n{}",
        table().markdown()
    );
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
