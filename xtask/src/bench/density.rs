//! `bench density`: adds idle sandboxes until something runs out, and says what.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lockkeeper_tests::Cdp;
use serde_json::json;
use testkit::daemon::{Daemon, Options};
use testkit::procs;

use super::Bench;
use super::chart::Chart;
use super::figure::Figure;
use super::run::Run;
use super::stats::median;

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "density",
    about: "idle headless-shell sandboxes beside each other, until memory, descriptors or start \
            latency run out",
    take,
};

/// Sandboxes that are added between two looks.
const STEP: usize = 5;
/// MiB of memory below which the machine begins to swap or to kill.
pub(super) const MEMORY_LEFT: f64 = 1024.0;
/// A start that takes this long is no longer what a user waits for.
const SLOWEST_START: Duration = Duration::from_secs(5);
/// Idle time over which the processor use of all sandboxes is taken.
const IDLE: Duration = Duration::from_secs(10);
/// Sessions and subscribers that are opened to see what one costs the daemon.
const OPEN: usize = 100;

/// The state at one number of sandboxes.
struct Look {
    sandboxes: usize,
    /// Proportional memory of all browsers, MiB.
    browsers: f64,
    /// Proportional memory of the daemon, MiB.
    daemon: f64,
    /// The slowest start since the last look, milliseconds.
    slowest: f64,
}

fn take(run: &Run) -> Result<Vec<Figure>> {
    let binary = run.release("lockkeeperd")?;
    let most = run.pick(run.most(), run.most().min(2 * STEP));
    let options = Options::new(binary).env("LOCKKEEPER_MAX_SANDBOXES", "10000");
    let mut daemon = options.start().map_err(|e| anyhow!(e))?;
    let mut looks = vec![look(&daemon, 0, 0.0)?];
    let (mut ids, mut sockets) = (Vec::new(), Vec::new());
    let limit = loop {
        let mut slowest = 0.0_f64;
        for _ in 0..STEP {
            let from = Instant::now();
            let body = json!({ "flavour": "headless-shell", "ttl": "24h" });
            let sandbox = daemon.create(&body).map_err(|e| anyhow!(e))?;
            slowest = slowest.max(from.elapsed().as_secs_f64() * 1e3);
            sockets.push(sandbox["ws_url"].as_str().context("no ws_url")?.to_owned());
            ids.push(sandbox["id"].as_str().context("no id")?.to_owned());
        }
        looks.push(look(&daemon, sockets.len(), slowest)?);
        if let Some(limit) = exhausted(daemon.pid(), slowest, run.leave())? {
            break limit;
        }
        if sockets.len() >= most {
            break "the number asked for with --max";
        }
    };
    let (first, last) = (&looks[0], &looks[looks.len() - 1]);
    let count = last.sandboxes as f64;
    let case = format!("{} idle sandboxes", last.sandboxes);
    let cpu = run.sample(|| idle_cpu(&daemon))?;
    let mut figures = vec![
        run.figure(format!("the limit was {limit}"), "sandboxes", "", count),
        run.figure(&case, "memory per sandbox", "MiB", last.browsers / count),
        run.figure(&case, "sandboxes per GiB", "", 1024.0 * count / last.browsers),
        run.figure(&case, "CPU of all browsers", "% of a core", cpu.browsers),
        run.figure(&case, "CPU of the daemon", "% of a core", cpu.daemon),
        run.figure(
            &case,
            "daemon memory per sandbox",
            "KiB",
            (last.daemon - first.daemon) * 1024.0 / count,
        ),
        run.figure(&case, "slowest of the last five starts", "ms", last.slowest),
    ];
    figures.push(run.figure(
        format!("{OPEN} sessions"),
        "daemon memory per session",
        "KiB",
        per_session(&daemon, &sockets)?,
    ));
    figures.push(run.figure(
        format!("{OPEN} readers of the stream of events"),
        "daemon memory per reader",
        "KiB",
        per_reader(&daemon)?,
    ));
    figures.extend(pausing(run, &daemon, &ids, &sockets[0])?);
    drop(daemon);
    draw(run, &looks)?;
    Ok(figures)
}

/// What has run out, if anything.
fn exhausted(daemon: i32, slowest: f64, leave: f64) -> Result<Option<&'static str>> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let left = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let left: f64 = left.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
    let limits = fs::read_to_string(format!("/proc/{daemon}/limits"))?;
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = files.and_then(|l| l.split_whitespace().next()?.parse::<usize>().ok());
    let open = procs::open_files(daemon).context("the daemon has gone")?;
    Ok(if left / 1024.0 < leave {
        Some("memory: no more left than --leave")
    } else if files.is_some_and(|most| open + 50 > most) {
        Some("descriptors of the daemon")
    } else if slowest > SLOWEST_START.as_secs_f64() * 1e3 {
        Some("start latency: over 5 s")
    } else {
        None
    })
}

fn look(daemon: &Daemon, sandboxes: usize, slowest: f64) -> Result<Look> {
    // A browser goes on with its start for a moment after it is ready.
    thread::sleep(Duration::from_secs(1));
    let browsers = procs::descendants(daemon.pid());
    Ok(Look {
        sandboxes,
        browsers: browsers.iter().filter_map(|p| procs::proportional(p.pid)).map(mib).sum(),
        daemon: memory(daemon)?,
        slowest,
    })
}

/// Proportional memory of the daemon alone, MiB.
fn memory(daemon: &Daemon) -> Result<f64> {
    Ok(mib(procs::proportional(daemon.pid()).context("the daemon has gone")?))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

struct Cpu {
    browsers: f64,
    daemon: f64,
}

/// Processor use while nobody asks for anything, in per cent of one core.
fn idle_cpu(daemon: &Daemon) -> Result<Cpu> {
    let (from, before) = (Instant::now(), threads(daemon.pid()));
    thread::sleep(IDLE);
    let (after, wall) = (threads(daemon.pid()), from.elapsed().as_nanos() as f64);
    let mut cpu = Cpu { browsers: 0.0, daemon: 0.0 };
    // A thread that began meanwhile began at nothing; what one used that has ended is not known.
    for ((pid, thread), now) in after {
        let share = 100.0 * (now - before.get(&(pid, thread)).copied().unwrap_or(0.0)) / wall;
        if pid == daemon.pid() {
            cpu.daemon += share;
        } else {
            cpu.browsers += share;
        }
    }
    Ok(cpu)
}

/// Nanoseconds on a processor of each thread of the daemon and of all below it, by process and
/// thread.
fn threads(daemon: i32) -> BTreeMap<(i32, i32), f64> {
    let family = procs::descendants(daemon).into_iter().map(|p| p.pid).chain([daemon]);
    let tasks = family.flat_map(|pid| {
        let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
        entries.filter_map(move |entry| Some((pid, entry.ok()?)))
    });
    let used = tasks.filter_map(|(pid, task)| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let thread = task.file_name().to_str()?.parse().ok()?;
        Some(((pid, thread), text.split_whitespace().next()?.parse().ok()?))
    });
    used.collect()
}

/// What is left of all sandboxes once they are paused, and how soon one is back for a client.
fn pausing(run: &Run, daemon: &Daemon, ids: &[String], socket: &str) -> Result<Vec<Figure>> {
    let case = format!("{} sandboxes, all paused", ids.len());
    let mut times = Vec::new();
    for id in ids {
        let from = Instant::now();
        let answer = daemon.call("POST", &format!("/v1/sandboxes/{id}/pause"), None);
        let answer = answer.map_err(|e| anyhow!(e))?;
        ensure!(answer.status == 200, "{id} was not paused: {}", answer.body);
        times.push(from.elapsed().as_secs_f64() * 1e3);
    }
    let after = look(daemon, ids.len(), 0.0)?;
    // The client needs nothing but the address it has.
    let from = Instant::now();
    let mut client = Cdp::open(socket).map_err(|e| anyhow!(e))?;
    client.command("Browser.getVersion", &json!({})).map_err(|e| anyhow!(e))?;
    let back = from.elapsed().as_secs_f64() * 1e3;
    Ok(vec![
        run.figure(&case, "memory of all browsers", "MiB", after.browsers),
        run.figure(&case, "memory of the daemon", "MiB", after.daemon),
        run.figure(&case, "time to pause one, median", "ms", median(&times)),
        run.figure(&case, "connect to the first answer of a paused one", "ms", back),
    ])
}

/// KiB of the daemon for each open and idle session, spread over the sandboxes.
fn per_session(daemon: &Daemon, sockets: &[String]) -> Result<f64> {
    let open = || -> Result<Vec<Cdp>> {
        let urls = sockets.iter().cycle().take(OPEN);
        urls.map(|url| Cdp::open(url).map_err(|e| anyhow!(e))).collect()
    };
    each(daemon, open)
}

/// KiB of the daemon for each reader that follows the events.
fn per_reader(daemon: &Daemon) -> Result<f64> {
    each(daemon, || (0..OPEN).map(|_| daemon.events_from_now().map_err(|e| anyhow!(e))).collect())
}

/// KiB of the daemon for each of [`OPEN`] things. As many are open already, so that what the first
/// ones make it keep does not count, and nothing that was given back is used again.
fn each<T>(daemon: &Daemon, open: impl Fn() -> Result<Vec<T>>) -> Result<f64> {
    let first = open()?;
    let before = memory(daemon)?;
    let held = open()?;
    let grown = memory(daemon)? - before;
    drop((first, held));
    Ok(grown.max(0.0) * 1024.0 / OPEN as f64)
}

/// The chart beside the page, and the numbers it is drawn from.
fn draw(run: &Run, looks: &[Look]) -> Result<()> {
    let points = |of: fn(&Look) -> f64| -> Vec<(f64, f64)> {
        looks.iter().map(|look| (look.sandboxes as f64, of(look))).collect()
    };
    let chart = Chart {
        title: "Idle headless-shell sandboxes on one node",
        x: "sandboxes",
        y: "proportional memory, MiB",
        lines: vec![
            ("all browsers", points(|look| look.browsers)),
            ("lockkeeperd", points(|look| look.daemon)),
        ],
    };
    let path = run.pick(crate::tools::root().join("docs/density.svg"), run.out("density.svg")?);
    fs::write(&path, chart.svg()).with_context(|| format!("{} not written", path.display()))?;
    crate::progress::note(&format!("chart: {}", path.display()));
    Ok(())
}
