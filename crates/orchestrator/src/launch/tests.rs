use lockkeeper_api::{DrainPolicy, ExpirePolicy};

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
    assert_eq!(
        (&plan.fixed[..], &plan.flags[..]),
        (&["--lang=de".into()][..], &["--mute-audio".into()][..])
    );
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

fn with_template(template: Template, body: &str, found: &Capabilities) -> Result<Plan, PlanError> {
    let templates = BTreeMap::from([("it".into(), template)]);
    let body = body.replacen('{', r#"{"template": "it", "#, 1);
    plan_with(&body, &Config { templates, ..Config::default() }, found)
}

#[test]
fn words_of_a_request_take_the_place_of_the_templates_and_stay_apart_from_its_switches() {
    let template = Template {
        viewport: Some("800x600".parse().unwrap()),
        user_agent: Some("One/1".into()),
        ..Template::default()
    };
    let body = r#"{"user_agent": "Two/2", "proxy": "proxy:3128", "flags": ["--mute-audio"]}"#;
    let plan = with_template(template, body, &both()).unwrap();
    let fixed = ["--window-size=800,600", "--user-agent=Two/2", "--proxy-server=proxy:3128"];
    assert_eq!(plan.fixed, fixed);
    assert_eq!(plan.flags, ["--mute-audio"]);
}

#[test]
fn words_that_mean_nothing_are_refused_each_by_name() {
    let text = problem(
        r#"{"viewport": "wide", "user_agent": "", "proxy": "htp://a:1", "extensions": ["x"]}"#,
    );
    for part in [
        "viewport: must be two numbers",
        "user_agent: must not be empty",
        "proxy: `htp` is no kind of proxy, did you mean `http`?",
        "extensions: x must be an absolute path",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text:?}");
    }
}

#[test]
fn extensions_ask_for_the_full_browser() {
    let body = r#"{"extensions": ["/opt/a"]}"#;
    assert_eq!(plan(body).unwrap().flavour, Flavour::Chromium);
    let small = Capabilities { flavours: vec![Flavour::HeadlessShell], ..both() };
    let refused = plan_with(body, &Config::default(), &small).unwrap_err();
    assert!(matches!(refused, PlanError::Unsupported { wanted: Flavour::Chromium, .. }));
    let text = problem(r#"{"extensions": ["/opt/a"], "flavour": "headless-shell"}"#);
    assert_eq!(text, "extensions: are loaded by the full browser only; ask for chromium");
    let template = Template {
        flavour: Some(Flavour::Chromium),
        extensions: vec!["/opt/a".into()],
        ..Template::default()
    };
    let refused = with_template(template, r#"{"flavour": "headless-shell"}"#, &both()).unwrap_err();
    let text = "flavour: must be chromium, as the template has extensions";
    assert_eq!(refused.to_string(), text);
}

#[test]
fn what_follows_its_end_is_the_requests_then_the_templates() {
    let template = || Template {
        on_expire: Some(ExpirePolicy::Pause),
        on_drain: Some(DrainPolicy::Pause),
        auto_resume: Some(false),
        ..Template::default()
    };
    let policies = |body| with_template(template(), body, &both()).unwrap().policies;
    let (on_expire, on_drain) = (ExpirePolicy::Pause, DrainPolicy::Pause);
    let parked = Policies { on_expire, on_drain, auto_resume: false };
    assert_eq!(policies(r#"{"id": "a"}"#), parked);
    let body = r#"{"on_expire": "stop", "auto_resume": true}"#;
    let asked = Policies { on_expire: ExpirePolicy::Stop, on_drain, auto_resume: true };
    assert_eq!(policies(body), asked);
}
