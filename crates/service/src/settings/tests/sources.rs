use super::*;

#[test]
fn later_places_win_default_file_environment_flag() {
    let given = Given::default().file("a.toml", "workers = 5\ngrace = \"20s\"\nmode = \"off\"");
    let given = given.env("LOCKKEEPER_WORKERS", "6").env("LOCKKEEPER_GRACE", "30s");
    let values = given.values(&["--config", "a.toml", "--workers", "7"]);
    assert_eq!(values.get(&WORKERS), 7);
    assert_eq!(values.get(&GRACE), Duration::from_secs(30));
    assert_eq!(values.get(&MODE), "off");
    assert_eq!(values.get(&CACHE), Size(1 << 30));
    let source = |setting| values.source(setting).expect("known").to_string();
    assert_eq!(source(WORKERS.setting()), "flag --workers");
    assert_eq!(source(GRACE.setting()), "environment LOCKKEEPER_GRACE");
    assert_eq!(source(MODE.setting()), "a.toml:3");
    assert_eq!(source(CACHE.setting()), "default");
}

#[test]
fn every_mistake_is_reported_at_once_each_with_its_place() {
    let file = "wokers = 5\ngrace = \"10\"\n\n[templates.x]\ny = 1\n";
    let given = Given::default()
        .file("a.toml", file)
        .env("LOCKKEEPER_CACHE", "1 GB")
        .env("LOCKKEEPER_LISTEN", "localhost");
    let mistakes =
        given.mistakes(&["--config=a.toml", "--workers=99", "--mode", "on", "--grce=1s"]);
    assert_eq!(
        mistakes,
        [
            "a.toml:1: unknown setting wokers; did you mean workers?",
            "a.toml:2: \"10\" has a number without a unit; \
             write it like 250ms, 10s, 15m, 24h or 7d",
            "environment LOCKKEEPER_LISTEN: \"localhost\" is not an address; \
             write it like 127.0.0.1:7300",
            "environment LOCKKEEPER_CACHE: \"1 GB\" has the unknown unit \"GB\"; \
             write it like 32 KiB, 512 MiB or 1 GiB",
            "flag --grce: is not a flag; did you mean --grace?",
            "flag --workers: \"99\" is outside its range, 1 to 64",
            "flag --mode: \"on\" is not one of auto, off",
        ]
    );
}

#[test]
fn a_mistake_is_reported_also_where_a_later_place_would_win() {
    let given = Given::default().env("LOCKKEEPER_WORKERS", "many");
    let mistakes = given.mistakes(&["--workers", "7"]);
    assert_eq!(mistakes, ["environment LOCKKEEPER_WORKERS: \"many\" is not a whole number"]);
}

#[test]
fn a_settings_mistake_ends_with_64_and_says_how_many() {
    let error = Given::default().load(&["--workers=0", "--mode=x"]).expect_err("two");
    assert_eq!(error.exit_status().code(), 64);
    let text = error.to_string();
    assert!(text.starts_with("2 mistakes in the settings, nothing was started:\n  flag"), "{text}");
}

#[test]
fn unknown_names_of_the_environment_only_warn() {
    let given = Given::default()
        .env("LOCKKEEPER_PORT_7300_TCP", "tcp://10.0.0.1:7300")
        .env("LOCKKEEPER_WORKRS", "5")
        .env("PATH", "/bin");
    let values = given.values(&[]);
    assert_eq!(
        values.warnings(),
        [
            "environment LOCKKEEPER_PORT_7300_TCP is not a setting",
            "environment LOCKKEEPER_WORKRS is not a setting; did you mean WORKERS?",
        ]
    );
}

#[test]
fn some_names_also_work_without_the_prefix_and_must_then_agree() {
    let plain = Given::default().env("FORCE", "true").env("WORKERS", "9");
    assert!(plain.values(&[]).get(&FORCE));
    assert_eq!(plain.values(&[]).get(&WORKERS), 4, "this one does not");
    let same = Given::default().env("FORCE", "yes").env("LOCKKEEPER_FORCE", "true");
    assert!(same.values(&[]).get(&FORCE), "the same value, written differently");
    let differ = Given::default().env("FORCE", "true").env("LOCKKEEPER_FORCE", "false");
    let expected = "settings: environment FORCE and environment LOCKKEEPER_FORCE differ; keep one";
    assert_eq!(differ.mistakes(&[]), [expected]);
}

#[test]
fn a_secret_comes_from_the_environment_or_from_a_file_of_any_place() {
    let exposed = |given: &Given, args: &[&str]| {
        given.values(args).find(&KEY).map(|key| key.expose().to_owned())
    };
    let given = Given::default().file("key", "s3cret\n").file("a.toml", "key_file = \"key\"");
    let found = Some("s3cret".to_owned());
    assert_eq!(exposed(&given, &[]), None);
    assert_eq!(exposed(&given, &["--config", "a.toml"]), found);
    assert_eq!(exposed(&given, &["--key-file", "key"]), found);
    let by_env = Given::default().env("LOCKKEEPER_KEY", "s3cret");
    assert_eq!(exposed(&by_env, &[]), found);
    let by_env_file = given.env("LOCKKEEPER_KEY_FILE", "key");
    assert_eq!(exposed(&by_env_file, &[]), found);
    let both = by_env_file.env("LOCKKEEPER_KEY", "s3cret");
    let expected = "settings: environment LOCKKEEPER_KEY_FILE and environment LOCKKEEPER_KEY \
                    are both set; keep one";
    assert_eq!(both.mistakes(&[]), [expected]);
}

#[test]
fn a_secret_is_never_shown_and_never_taken_from_the_command_line() {
    let given = Given::default().env("LOCKKEEPER_KEY", "s3cret");
    let values = given.values(&[]);
    assert!(!format!("{values:?} {:?}", values.find(&KEY)).contains("s3cret"));
    assert!(!given.printed(&["--check"]).contains("s3cret"));
    let mistakes = Given::default().env("LOCKKEEPER_KEY", "s3 cret").mistakes(&["--key=s3cret"]);
    assert_eq!(
        mistakes,
        [
            "environment LOCKKEEPER_KEY: holds a space, a control or a non-ASCII character",
            "flag --key: is not a flag, others could read it; use --key-file",
        ]
    );
    for args in [["--key", "s3cret"], ["--kye", "s3cret"]] {
        let mistakes = Given::default().mistakes(&args);
        assert!(mistakes.len() == 1 && !mistakes[0].contains("s3cret"), "{mistakes:?}");
    }
    let missing = Given::default().mistakes(&["--key-file", "nowhere"]);
    assert_eq!(missing, ["flag --key-file: nowhere cannot be read: no such file"]);
}

#[test]
fn the_file_says_what_it_cannot_hold_by_line() {
    let file = "workers = 1.5\nnames = [\"a\", \"b,c\"]\nMODE = \"off\"\ngrace = 10\nlisten = {}\n";
    let mistakes = Given::default().file("a.toml", file).mistakes(&["--config", "a.toml"]);
    assert_eq!(
        mistakes,
        [
            "a.toml:1: workers cannot be a number with a point; write a number",
            "a.toml:2: names cannot be a text with a comma; write an array of strings",
            "a.toml:3: unknown setting MODE; did you mean mode?",
            "a.toml:4: \"10\" has a number without a unit; \
             write it like 250ms, 10s, 15m, 24h or 7d",
            "a.toml:5: listen cannot be a table; write a string",
        ]
    );
}

#[test]
fn a_file_that_does_not_parse_or_is_missing_is_a_mistake() {
    let broken = Given::default().file("a.toml", "workers = 5\ngrace = = 3\n");
    let mistakes = broken.mistakes(&["--config", "a.toml"]);
    assert!(mistakes.iter().any(|mistake| mistake.starts_with("a.toml:2: ")), "{mistakes:?}");
    let missing = Given::default().mistakes(&["--config", "b.toml"]);
    assert_eq!(missing, ["flag --config: b.toml cannot be read: no such file"]);
}

#[test]
fn lists_are_arrays_in_the_file_and_commas_elsewhere() {
    let given = Given::default().file("a.toml", "names = [\"a\", \"b\"]");
    assert_eq!(given.values(&["--config", "a.toml"]).get(&NAMES), ["a", "b"]);
    let given = Given::default().env("LOCKKEEPER_NAMES", " a, b ,,c");
    assert_eq!(given.values(&[]).get(&NAMES), ["a", "b", "c"]);
    let given = Given::default().env("LOCKKEEPER_NAMES", "");
    assert!(given.values(&[]).get(&NAMES).is_empty());
}

#[test]
fn flags_that_are_wrong_in_themselves_are_mistakes() {
    let given = Given::default();
    assert_eq!(given.mistakes(&["--workers"]), ["flag --workers: needs a value"]);
    assert_eq!(given.mistakes(&["--workers", "--check"]), ["flag --workers: needs a value"]);
    assert_eq!(given.mistakes(&["run"]), ["flag run: is not a flag; values follow flags"]);
    let twice = given.mistakes(&["--workers=1", "--workers=2"]);
    assert_eq!(twice, ["flag --workers: is given twice"]);
    let values = given.values(&["--force", "--names=a"]);
    assert!(values.get(&FORCE), "a switch needs no value");
    assert!(!given.values(&["--force=false"]).get(&FORCE));
}

#[test]
fn sections_are_left_to_the_daemon_and_others_are_unknown() {
    let file = "[templates.small]\nwidth = 800\n[template]\nx = 1\n";
    let given = Given::default().file("a.toml", file);
    let mistakes = given.mistakes(&["--config", "a.toml"]);
    assert_eq!(mistakes, ["a.toml:3: unknown setting template; did you mean templates?"]);
    let given = Given::default().file("a.toml", "[templates.small]\nwidth = 800\n");
    let values = given.values(&["--config", "a.toml"]);
    let width = values.section("templates").and_then(|t| t["small"]["width"].as_integer());
    assert_eq!(width, Some(800));
}

#[test]
fn a_rule_sees_all_values_and_is_skipped_while_one_of_them_is_wrong() {
    let rule = |values: &Values| {
        let clash = values.get(&FORCE) && values.get(&WORKERS) > 10;
        let text = format!("FORCE with {} WORKERS", values.get(&WORKERS));
        if clash { vec![Finding::Mistake(text)] } else { vec![Finding::Warning(text)] }
    };
    let table = || table().rule([FORCE.setting(), WORKERS.setting()], rule);
    let load = |args: &[&str]| load(&table(), args.iter().map(OsString::from), &Given::default());
    let Ok(Invocation::Run(values)) = load(&["--force"]) else { panic!("no mistake") };
    assert_eq!(values.warnings(), ["FORCE with 4 WORKERS"]);
    let error = load(&["--force", "--workers=11"]).expect_err("a clash");
    assert_eq!(error.0.len(), 1);
    assert_eq!(error.0[0].to_string(), "settings: FORCE with 11 WORKERS");
    let error = load(&["--force", "--workers=99"]).expect_err("out of range");
    assert_eq!(error.0.len(), 1, "{error}");
}
