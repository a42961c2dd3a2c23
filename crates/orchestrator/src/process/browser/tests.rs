use super::*;
use std::fs;

struct Host {
    root: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn put(&self, path: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.canonicalize().unwrap()
    }

    fn search(&self) -> Search {
        Search {
            folders: vec![self.root.path().join("lib")],
            path: Some(self.root.path().join("bin").into_os_string()),
        }
    }
}

const ELF: &[u8] = b"\x7fELF rest";
const SCRIPT: &[u8] = b"#!/bin/sh\n";

#[test]
fn the_binary_in_a_known_folder_wins_over_a_script_in_path() {
    let host = Host::new();
    let elf = host.put("lib/chromium-headless-shell", ELF, 0o755);
    host.put("bin/chromium-headless-shell", SCRIPT, 0o755);
    let found = search(None, &host.search());
    assert_eq!(found.of(Flavour::HeadlessShell), Some(elf.as_path()));
    assert_eq!(found.flavours(), [Flavour::HeadlessShell]);
}

#[test]
fn a_script_given_by_setting_leads_to_the_binary_of_its_name() {
    let host = Host::new();
    let elf = host.put("lib/chromium", ELF, 0o755);
    let script = host.put("bin/chromium", SCRIPT, 0o755);
    let found = search(Some(&script), &host.search());
    assert_eq!(found.of(Flavour::Chromium), Some(elf.as_path()));
}

#[test]
fn a_vendors_script_leads_to_the_binary_beside_it() {
    let host = Host::new();
    let elf = host.put("opt/chrome", ELF, 0o755);
    let script = host.put("opt/google-chrome", SCRIPT, 0o755);
    fs::create_dir_all(host.root.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(&script, host.root.path().join("bin/google-chrome")).unwrap();
    let found = search(None, &host.search());
    assert_eq!(found.of(Flavour::Chromium), Some(elf.as_path()));
}

#[test]
fn a_lone_script_is_refused_and_the_text_says_why() {
    let host = Host::new();
    let script = host.put("bin/chromium", SCRIPT, 0o755);
    let found = search(Some(&script), &host.search());
    assert!(found.flavours().is_empty());
    assert!(found.tried().contains("a script and not the browser itself"), "{}", found.tried());
}

#[test]
fn what_is_no_browser_binary_is_refused() {
    let host = Host::new();
    host.put("bin/chromium", b"MZ..", 0o755);
    host.put("bin/chromium-browser", ELF, 0o644);
    fs::create_dir_all(host.root.path().join("bin/google-chrome")).unwrap();
    std::os::unix::fs::symlink(
        host.put("usr/snap", ELF, 0o755),
        host.root.path().join("bin/chrome"),
    )
    .unwrap();
    let found = search(None, &host.search());
    assert!(found.flavours().is_empty());
    for word in ["not an ELF binary", "not executable", "snap launcher"] {
        assert!(found.tried().contains(word), "{word}: {}", found.tried());
    }
}

#[test]
fn relative_entries_of_path_are_not_searched() {
    let search = Search { folders: vec![], path: Some("bin:.".into()) };
    assert!(super::search(None, &search).flavours().is_empty());
}

#[test]
fn an_override_serves_the_flavour_its_name_says() {
    let host = Host::new();
    let elf = host.put("x/my-headless-build", ELF, 0o755);
    let found = search(Some(&elf), &host.search());
    assert_eq!(found.flavours(), [Flavour::HeadlessShell]);
}
