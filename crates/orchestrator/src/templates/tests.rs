use lockkeeper_api::CreateRequest;

use super::*;

fn texts(template: &Template) -> Vec<String> {
    let mistakes = template.mistakes(false, Duration::from_secs(3600));
    mistakes.iter().map(|m| format!("{}: {}", m.field, m.problem)).collect()
}

#[test]
fn what_a_template_does_not_leave_open_is_refused_field_by_field() {
    let template = Template { overridable: [Override::Ttl].into(), ..Template::default() };
    let body = br#"{"ttl": "1m", "flags": [], "viewport": "1x1", "user_agent": "a", "proxy": "b",
        "extensions": [], "env": {}, "idle": "1m", "on_expire": "pause", "on_drain": "pause",
        "auto_resume": true, "flavour": "chromium", "on_crash": "stop", "on_close": "stop"}"#;
    let request = CreateRequest::from_json(body).unwrap();
    let closed = template.closed_to("fast", &request);
    let fields: Vec<_> = closed.iter().map(|m| m.field.as_str()).collect();
    let all: Vec<_> = Override::ALL.into_iter().filter(|part| *part != Override::Ttl).collect();
    assert_eq!(fields, all.iter().map(|part| part.as_str()).collect::<Vec<_>>());
    assert_eq!(closed[0].problem, "the template `fast` lets a create set only ttl");
    assert_eq!(Template::default().closed_to("default", &request), []);
}

#[test]
fn every_mistake_of_a_template_is_found_at_once() {
    let template = Template {
        flags: vec!["--no-sandbox".to_owned()],
        env: [("HOME".to_owned(), "/".to_owned())].into(),
        ttl: Some(Duration::from_secs(7200)),
        extensions: vec!["relative".into()],
        browser: Some("/opt/chrome".into()),
        ..Template::default()
    };
    let texts = texts(&template);
    for part in [
        "flags: `--no-sandbox` is refused",
        "env.HOME: is set by the node",
        "ttl: `2h` is longer than the longest",
        "extensions: are loaded by the full browser only",
        "extensions: relative must be an absolute path",
        "browser_path: needs a flavour",
        "overridable: cannot list flavour",
    ] {
        assert!(texts.iter().any(|text| text.starts_with(part)), "{part:?} is not in {texts:?}");
    }
    assert_eq!(texts.len(), 7, "{texts:?}");
}
