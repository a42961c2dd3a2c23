//! Readers that others wrote: an `EventSource`, and Prometheus.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lockkeeper_tests::{Outcome, daemon, must, node};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::Daemon;

crate::facts! {
    an_event_source_resumes_across_restarts_without_a_gap_or_a_repetition,
}

/// What needs the packages of Prometheus.
pub(crate) const WITH_PROMETHEUS: &[crate::Fact] = &[(
    "prometheus_reads_the_metrics_and_finds_nothing_wrong",
    prometheus_reads_the_metrics_and_finds_nothing_wrong,
)];

const LIMIT: Duration = Duration::from_secs(20);
/// A client that starts a runtime of its own and waits between attempts.
const CLIENT: Duration = Duration::from_secs(60);

/// What a machine lacks for Prometheus, if it lacks something.
pub(crate) fn missing() -> Option<&'static str> {
    let there = ["prometheus", "promtool"].iter().all(|name| program(name).is_some());
    (!there).then_some("needs prometheus: cargo xtask setup")
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|e| e.to_string())
}

fn post(daemon: &Daemon, kind: &str) -> Outcome {
    let event = json!({ "type": kind, "category": "system" });
    let answer = daemon.call("POST", "/v1/telemetry/events", Some(&event))?;
    must!(answer.status == 200, "{answer:?}");
    Ok(())
}

fn an_event_source_resumes_across_restarts_without_a_gap_or_a_repetition() -> Outcome {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let mut current = daemon().env("LOCKKEEPER_API_LISTEN", listen.as_str()).start()?;
    let url = format!("{}/v1/telemetry/stream?replay=all", current.base());
    let client = node("events.mjs", &[&url])?;
    client.wait_step("event", LIMIT)?;
    for (times, end) in [(2, Signal::SIGTERM), (3, Signal::SIGKILL)] {
        for _ in 0..50 {
            post(&current, "test_event")?;
        }
        current.signal(end);
        current.wait_exit(LIMIT)?;
        let options = daemon().state(current.state());
        current = options.env("LOCKKEEPER_API_LISTEN", listen.as_str()).start()?;
        client.wait_step(&format!("open {times}"), CLIENT)?;
    }
    for _ in 0..50 {
        post(&current, "test_event")?;
    }
    post(&current, "test_end")?;
    let lines = client.finish(CLIENT)?;
    let of = |step: &str| lines.iter().filter(|line| line["step"] == step).collect::<Vec<_>>();
    must!(of("gap").is_empty(), "{:?}", of("gap"));
    let cursors: Vec<_> = of("event").iter().filter_map(|l| l["cursor"].as_str()).collect();
    let (epoch, _) = cursors[0].split_once('-').ok_or("no cursor")?;
    let all: Vec<_> = (1..=cursors.len()).map(|offset| format!("{epoch}-{offset}")).collect();
    must!(cursors == all, "not each event once, in order: {cursors:?}");
    must!(cursors.len() > 151, "only {} events", cursors.len());
    Ok(())
}

/// A running Prometheus; dropping it kills it.
struct Prometheus(Child, u16);

impl Prometheus {
    fn scraping(target: &str, folder: &Path) -> Result<Self, String> {
        let settings = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:\n- \
             {{job_name: lockkeeper, static_configs: [{{targets: ['{target}']}}]}}\n"
        );
        std::fs::write(&settings, text).map_err(|e| e.to_string())?;
        let port = free_port()?;
        let child = Command::new(program("prometheus").ok_or("there is no prometheus")?)
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        Ok(Self(child, port))
    }

    /// The value of a query, once there is one.
    fn wait_for(&self, query: &str, wanted: &str) -> Outcome {
        let until = Instant::now() + LIMIT;
        let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.1);
        loop {
            let answer = agent.get(&url).query("query", query).call();
            let text = answer.map(|mut answer| answer.body_mut().read_to_string());
            let text = text.map_err(|e| e.to_string()).and_then(|t| t.map_err(|e| e.to_string()));
            let read = text.as_deref().ok().and_then(|t| serde_json::from_str(t).ok());
            let read: serde_json::Value = read.unwrap_or_default();
            if read["data"]["result"][0]["value"][1] == wanted {
                return Ok(());
            }
            must!(Instant::now() < until, "{query} is not {wanted}: {text:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn prometheus_reads_the_metrics_and_finds_nothing_wrong() -> Outcome {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut daemon = daemon()
        .env("LOCKKEEPER_EVENTS_FILE", folder.path().join("events.jsonl").to_string_lossy())
        .start()?;
    let target = daemon.base().trim_start_matches("http://").to_owned();
    let prometheus = Prometheus::scraping(&target, folder.path())?;
    let sandbox = daemon.create(&json!({}))?;
    prometheus.wait_for("up{job=\"lockkeeper\"}", "1")?;
    prometheus.wait_for("lockkeeper_sandboxes{state=\"running\"}", "1")?;
    prometheus.wait_for("lockkeeper_sandbox_create_seconds_count", "1")?;
    let id = sandbox["id"].as_str().unwrap_or_default();
    daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
    prometheus.wait_for("sum(lockkeeper_sandbox_stops_total{stop_reason=\"request\"})", "1")?;

    let metrics = daemon.call("GET", "/metrics", None)?;
    let text = metrics.body.as_str().unwrap_or_default();
    let page = folder.path().join("metrics");
    std::fs::write(&page, text).map_err(|e| e.to_string())?;
    let page = std::fs::File::open(page).map_err(|e| e.to_string())?;
    let checked = Command::new(program("promtool").ok_or("there is no promtool")?)
        .args(["check", "metrics"])
        .stdin(page)
        .output()
        .map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&checked.stderr);
    must!(checked.status.success() && said.is_empty(), "promtool: {said}\n{text}");
    Ok(())
}
