use super::*;

fn texts(template: &Template) -> Vec<String> {
    let mistakes = template.word_mistakes();
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
        "--window-size=1280,807",
        "--user-agent=Robot/1.0 (tests)",
        "--proxy-server=http://127.0.0.1:3128",
        "--disable-extensions-except=/opt/a,/opt/b",
        "--load-extension=/opt/a,/opt/b",
        "--lang=de",
    ];
    assert_eq!(template.switches(Flavour::Chromium), expected);
    assert_eq!(texts(&template), Vec::<String>::new());
    let small = Template { viewport: template.viewport, ..Template::default() };
    assert_eq!(small.switches(Flavour::HeadlessShell), ["--window-size=1280,720"]);
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
fn a_request_replaces_words_one_by_one() {
    let template = Template {
        viewport: Some(Viewport { width: 1, height: 2 }),
        user_agent: Some("One/1".to_owned()),
        proxy: Some("one:1".to_owned()),
        ..Template::default()
    };
    let body = br#"{"viewport": "800x600", "proxy": "socks5://two:2", "extensions": ["/x"]}"#;
    let request = CreateRequest::from_json(body).unwrap();
    let mut mistakes = Vec::new();
    let asked = template.as_asked(&request, &mut mistakes);
    assert_eq!(mistakes, []);
    assert_eq!(asked.viewport, Some(Viewport { width: 800, height: 600 }));
    assert_eq!(asked.user_agent.as_deref(), Some("One/1"));
    assert_eq!(asked.proxy.as_deref(), Some("socks5://two:2"));
    assert_eq!(asked.extensions, [PathBuf::from("/x")]);
}

#[test]
fn a_proxy_that_a_browser_would_pass_by_is_refused() {
    for good in [
        "proxy:3128",
        "proxy",
        "http://127.0.0.1:3128",
        "socks5://[::1]:1080",
        "[::1]",
        "direct://",
        "http=one:80;https=https://two:443,direct://",
    ] {
        assert_eq!(proxy_problem(good), None, "{good}");
    }
    for (bad, part) in [
        ("htp://a:1", "`htp` is no kind of proxy, did you mean `http`?"),
        ("gopher://a:1", "the known ones are http, https"),
        ("htpps=a:1", "`htpps` is no scheme, did you mean `https`?"),
        ("http://me:secret@a:1", "cannot hold a user or a password"),
        ("http://a:0", "must be a host and a port"),
        ("http://a:70000", "must be a host and a port"),
        ("http://a:1/path", "must be a host and a port"),
        ("a b:1", "must be a host and a port"),
        ("[::1:80", "must be a host and a port"),
        ("http://", "must be a host and a port"),
        ("a:1,", "must be a host and a port"),
        ("direct://a", "has nothing after it"),
    ] {
        let problem = proxy_problem(bad).unwrap_or_default();
        assert!(problem.contains(part), "{bad}: {problem:?}");
        assert!(!problem.contains("secret"), "{problem}");
    }
}

#[test]
fn a_text_that_is_no_value_of_a_switch_is_named_by_its_word() {
    let template = Template {
        user_agent: Some("a\nb".to_owned()),
        proxy: Some(" ".to_owned()),
        extensions: vec!["relative".into(), "/a,b".into(), format!("/{}", "x".repeat(5000)).into()],
        ..Template::default()
    };
    let texts = texts(&template);
    for part in [
        "user_agent: has a control character",
        "proxy: must not be empty",
        "extensions: relative must be an absolute path",
        "extensions: /a,b must be an absolute path without a comma",
        "extensions: have more than 4096 bytes",
    ] {
        assert!(texts.iter().any(|text| text.starts_with(part)), "{part:?} is not in {texts:?}");
    }
}
