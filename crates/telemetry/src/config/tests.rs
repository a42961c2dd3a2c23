use super::*;

fn change(body: &str) -> Change {
    Change::read(body.as_bytes()).unwrap()
}

fn on(config: &Config) -> Vec<&'static str> {
    let on = config.categories.iter().filter(|(_, switch)| switch.enabled);
    on.map(|(category, _)| category.as_str()).collect()
}

fn with_sinks() -> Config {
    let sinks = [("jsonl".to_owned(), Switch { enabled: true })];
    Config { sinks: sinks.into(), ..Config::default() }
}

#[test]
fn a_replacement_without_content_gives_the_defaults() {
    let off = Config::default().switched_off();
    assert!(!off.is_on());
    for body in ["", " \n", "{}"] {
        assert_eq!(off.replaced(change(body)).unwrap(), Config::default());
    }
}

#[test]
fn a_replacement_turns_on_only_what_it_names() {
    let body = r#"{"categories": {"control": {"enabled": true}, "api": {"enabled": false}}}"#;
    let new = with_sinks().replaced(change(body)).unwrap();
    assert_eq!(on(&new), ["control"]);
    assert_eq!(new.sinks["jsonl"], Switch { enabled: false });
    let new = with_sinks().replaced(change(r#"{"sinks": {"jsonl": {"enabled": true}}}"#)).unwrap();
    assert!(!new.is_on());
    assert_eq!(new.sinks["jsonl"], Switch { enabled: true });
}

#[test]
fn a_merge_changes_only_what_it_names() {
    let config = with_sinks();
    assert_eq!(config.merged(change("{}")).unwrap(), config);
    let body = r#"{"control": {"excluded_methods": ["Page.close"]},
        "categories": {"run": {"enabled": false}}}"#;
    let new = config.merged(change(body)).unwrap();
    assert_eq!(config.differences(&new), ["categories.run", "control.excluded_methods"]);
    assert_eq!(new.sinks["jsonl"], Switch { enabled: true });
    assert_eq!(new.merged(change(r#"{"control": {}}"#)).unwrap(), new);
}

#[test]
fn a_bad_change_says_what_is_wrong() {
    let message = |body: &str| Change::read(body.as_bytes()).unwrap_err().to_string();
    let unknown = message(r#"{"categories": {"cdp": {"enabled": true}}}"#);
    assert!(unknown.contains("`cdp` is not one of: connection, browser,"), "{unknown}");
    for body in [
        r#"{"category": {}}"#,
        r#"{"categories": {"run": {"enabled": 1}}}"#,
        r#"{"categories": {"run": {}}}"#,
        r#"{"categories": {"run": {"enabled": true, "more": 1}}}"#,
        "[]",
        "{",
    ] {
        assert!(!message(body).is_empty());
    }
    let unlisted = r#"{"control": {"excluded_methods": ["Runtime.evaluate"]}}"#;
    let message = with_sinks().merged(change(unlisted)).unwrap_err().to_string();
    assert!(message.contains("`Runtime.evaluate` makes no event"), "{message}");
    let error = with_sinks().merged(change(r#"{"sinks": {"otlp": {"enabled": true}}}"#));
    let message = error.unwrap_err().to_string();
    assert_eq!(message, "sinks.otlp: there is no such sink; there are: jsonl");
}

#[test]
fn each_category_has_a_bit_of_its_own() {
    assert_eq!(Config::default().switched_off().bits(), 0);
    assert_eq!(Config::with(|_| true).bits(), (1 << Category::ALL.len()) - 1);
}
