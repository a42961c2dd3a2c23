use super::*;

fn texts(template: &Template) -> Vec<String> {
    let mistakes = template.mistakes(false, Duration::from_secs(3600));
    mistakes.iter().map(|m| format!("{}: {}", m.field, m.problem)).collect()
}

#[test]
fn words_become_switches_before_the_templates_own() {
    let template = Template {
        viewport: Some("1280x720".parse().unwrap()),
        user_agent: Some("Robot/1.0 (tests)".to_owned()),
        proxy: Some("http://127.0.0.1:3128".to_owned()),
        extensions: vec!["/opt/a".into(), "/opt/b".into()],
        flags: vec!["--lang=de".to_owned()],
        flavour: Some(Flavour::Chromium),
        ..Template::default()
    };
    let expected = [
        "--window-size=1280,720",
        "--user-agent=Robot/1.0 (tests)",
        "--proxy-server=http://127.0.0.1:3128",
        "--disable-extensions-except=/opt/a,/opt/b",
        "--load-extension=/opt/a,/opt/b",
        "--lang=de",
    ];
    assert_eq!(template.switches(), expected);
    assert_eq!(texts(&template), Vec::<String>::new());
}

#[test]
fn a_window_has_two_sides_of_a_size_that_can_be_drawn() {
    let read = |text: &str| text.parse::<Viewport>();
    assert_eq!(read("800x600"), Ok(Viewport { width: 800, height: 600 }));
    for text in ["", "800", "800x", "0x600", "800x600x2", "16385x1", "-1x5", "800,600"] {
        assert_eq!(read(text), Err(ViewportError), "{text}");
    }
}

#[test]
fn what_a_template_does_not_leave_open_is_refused_field_by_field() {
    let template = Template { overridable: [Override::Ttl].into(), ..Template::default() };
    let request = CreateRequest::from_json(br#"{"ttl": "1m", "flags": [], "env": {}}"#).unwrap();
    let closed = template.closed_to("fast", &request);
    let fields: Vec<_> = closed.iter().map(|m| m.field.as_str()).collect();
    assert_eq!(fields, ["flags", "env"]);
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
