use std::fs;

use super::*;
use crate::reload::{Reload, Stamp};

const FILE: &str = r#"
[tokens.ci]
token = "ci-token"
write = ["sandbox"]
read = ["node"]

[tokens.demo]
token = "demo-token"
write = ["project:demo"]
"#;

fn mistakes(text: &str) -> String {
    Principals::parse(text).expect_err("a mistake").join("\n")
}

#[test]
fn a_file_names_principals_and_what_they_may() {
    let known = Principals::parse(FILE).expect("a good file");
    let ci = known.find("ci-token").expect("ci");
    assert_eq!((ci.name(), known.len()), ("ci", 2));
    assert!(ci.may(&Need::DEVTOOLS));
    assert!(!ci.may(&Need::Scope(Realm::Node, Level::Write)));
    assert_eq!(known.find("demo-token").map(Principal::name), Some("demo"));
    assert!(known.find("ci-toke").is_none());
    assert!(known.find("").is_none());
}

#[test]
fn every_mistake_is_told_at_once_and_no_token_is_shown() {
    let text = r#"
        other = 1
        [tokens.token]
        token = "s3cret-1"
        write = ["node"]
        [tokens.a]
        tokne = "s3cret-2"
        write = "sandbox"
        [tokens.b]
        token = "s3cret-3 with spaces"
        read = ["sandboxes", 7]
        [tokens.c]
        token = "s3cret-4"
        read = ["node"]
        [tokens.d]
        token = "s3cret-4"
        read = ["node"]
        [tokens."e f"]
        token = "s3cret-5"
        read = ["node"]
    "#;
    let told = mistakes(text);
    for wanted in [
        "\"other\" is not known",
        "tokens.token: this name means somebody else",
        "tokens.a.tokne is not known; did you mean token?",
        "tokens.a.write must be a list",
        "tokens.a may do nothing",
        "tokens.a.token is missing",
        "tokens.b.token holds a space",
        "tokens.b.read: \"sandboxes\" is no scope",
        "tokens.b.read: holds something that is no text",
        "tokens.d.token is that of c too",
        "tokens.e f: a name has 1 to 64",
    ] {
        assert!(told.contains(wanted), "{wanted}\n{told}");
    }
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn what_is_no_toml_names_the_line_and_not_what_stands_there() {
    let told = mistakes("[tokens.a]\ntoken = s3cret\n");
    assert!(told.starts_with("line 2: "), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
    assert!(mistakes("").contains("nobody would be let in"));
}

#[test]
fn a_bad_file_leaves_the_tokens_before_it_in_force() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("tokens.toml");
    let missing = TokensFile::open(path.clone()).expect_err("no file");
    assert!(missing.contains("tokens.toml cannot be read"), "{missing}");
    fs::write(&path, FILE).expect("written");
    let before = Stamp::of(std::slice::from_ref(&path));
    let file = TokensFile::open(path.clone()).expect("a good file");
    fs::write(&path, "[tokens.x]\ntoken = 1\n").expect("written");
    assert_ne!(Stamp::of(std::slice::from_ref(&path)), before, "another length");
    let told = file.reload().expect_err("a bad file");
    assert!(told.contains("tokens.toml: tokens.x"), "{told}");
    assert_eq!(file.find("ci-token").map(|who| who.name().to_owned()), Some("ci".to_owned()));
    fs::write(&path, FILE.replace("ci-token", "new-token")).expect("written");
    file.reload().expect("a good file");
    assert!(file.find("ci-token").is_none());
    assert!(file.find("new-token").is_some());
}

#[test]
fn a_token_without_the_scope_is_told_apart_from_a_wrong_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("tokens.toml");
    fs::write(&path, FILE).expect("written");
    let tokens = Some(Arc::new(TokensFile::open(path).expect("a good file")));
    let token = Some("root-token".to_owned());
    let access = Access::new(AccessSettings { token, tokens, ..AccessSettings::default() });
    let check = |token: &str, need: &Need| {
        let bearer = format!("Bearer {token}");
        let parts = request("/", &[("host", "localhost"), ("authorization", &bearer)]);
        access.check(&parts, None, need).map(|who| who.name().to_owned())
    };
    let node = Need::Scope(Realm::Node, Level::Write);
    assert_eq!(check("root-token", &node), Ok("token".to_owned()));
    assert_eq!(check("ci-token", &Need::DEVTOOLS), Ok("ci".to_owned()));
    let missing = check("ci-token", &node).expect_err("ci may only read the node");
    assert_eq!((missing.status().as_u16(), missing.code()), (403, "SCOPE_MISSING"));
    assert!(missing.to_string().contains("the scope node for writing"), "{missing}");
    assert_eq!(check("ci-toke", &node), Err(AccessDenied::TokenInvalid));
    let nobody = request("/", &[("host", "localhost")]);
    assert_eq!(access.check(&nobody, None, &node).err(), Some(AccessDenied::TokenRequired));
}

#[test]
fn who_may_do_less_is_told_and_who_may_do_as_much_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("tokens.toml");
    let rewritten = |from: &str, to: &str| {
        fs::write(&path, FILE).expect("written");
        let file = TokensFile::open(path.clone()).expect("a good file");
        let withdrawal = |token| file.find(token).and_then(|who| who.withdrawal());
        let before = ["ci-token", "demo-token"].map(|token| withdrawal(token).expect("known"));
        fs::write(&path, FILE.replace(from, to)).expect("written");
        file.reload().expect("a good file");
        before.map(|withdrawal| withdrawal.is_cancelled())
    };
    assert_eq!(rewritten("[tokens.ci]", "[tokens.other]"), [false, false], "another name");
    assert_eq!(rewritten("\"sandbox\"", "\"sandbox\", \"project:a\""), [false, false], "more");
    assert_eq!(rewritten("write = [\"sandbox\"]", "write = []"), [true, false], "less");
    assert_eq!(rewritten("project:demo", "project:*"), [false, false], "more");
    assert_eq!(rewritten("demo-token", "another"), [false, true], "another token");
}
