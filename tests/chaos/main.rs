//! Chaos: real daemons, browsers and clients, and faults from a seed. What was done is compared
//! with what was reported; what is left at the end is looked for.

mod browser;
mod fault;
mod ledger;
mod report;
mod round;
mod scene;
mod session;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lockkeeper_tests::daemon;
use testkit::daemon::StateDir;

use crate::report::Report;
use crate::round::{Ending, Plan};
use crate::scene::Scene;
use crate::session::MEMORY;

/// How much is done.
struct Arguments {
    seed: u64,
    sessions: usize,
    limit: Duration,
    profile: String,
    /// The only scene to be played, without any round.
    scene: Option<String>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if browser::is_wanted(&args) {
        return browser::main(&args);
    }
    match parse(&args).and_then(|arguments| run(&arguments)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// `--seed N --sessions N --minutes M --profile quick|full --scene NAME`, each at most once.
fn parse(args: &[String]) -> Result<Arguments, String> {
    let find = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        Some(args.get(at + 1).cloned().unwrap_or_default())
    };
    let number = |name: &str| match find(name) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|e| format!("{name} {text:?}: {e}")),
    };
    let profile = find("--profile").unwrap_or_else(|| "quick".to_owned());
    let (sessions, minutes) = match profile.as_str() {
        "quick" => (400, 4),
        "full" => (10_000, 60),
        other => return Err(format!("--profile is quick or full, not {other:?}")),
    };
    let sessions = number("--sessions")?.unwrap_or(sessions).max(1);
    let minutes = number("--minutes")?.unwrap_or(minutes).max(1);
    Ok(Arguments {
        seed: number("--seed")?.unwrap_or_else(|| fastrand::u64(0..1_000_000_000)),
        sessions: usize::try_from(sessions).map_err(|e| e.to_string())?,
        limit: Duration::from_secs(minutes.saturating_mul(60)),
        profile,
        scene: find("--scene"),
    })
}

/// Sessions of one round with scripted browsers, and with Chromium.
const ROUND: usize = 120;
const REAL_ROUND: usize = 16;
/// Rounds between two plays of all scenes.
const SCENES_EVERY: usize = 40;

/// Runs rounds until the sessions are done or the time is over; returns the differences.
fn run(arguments: &Arguments) -> Result<usize, String> {
    let Arguments { seed, sessions, limit, profile, scene } = arguments;
    let repeat = format!(
        "cargo xtask chaos --profile {profile} --seed {seed} --sessions {sessions} --minutes {}",
        limit.as_secs() / 60
    );
    println!("repeat with: {repeat}");
    let until = Instant::now() + *limit;
    let go = || Instant::now() < until;
    let mut rng = fastrand::Rng::with_seed(*seed);
    let mut report = Report::default();
    let scripted = Scripted::install()?;
    if let Some(name) = scene {
        play(&scripted, &mut rng, &mut report, |scene| scene.name == name)?;
    }
    while scene.is_none() && go() && report.sessions < *sessions {
        if report.rounds.is_multiple_of(SCENES_EVERY) {
            play(&scripted, &mut rng, &mut report, |_| true)?;
        }
        // Every sixth round is with Chromium, the first one among them.
        let real = report.rounds % 6 == 0;
        let ending = Ending::ALL[report.rounds % Ending::ALL.len()];
        let most = if real { REAL_ROUND } else { ROUND };
        let options = daemon().env("LOCKKEEPER_MAX_SANDBOXES", "64");
        let plan = Plan {
            options: match real {
                true => options,
                false => options
                    .env("LOCKKEEPER_BROWSER", scripted.path())
                    .env("LOCKKEEPER_SANDBOX_MEMORY", MEMORY),
            },
            ending,
            workers: if real { 2 } else { 8 },
            sessions: most.min(sessions.saturating_sub(report.sessions)),
            real,
            rng: rng.fork(),
            go: &go,
        };
        let began = Instant::now();
        let result = round::run(plan)?;
        report.rounds += 1;
        let before = report.differences();
        report.add(result.outcomes);
        report.wrong.extend(result.wrong);
        println!(
            "round {}: {}, {} browsers, {} sessions so far, {} differences, {:.1} s",
            report.rounds,
            ending.word(),
            if real { "real" } else { "scripted" },
            report.sessions,
            report.differences() - before,
            began.elapsed().as_secs_f64()
        );
    }
    println!();
    report.print();
    let folder = target().join("chaos").join(seed.to_string());
    report.write(&folder, *seed, &repeat).map_err(|e| format!("{}: {e}", folder.display()))?;
    println!(
        "\n{} sessions in {} rounds, {} differences; repeat with: {repeat}",
        report.sessions,
        report.rounds,
        report.differences()
    );
    Ok(report.differences())
}

/// Plays the scenes that are `wanted`, and says which this machine lacks something for.
fn play(
    scripted: &Scripted,
    rng: &mut fastrand::Rng,
    report: &mut Report,
    wanted: impl Fn(&Scene) -> bool,
) -> Result<(), String> {
    let scenes: Vec<&Scene> = scene::ALL.iter().filter(|scene| wanted(scene)).collect();
    if scenes.is_empty() {
        let names: Vec<&str> = scene::ALL.iter().map(|scene| scene.name).collect();
        return Err(format!("--scene is one of {names:?}"));
    }
    for scene in scenes {
        let rng = rng.fork();
        if let Some(cause) = (scene.missing)() {
            report.skipped.insert(scene.name, cause);
            println!("scene: {}: skipped: {cause}", scene.name);
            continue;
        }
        let (began, before) = (Instant::now(), report.differences());
        let result = scene::play(scene, &PathBuf::from(scripted.path()), rng);
        report.add(result.outcomes);
        report.wrong.extend(result.wrong);
        let differences = report.differences() - before;
        let took = began.elapsed().as_secs_f64();
        println!("scene: {}: {differences} differences, {took:.1} s", scene.name);
    }
    Ok(())
}

/// This program where the sandboxes' users can execute it, to be started in place of a browser.
struct Scripted(std::sync::Arc<StateDir>);

impl Scripted {
    fn install() -> Result<Self, String> {
        let folder = StateDir::create().map_err(|e| e.to_string())?;
        let this = std::env::current_exe().map_err(|e| e.to_string())?;
        let scripted = Self(folder);
        let path = PathBuf::from(scripted.path());
        std::fs::copy(this, &path).map_err(|e| format!("{}: {e}", path.display()))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(scripted)
    }

    fn path(&self) -> String {
        self.0.path().join("scripted-browser").display().to_string()
    }
}

/// The build's target folder, two above this program.
fn target() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
}
