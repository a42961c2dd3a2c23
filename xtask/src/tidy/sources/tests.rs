use super::*;

fn said(text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    check("a.rs", text, &mut findings);
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn long_files_are_named_with_their_length() {
    assert_eq!(said(&"\n".repeat(400)), [""; 0]);
    assert_eq!(
        said(&"\n".repeat(401)),
        ["a.rs: has 401 lines, and 400 is the most: split it by subject"]
    );
}

#[test]
fn pure_files_have_no_clock_socket_or_thread() {
    let pure = "//! Pure: bytes in, actions out.\n";
    assert_eq!(
        said(&format!("{pure}let now = Instant::now();\n")),
        ["a.rs:2: says it is pure and mentions `Instant::now`, a clock: take `now` as an argument"]
    );
    assert_eq!(said(&format!("{pure}use tokio::time;\nuse std::net::TcpStream;\n")).len(), 2);
    let fine = "// Not Instant::now.\nuse std::net::IpAddr;\nmytokio::x();\n\
                mod tests {\n    Instant::now();\n}\n";
    assert_eq!(said(&format!("{pure}{fine}")), [""; 0]);
    assert_eq!(said("//! A shell.\nInstant::now();\n"), [""; 0], "others may");
}

#[test]
fn nothing_is_unfinished_or_ignored_without_a_reason() {
    let [first, second] = UNFINISHED;
    assert_eq!(
        said(&format!("{first}()\n// {second}()\n")),
        [format!("a.rs:1: has `{first}`: finish it, or leave the part out")]
    );
    assert_eq!(
        said(&format!("    {IGNORED}\n    fn a() {{}}\n#[ignore = \"slow\"]\n")),
        ["a.rs:1: ignores a test without a reason: say why, or run it"]
    );
}

#[test]
fn unsafe_code_is_let_in_by_tests_only() {
    for word in UNSAFE {
        let text = format!("#[{word}]\nfn a() {{}}\n");
        assert_eq!(said(&text).len(), 1, "{word}");
        let mut findings = Vec::new();
        check("crates/a/tests/model.rs", &text, &mut findings);
        assert_eq!(findings, []);
    }
}
