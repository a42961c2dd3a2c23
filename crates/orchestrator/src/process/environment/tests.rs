use super::*;

fn value(env: &[(OsString, OsString)], name: &str) -> Option<String> {
    // `Command::envs` takes the last of two equal names.
    env.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone().into_string().unwrap())
}

#[test]
fn the_callers_variables_cannot_move_the_browser_out_of_its_directory() {
    let extra =
        [("HOME", "/root"), (MARK, "x"), ("TZ", "UTC")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let env = environment(Path::new("/s/home"), Path::new("/s/tmp"), "id/lc", &extra);
    assert_eq!(value(&env, "HOME").unwrap(), "/s/home");
    assert_eq!(value(&env, MARK).unwrap(), "id/lc");
    assert_eq!(value(&env, "TZ").unwrap(), "UTC");
    assert_eq!(value(&env, "TMPDIR").unwrap(), "/s/tmp");
}

#[test]
fn a_directory_too_long_for_a_socket_is_named_by_its_short_alias() {
    let longest = format!("/{}", "x".repeat(SOCKET_PATH - LOCK_SOCKET - 1));
    assert_eq!(tmp_value(Path::new(&longest)), longest.as_str());
    assert_eq!(tmp_value(Path::new(&format!("{longest}x"))), "/proc/self/cwd");
}
