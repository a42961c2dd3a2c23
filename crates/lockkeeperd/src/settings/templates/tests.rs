use super::*;

fn section(text: &str) -> Result<BTreeMap<String, Template>, Vec<String>> {
    let file: Table = text.parse().unwrap();
    read(file.get("templates"))
}

#[test]
fn a_template_is_read_with_everything_it_may_say() {
    let text = r#"
        [templates.full]
        flavour = "chromium"
        browser_path = "/opt/chrome/chrome"
        flags = ["--mute-audio"]
        viewport = "1280x720"
        user_agent = "Robot/1.0"
        proxy = "http://127.0.0.1:3128"
        extensions = ["/opt/extension"]
        env = { TZ = "UTC" }
        limits = { memory = "2 GiB", pids = 500, cpu = 1.5 }
        ttl = "30m"
        idle = "0"
        on_crash = "stop"
        on_close = "relaunch"
        on_expire = "pause"
        on_drain = "pause"
        auto_resume = false
        runner = { command = ["/bin/agent", "-v"], env = { MODE = "quiet" }, ready_path = "/health", required = true, on_exit = "stop", start_timeout = "5s", stop_on_run_finished = true }
        pool = 3
        overridable = ["env", "viewport", "user_agent", "proxy", "extensions", "on_drain"]
        [templates.bare]
    "#;
    let templates = section(text).unwrap();
    let full = Template {
        flavour: Some(Flavour::Chromium),
        browser: Some("/opt/chrome/chrome".into()),
        flags: vec!["--mute-audio".to_owned()],
        viewport: Some(Viewport { width: 1280, height: 720 }),
        user_agent: Some("Robot/1.0".to_owned()),
        proxy: Some("http://127.0.0.1:3128".to_owned()),
        extensions: vec!["/opt/extension".into()],
        env: [("TZ".to_owned(), "UTC".to_owned())].into(),
        limits: LaunchLimits { memory: Some(2 << 30), pids: Some(500), cpu: Some(1500) },
        ttl: Some(Duration::from_secs(1800)),
        idle: Some(Duration::ZERO),
        on_crash: Some(OnExit::Stop),
        on_close: Some(OnExit::Relaunch),
        on_expire: Some(ExpirePolicy::Pause),
        on_drain: Some(DrainPolicy::Pause),
        auto_resume: Some(false),
        runner: Some(RunnerTemplate {
            command: vec!["/bin/agent".to_owned(), "-v".to_owned()],
            env: [("MODE".to_owned(), "quiet".to_owned())].into(),
            ready_path: "/health".to_owned(),
            required: true,
            on_exit: OnExit::Stop,
            start_timeout: Duration::from_secs(5),
            stop_on_run_finished: true,
        }),
        pool: 3,
        overridable: [
            Override::Env,
            Override::Viewport,
            Override::UserAgent,
            Override::Proxy,
            Override::Extensions,
            Override::OnDrain,
        ]
        .into(),
    };
    assert_eq!(templates["full"], full);
    assert_eq!(templates["bare"].overridable, Override::USUAL.into());
    assert_eq!(section("").unwrap(), BTreeMap::new());
}

#[test]
fn every_mistake_of_every_template_is_named_with_its_key() {
    let text = r#"
        [templates]
        plain = 3
        [templates.a]
        flavor = "chromium"
        viewport = "big"
        flags = "--mute-audio"
        env = { TZ = 1 }
        ttl = "30"
        on_crash = "restart"
        on_expire = "park"
        auto_resume = "no"
        pool = -1
        overridable = ["memory"]
        limits = { memory = "1 MiB", pids = 1, cpu = 0, disk = 3 }
        runner = { comand = ["/bin/agent"], on_exit = "pause" }
        [templates."a b"]
        quux = 1
    "#;
    let mistakes = section(text).unwrap_err();
    for part in [
        "templates.a.flavor is unknown; did you mean flavour?",
        "templates.a.viewport must be two numbers",
        "templates.a.flags must be an array of texts",
        "templates.a.runner.comand is unknown; did you mean command?",
        "templates.a.runner.on_exit cannot be \"pause\"; it is one of restart, stop",
        "templates.a.env must be a table of texts",
        "templates.a.ttl \"30\" has a number without a unit",
        "templates.a.on_crash cannot be \"restart\"; it is one of relaunch, stop",
        "templates.a.on_expire cannot be \"park\"; it is one of stop, pause",
        "templates.a.auto_resume must be true or false",
        "templates.a.pool must be a whole number from 0 to 1000",
        "templates.a.overridable cannot be \"memory\"",
        "templates.a.limits.memory must be at least 128 MiB",
        "templates.a.limits.pids must be a whole number from 64",
        "templates.a.limits.cpu must be a number of cores",
        "templates.a.limits.disk is unknown",
        "templates.a b: a name has",
        "templates.a b.quux is unknown; the known keys are flavour",
        "templates.plain must be a table",
    ] {
        assert!(mistakes.iter().any(|m| m.starts_with(part)), "{part:?} is not in {mistakes:#?}");
    }
    assert_eq!(mistakes.len(), 19, "{mistakes:#?}");
}
