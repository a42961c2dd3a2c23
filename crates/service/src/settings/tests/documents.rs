use super::*;
use crate::http::HttpLimits;
use crate::settings::shared;
use crate::shutdown::ShutdownSettings;

#[test]
fn help_names_every_setting_with_default_and_range() {
    let help = Given::default().printed(&["--workers=nonsense", "--help"]);
    assert!(help.starts_with("testd 1.2.3\nTests settings.\n\nusage: testd [--config FILE]"));
    for line in [
        "  --workers <number>  [4, 1 to 64]",
        "  --grace <duration>  [10s, 1s to 1h; 0: does not wait]",
        "  --mode <one of a few>  [auto, auto, off]",
        "  --key-file <path>  [none]",
        "  --folder <path>  [searched for]",
    ] {
        assert!(help.lines().any(|have| have == line), "{line}\n{help}");
    }
    assert_eq!(Given::default().printed(&["--version"]), "testd 1.2.3");
}

#[test]
fn check_prints_every_value_with_its_source_and_reports_mistakes_like_a_start() {
    let given = Given::default().env("LOCKKEEPER_WORKERS", "5").env("LOCKKEEPER_KEY", "k");
    let text = given.printed(&["--check"]);
    assert!(text.starts_with("the settings of testd are good\n"), "{text}");
    assert!(text.contains("  WORKERS = 5  (environment LOCKKEEPER_WORKERS)"), "{text}");
    assert!(text.contains("  KEY = (set)  (environment LOCKKEEPER_KEY)\n"), "{text}");
    assert!(text.contains("  CACHE = 1 GiB  (default)\n"), "{text}");
    assert!(text.contains("  NAMES = (empty)  (default)\n"), "{text}");
    assert_eq!(given.mistakes(&["--check", "--workers=0"]).len(), 1);
}

#[test]
fn the_documentation_is_a_table_with_a_row_for_each_setting() {
    let page = table().markdown();
    assert!(page.contains("## Main\n\n| name | type | default | range | why |\n"), "{page}");
    for row in [
        "| `WORKERS` | number | `4` | 1 to 64 | How many work. |",
        "| `NAMES` | list | empty |  | Whom it knows. |",
        "| `KEY` | secret | none |  | What opens it. |",
        "| `FORCE` | true or false | `false` |  | Whether it waits at all. In the environment also \
         as `FORCE` without the prefix. |",
        "| `[templates]` | What is made. |",
    ] {
        assert!(page.lines().any(|have| have == row), "{row}\n{page}");
    }
}

fn shared_load(given: &Given, args: &[&str]) -> Result<Invocation, Mistakes> {
    let table = shared::table("testd", "1.2.3", "Tests settings.");
    load(&table, args.iter().map(OsString::from), given)
}

fn shared_values(args: &[&str]) -> Values {
    match shared_load(&Given::default().file("token", "t"), args) {
        Ok(Invocation::Run(values)) => values,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_shared_defaults_are_good_and_make_the_same_limits_as_the_types_do() {
    let values = shared_values(&[]);
    assert_eq!(values.warnings(), [""; 0]);
    assert_eq!(shared::http_limits(&values), HttpLimits::default());
    let loopback = ShutdownSettings { only_loopback: true, ..ShutdownSettings::default() };
    assert_eq!(shared::shutdown_settings(&values), loopback);
    assert_eq!(shared::listen_addresses(&values).len(), 1);
}

#[test]
fn a_listener_outside_loopback_without_a_token_is_a_mistake_on_either_port() {
    for args in [
        ["--api-listen=0.0.0.0:7300", "--log=info"],
        ["--api-listen=[::]:7300", "--log=info"],
        ["--admin-listen=192.0.2.1:9000", "--log=info"],
    ] {
        let error = shared_load(&Given::default(), &args).expect_err("no token");
        assert_eq!((error.0.len(), error.exit_status().code()), (1, 64), "{error}");
        assert!(error.to_string().contains("there is no TOKEN"), "{error}");
    }
    for args in [["--api-listen=127.9.9.9:1"], ["--api-listen=[::1]:1"]] {
        assert!(shared_load(&Given::default(), &args).is_ok(), "{args:?}");
    }
}

#[test]
fn a_token_in_clear_outside_loopback_is_a_warning() {
    let open = ["--api-listen=0.0.0.0:7300", "--token-file=token"];
    let values = shared_values(&open);
    assert_eq!(values.warnings().len(), 1);
    assert!(values.warnings()[0].contains("without TLS"), "{:?}", values.warnings());
    assert!(!shared::shutdown_settings(&values).only_loopback);
    let behind = [open[0], open[1], "--trusted-proxies=10.0.0.0/8"];
    assert_eq!(shared_values(&behind).warnings(), [""; 0]);
}

#[test]
fn the_drain_timeout_and_the_force_switch_work_without_the_prefix() {
    let given = Given::default().env("SHUTDOWN_DRAIN_TIMEOUT", "10s").env("FORCE_STOP", "1");
    let Ok(Invocation::Run(values)) = shared_load(&given, &[]) else { panic!("no mistake") };
    let shutdown = shared::shutdown_settings(&values);
    assert_eq!((shutdown.drain, shutdown.force_at_once), (Some(Duration::from_secs(10)), true));
    let given = given.env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "20s");
    assert!(shared_load(&given, &[]).is_err(), "two different values");
}

#[test]
fn the_access_settings_take_the_host_of_the_public_url() {
    let values = shared_values(&["--public-url=http://boxes.example.org:8080/base"]);
    let settings = shared::access_settings(&values, &shared::Files::default(), Default::default());
    assert_eq!(settings.public_host.as_deref(), Some("boxes.example.org"));
    let values = shared_values(&["--public-url=https://boxes.example.org"]);
    assert!(values.warnings()[0].contains("TRUSTED_PROXIES is empty"), "{:?}", values.warnings());
}

#[test]
fn the_state_folder_is_the_setting_the_systems_or_the_users() {
    let table = || Table::new("testd", "1", "Tests.").group("State", [shared::STATE_DIR.setting()]);
    let folder = |root: bool, given: &Given| {
        let values = match load(&table(), [], given) {
            Ok(Invocation::Run(values)) => values,
            other => panic!("{other:?}"),
        };
        shared::state_dir(&values, root, given).map(|path| path.display().to_string())
    };
    let home = Given::default().env("HOME", "/home/me");
    assert_eq!(folder(true, &home).as_deref(), Some("/var/lib/lockkeeper"));
    assert_eq!(folder(false, &home).as_deref(), Some("/home/me/.local/state/lockkeeper"));
    let xdg = home.env("XDG_STATE_HOME", "/state");
    assert_eq!(folder(false, &xdg).as_deref(), Some("/state/lockkeeper"));
    let set = xdg.env("LOCKKEEPER_STATE_DIR", "/mine");
    assert_eq!(folder(false, &set).as_deref(), Some("/mine"));
    assert_eq!(folder(false, &Given::default()), None);
    assert_eq!(folder(false, &Given::default().env("HOME", "relative")), None);
}

#[test]
fn a_certificate_and_its_key_need_each_other_and_make_a_listener_safe() {
    for (given, missing) in [("--tls-cert=c.pem", "TLS_KEY"), ("--tls-key=k.pem", "TLS_CERT")] {
        let error = shared_load(&Given::default(), &[given]).expect_err("one of two");
        assert_eq!((error.0.len(), error.exit_status().code()), (1, 64), "{error}");
        assert!(error.to_string().contains(&format!("{missing} is not")), "{error}");
    }
    let both = ["--tls-cert=c.pem", "--tls-key=k.pem", "--token-file=token"];
    let open = [both[0], both[1], both[2], "--api-listen=0.0.0.0:7300"];
    assert_eq!(shared_values(&open).warnings(), [""; 0]);
    let public = [both[0], both[1], "--public-url=https://boxes.example.org"];
    assert_eq!(shared_values(&public).warnings(), [""; 0]);
    let admin = [both[0], both[1], both[2], "--admin-listen=0.0.0.0:7301"];
    let values = shared_values(&admin);
    assert!(values.warnings()[0].starts_with("ADMIN_LISTEN"), "{:?}", values.warnings());
}
