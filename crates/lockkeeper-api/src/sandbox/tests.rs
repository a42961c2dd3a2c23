use super::*;

#[test]
fn a_full_request_survives_the_wire() {
    let request = CreateRequest {
        id: Some("crawl-7".into()),
        request_id: Some("try-1".into()),
        template: Some("default".into()),
        snapshot_id: Some("s1".to_owned()),
        flavour: Some("chromium".into()),
        flags: Some(vec!["--lang=de".into()]),
        viewport: Some("1280x720".into()),
        user_agent: Some("Robot/1".into()),
        proxy: Some("proxy:3128".into()),
        extensions: Some(vec!["/opt/a".into()]),
        env: Some(BTreeMap::from([("TZ".into(), "UTC".into())])),
        ttl: Some("1h30m".parse().unwrap()),
        idle: Some("5m".parse().unwrap()),
        queue_timeout: Some("0".parse().unwrap()),
        labels: BTreeMap::from([("team".into(), "search".into())]),
        on_crash: Some(ExitPolicy::Stop),
        on_close: Some(ExitPolicy::Relaunch),
        on_expire: Some(ExpirePolicy::Pause),
        on_drain: Some(DrainPolicy::Pause),
        auto_resume: Some(false),
    };
    let text = serde_json::to_vec(&request).unwrap();
    assert_eq!(CreateRequest::from_json(&text), Ok(request.clone()));
    let serde_json::Value::Object(members) = serde_json::to_value(&request).unwrap() else {
        panic!("a request is an object")
    };
    let fields: Vec<_> = members.keys().map(String::as_str).collect();
    assert_eq!(fields, CreateRequest::FIELDS);
}

#[test]
fn an_empty_body_asks_for_defaults() {
    assert_eq!(CreateRequest::from_json(b""), Ok(CreateRequest::default()));
    assert_eq!(CreateRequest::from_json(b"{}"), Ok(CreateRequest::default()));
    assert_eq!(UpdateRequest::from_json(b"{}"), Ok(UpdateRequest::default()));
}

#[test]
fn a_policy_outside_its_words_is_refused() {
    let text = CreateRequest::from_json(br#"{"on_crash": "retry"}"#).unwrap_err().to_string();
    assert_eq!(text, "on_crash: `retry` is not one of relaunch, stop");
}

#[test]
fn labels_are_limited_and_named() {
    let text = CreateRequest::from_json(br#"{"labels": {"a b": "x"}}"#).unwrap_err().to_string();
    assert!(text.contains("`a b`"), "{text}");
    let many: BTreeMap<_, _> = (0..65).map(|n| (format!("k{n}"), String::new())).collect();
    let body = serde_json::json!({ "labels": many }).to_string();
    let text = CreateRequest::from_json(body.as_bytes()).unwrap_err().to_string();
    assert!(text.contains("65 labels, the limit is 64"), "{text}");
    assert!(label_mistake("team/name.x_y-z", &"v".repeat(256)).is_none());
    assert!(label_mistake("team", &"v".repeat(257)).is_some());
    assert!(label_mistake("", "v").is_some());
}

#[test]
fn a_label_is_removed_by_null() {
    let request = UpdateRequest::from_json(br#"{"labels": {"a": null, "b": "x"}}"#).unwrap();
    assert_eq!(request.labels["a"], None);
    assert_eq!(request.labels["b"], Some("x".into()));
}

#[test]
fn the_word_of_a_state_is_its_json() {
    for state in SandboxState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
}
