use super::*;

fn both() -> Capabilities {
    Capabilities {
        flavours: vec![Flavour::HeadlessShell, Flavour::Chromium],
        isolation: "shared-user",
        limits_cpu: true,
    }
}

fn plan(body: &str) -> Result<Plan, PlanError> {
    plan_with(body, &Config::default(), &both())
}

fn plan_with(body: &str, config: &Config, found: &Capabilities) -> Result<Plan, PlanError> {
    Plan::new(CreateRequest::from_json(body.as_bytes()).unwrap(), config, found)
}

fn problem(body: &str) -> String {
    plan(body).unwrap_err().to_string()
}

#[test]
fn an_empty_request_gets_every_default() {
    let plan = plan("{}").unwrap();
    assert_eq!((plan.id, &*plan.template), (None, "default"));
    assert_eq!(plan.flavour, Flavour::HeadlessShell);
    assert_eq!(plan.ttl, Duration::from_secs(900));
    assert_eq!(plan.idle, Duration::ZERO);
    assert_eq!((plan.on_crash, plan.on_close), (OnExit::Relaunch, OnExit::Stop));
}

#[test]
fn a_request_goes_before_its_template_and_the_template_before_the_node() {
    let template = Template {
        flavour: Some(Flavour::Chromium),
        flags: vec!["--lang=de".into()],
        env: BTreeMap::from([("TZ".into(), "UTC".into()), ("A".into(), "1".into())]),
        ttl: Some(Duration::from_secs(60)),
        on_crash: Some(OnExit::Stop),
        ..Template::default()
    };
    let config =
        Config { templates: BTreeMap::from([("de".into(), template)]), ..Config::default() };
    let body = r#"{"template": "de", "flags": ["--mute-audio"], "env": {"A": "2"}, "idle": "5m"}"#;
    let plan = plan_with(body, &config, &both()).unwrap();
    assert_eq!(plan.flavour, Flavour::Chromium);
    assert_eq!(plan.flags, ["--lang=de", "--mute-audio"]);
    assert_eq!(plan.env, [("A".into(), "2".into()), ("TZ".into(), "UTC".into())]);
    assert_eq!((plan.ttl.as_secs(), plan.idle.as_secs()), (60, 300));
    assert_eq!(plan.on_crash, OnExit::Stop);
}

#[test]
fn an_unknown_template_lists_the_known_ones() {
    assert_eq!(
        problem(r#"{"template": "nope"}"#),
        "no template `nope`; the known ones are default"
    );
}

#[test]
fn an_unknown_flavour_lists_the_known_ones() {
    let text = problem(r#"{"flavour": "netscape"}"#);
    assert_eq!(text, "flavour: `netscape` is not one of headless-shell, chromium");
}

#[test]
fn a_flavour_without_a_browser_says_what_there_is() {
    let one = Capabilities {
        flavours: vec![Flavour::Chromium],
        isolation: "shared-user",
        limits_cpu: false,
    };
    let config = Config::default();
    let refused = plan_with(r#"{"flavour": "headless-shell"}"#, &config, &one).unwrap_err();
    assert!(refused.to_string().ends_with("it has chromium"), "{refused}");
    assert_eq!(plan_with("{}", &config, &one).unwrap().flavour, Flavour::Chromium);
    let none = Capabilities { flavours: vec![], isolation: "shared-user", limits_cpu: false };
    let refused = plan_with("{}", &config, &none).unwrap_err();
    assert!(refused.to_string().ends_with("it has none"), "{refused}");
}

#[test]
fn a_time_to_live_beyond_the_longest_is_refused() {
    let text = problem(r#"{"ttl": "25h"}"#);
    assert_eq!(text, "ttl: `1d1h` is longer than the longest, 1d");
    assert!(problem(r#"{"ttl": "0s"}"#).starts_with("ttl: must be more than 0"));
    let endless = Config { max_ttl: Duration::ZERO, ..Config::default() };
    assert_eq!(plan_with(r#"{"ttl": "0s"}"#, &endless, &both()).unwrap().ttl, Duration::ZERO);
}

#[test]
fn switches_that_are_ours_are_refused_each_by_name() {
    let body = r#"{"flags": ["--user-data-dir=/tmp/x", "--remote-debugging-port=1", "--no-sandbox",
        "lang=de", "--", "--ok", "--a\nb"]}"#;
    let text = problem(body);
    for part in [
        "`--user-data-dir` is set by the node",
        "`--remote-debugging-port` is set by the node",
        "`--no-sandbox` is refused",
        "`lang=de` must start with `--`",
        "`--` must start with `--` and a name",
        r"`--a\nb` has a control character",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text:?}");
    }
    assert!(!text.contains("--ok"), "{text}");
    let allowed = Config { allow_no_sandbox: true, ..Config::default() };
    assert!(plan_with(r#"{"flags": ["--no-sandbox"]}"#, &allowed, &both()).is_ok());
}

#[test]
fn variables_that_are_ours_are_refused_each_by_name() {
    let body = r#"{"env": {"LD_PRELOAD": "x", "HOME": "/", "1A": "x", "OK": "y", "B": "\u0000"}}"#;
    let text = problem(body);
    for part in ["env.LD_PRELOAD: is set", "env.HOME: is set", "env.1A: is no name", "env.B: has"] {
        assert!(text.contains(part), "{part:?} is missing in {text:?}");
    }
    assert!(!text.contains("env.OK"), "{text}");
}

#[test]
fn a_request_may_only_shorten_the_wait_for_a_slot() {
    assert_eq!(plan(r#"{"queue_timeout": "0"}"#).unwrap().queue_timeout, Duration::ZERO);
    assert_eq!(plan(r#"{"queue_timeout": "1h"}"#).unwrap().queue_timeout.as_secs(), 30);
}
