use super::*;

const KNOWN: &[&str] = &["flavour", "ttl", "labels", "flags", "force"];

fn problems(body: &str, read: impl FnOnce(&mut Fields)) -> String {
    let mut fields = match Fields::parse(body.as_bytes(), KNOWN) {
        Ok(fields) => fields,
        Err(mistakes) => return mistakes.to_string(),
    };
    read(&mut fields);
    fields.finish(()).err().map(|mistakes| mistakes.to_string()).unwrap_or_default()
}

#[test]
fn an_unknown_field_names_the_nearest_known_one() {
    assert_eq!(
        problems(r#"{"flavor": 1}"#, |_| ()),
        "flavor: no such field, did you mean `flavour`?"
    );
    assert_eq!(
        problems(r#"{"zzzzzz": 1}"#, |_| ()),
        "zzzzzz: no such field; the known ones are flavour, ttl, labels, flags, force"
    );
}

#[test]
fn every_mistake_of_a_body_is_reported_at_once() {
    let text = problems(
        r#"{"ttl": 900, "flags": ["--a", 7], "labels": {"a": 1}, "force": "yes", "flavour": []}"#,
        |fields| {
            fields.span("ttl");
            fields.texts("flags");
            fields.text_map("labels");
            fields.flag("force");
            fields.text("flavour");
        },
    );
    for part in [
        "ttl: `900` has no unit, write it as text, for example `\"900s\"`",
        "flags[1]: must be text, is a number",
        "labels.a: must be text, is a number",
        "force: must be true or false, is text",
        "flavour: must be text, is a list",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text:?}");
    }
}

#[test]
fn a_body_that_is_not_an_object_is_refused() {
    assert!(problems("[]", |_| ()).starts_with("body: is not a JSON object"));
    assert!(problems("{\"ttl\": ", |_| ()).starts_with("body: is not JSON: EOF"));
    assert!(problems("{} x", |_| ()).starts_with("body: is not JSON"));
}

#[test]
fn an_empty_body_and_null_mean_absent() {
    assert_eq!(problems("", |fields| assert_eq!(fields.text("flavour"), None)), "");
    assert_eq!(problems(" \n", |_| ()), "");
    assert_eq!(
        problems(r#"{"flavour": null}"#, |fields| assert_eq!(fields.text("flavour"), None)),
        ""
    );
}

#[test]
fn a_word_outside_its_list_names_the_list() {
    let text = problems(r#"{"flavour": "firefox"}"#, |fields| {
        fields.word("flavour", &[("stop", 1), ("relaunch", 2)]);
    });
    assert_eq!(text, "flavour: `firefox` is not one of stop, relaunch");
}

#[test]
fn nearness_has_a_limit() {
    assert_eq!(nearest("tl", KNOWN.iter().copied()), Some("ttl"));
    assert_eq!(nearest("x", ["ttl"]), None);
    assert_eq!(nearest(&"t".repeat(100), ["ttl"]), None);
}
