use super::*;

fn line(flavour: Flavour, extra: &[&str]) -> Vec<String> {
    let extra: Vec<String> = extra.iter().map(|flag| (*flag).to_owned()).collect();
    command_line(flavour, Path::new("/s/profile"), &extra)
        .into_iter()
        .map(|arg| arg.into_string().unwrap())
        .collect()
}

#[test]
fn the_sandbox_is_never_switched_off() {
    for flavour in Flavour::ALL {
        for arg in line(flavour, &[]) {
            let name = arg.trim_start_matches("--").split('=').next().unwrap_or_default();
            assert!(!UNSAFE.contains(&name), "{arg}");
        }
    }
}

#[test]
fn only_the_full_browser_needs_to_be_told_to_be_headless() {
    assert!(line(Flavour::Chromium, &[]).contains(&"--headless".to_owned()));
    assert!(!line(Flavour::HeadlessShell, &[]).contains(&"--headless".to_owned()));
}

#[test]
fn the_callers_switches_follow_ours_and_the_page_is_last() {
    let line = line(Flavour::HeadlessShell, &["--window-size=800,600"]);
    let at = |arg: &str| line.iter().position(|a| a == arg).unwrap();
    assert!(at("--user-data-dir=/s/profile") < at("--window-size=800,600"));
    assert_eq!(at("about:blank"), line.len() - 1);
}

#[test]
fn switches_of_ours_and_of_the_sandbox_are_refused() {
    for flag in ["--user-data-dir=/x", "--remote-debugging-port=9222", "--remote-debugging-pipe"] {
        assert!(matches!(check_flag(flag, false), Err(FlagRefused::Ours { .. })), "{flag}");
    }
    for flag in ["--no-sandbox", "--no-sandbox=1", "--single-process"] {
        assert!(matches!(check_flag(flag, false), Err(FlagRefused::Sandbox { .. })), "{flag}");
    }
    for flag in ["", "-x", "http://x", "--", "--=3", "--a\0b"] {
        assert!(matches!(check_flag(flag, false), Err(FlagRefused::NotASwitch { .. })), "{flag:?}");
    }
    assert_eq!(check_flag("--lang=de", false), Ok(()));
    assert_eq!(check_flag("--no-sandbox", true), Ok(()));
    assert!(check_flag("--user-data-dir=/x", true).is_err());
}
