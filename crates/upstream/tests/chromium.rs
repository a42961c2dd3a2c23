//! The sources against the real browser. Where it is not installed, every test here shows as
//! ignored.

use std::error::Error;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use upstream::sources::{HttpPoll, LogFollow, PortFile, START_TIMEOUT, Timing, follow_child};
use upstream::{
    Cause, Phase, PrefixForm, Publisher, Upstream, UpstreamState, UrlPolicy, Verify, WaitReady,
    WsUrl,
};

const SHELL: &str = "/usr/lib/chromium/chromium-headless-shell";

type Failure = Box<dyn Error + Send + Sync>;
type Outcome = Result<(), Failure>;

fn main() {
    let arguments = Arguments::from_args();
    let missing = !Path::new(SHELL).exists();
    let trials = [
        trial("a_browser_process_is_followed_and_verified", process()),
        trial("log_port_file_and_poll_agree_on_a_browser_and_its_restart", from_outside()),
    ];
    let trials = trials.into_iter().map(|trial| trial.with_ignored_flag(missing)).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: &str, test: impl Future<Output = Outcome> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(test).map_err(|error| error.to_string().into())
    })
}

/// A browser with a profile of its own. The whole process group ends with it.
struct Browser {
    child: Child,
}

impl Browser {
    fn start(profile: &Path, port: u16, stderr: Stdio) -> Result<Self, Failure> {
        let child = Command::new(SHELL)
            .arg("--no-sandbox")
            .arg("--disable-gpu")
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--remote-debugging-port={port}"))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child })
    }

    fn group(&self) -> Option<rustix::process::Pid> {
        self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(group) = self.group() {
            // It may be gone already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn ready(upstream: &Upstream) -> Result<(u64, WsUrl), Failure> {
    match upstream.wait_ready(Instant::now() + Duration::from_secs(60)).await {
        WaitReady::Ready { generation, url } => Ok((generation, url)),
        other @ (WaitReady::Gone { .. } | WaitReady::TimedOut { .. }) => {
            Err(format!("not ready: {other:?}").into())
        }
    }
}

async fn until(
    upstream: &Upstream,
    wanted: impl Fn(&UpstreamState) -> bool,
) -> Result<UpstreamState, Failure> {
    let mut changes = upstream.changes();
    let waited = timeout(Duration::from_secs(60), async {
        loop {
            let state = changes.changed().await;
            if wanted(&state) {
                return state;
            }
        }
    });
    waited.await.map_err(|_| format!("timed out in {:?}", upstream.current()).into())
}

fn is_down(state: &UpstreamState) -> bool {
    matches!(state.phase, Phase::Down { .. })
}

/// Under load a real browser may need more than the time of one question.
async fn verified(upstream: &Upstream, generation: u64) -> Verify {
    let mut found = Verify::NoAnswer;
    for _ in 0..20 {
        found = upstream.verify(generation).await;
        if found != Verify::NoAnswer {
            break;
        }
    }
    found
}

async fn process() -> Outcome {
    let profile = TempDir::new()?;
    let publisher = Publisher::new(true);
    let upstream = publisher.upstream();
    for generation in 1..=2 {
        let mut browser = Browser::start(profile.path(), 0, Stdio::piped())?;
        let stderr = browser.child.stderr.take().ok_or("no pipe")?;
        let (kill, killed) = oneshot::channel();
        let exited = async {
            tokio::select! {
                status = browser.child.wait() => status.map_or(Cause::UnknownExit, Cause::from),
                Ok(()) = killed => {
                    let _ = browser.child.start_kill();
                    browser.child.wait().await.map_or(Cause::UnknownExit, Cause::from)
                }
            }
        };
        let mut lines = 0;
        let policy = UrlPolicy::default();
        let follow =
            follow_child(&publisher, stderr, policy, START_TIMEOUT, |_| lines += 1, exited);
        let script = async {
            let (found, url) = ready(&upstream).await?;
            assert_eq!(found, generation);
            assert_eq!(verified(&upstream, generation).await, Verify::SameAlive);
            // The file names the same browser.
            let file = std::fs::read_to_string(profile.path().join("DevToolsActivePort"))?;
            assert_eq!(file, format!("{}\n{}", url.port(), url.path()));
            kill.send(()).map_err(|()| "the process has ended by itself")?;
            until(&upstream, is_down).await
        };
        let (cause, state) = tokio::join!(follow, script);
        let end = state?.last_end.ok_or("no end")?;
        assert_eq!(cause, Cause::Signalled { signal: 9 });
        assert_eq!((end.generation, end.cause), (generation, cause));
        assert!(lines > 0);
        assert_eq!(verified(&upstream, generation).await, Verify::Refused);
    }
    Ok(())
}

async fn from_outside() -> Outcome {
    let folder = TempDir::new()?;
    let profile = folder.path().join("profile");
    let log = folder.path().join("browser.log");
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let policy = UrlPolicy::loopback_port(port);
    let timing = Timing::default();
    let port_file = profile.join("DevToolsActivePort");

    let publishers = [(); 3].map(|()| Publisher::new(true));
    let upstreams: Vec<_> = publishers.iter().map(Publisher::upstream).collect();
    let mut by_log = LogFollow::new(log.clone(), PrefixForm::None, policy.clone(), timing);
    let mut by_file = PortFile::new(port_file, "127.0.0.1", policy, timing);
    let mut by_poll = HttpPoll::new("127.0.0.1", port, timing)?;
    let script = async {
        let mut before = None;
        for generation in 1..=2 {
            let stderr = File::options().append(true).create(true).open(&log)?;
            let browser = Browser::start(&profile, port, stderr.into())?;
            let mut urls = Vec::new();
            for upstream in &upstreams {
                let (found, url) = ready(upstream).await?;
                assert_eq!(found, generation);
                assert_eq!(verified(upstream, generation).await, Verify::SameAlive);
                urls.push(url);
            }
            assert!(urls.iter().all(|url| *url == urls[0]), "{urls:?}");
            assert_ne!(before.as_ref(), Some(&urls[0]));
            before = Some(urls[0].clone());
            drop(browser);
            for upstream in &upstreams {
                upstream.hint();
                let state = until(upstream, is_down).await?;
                let end = state.last_end.ok_or("no end")?;
                assert_eq!((end.generation, end.cause), (generation, Cause::UnknownExit));
            }
        }
        Outcome::Ok(())
    };
    let [for_log, for_file, for_poll] = &publishers;
    tokio::select! {
        () = by_log.run(for_log) => Err("the log reader ended".into()),
        () = by_file.run(for_file) => Err("the port file reader ended".into()),
        () = by_poll.run(for_poll) => Err("the poll ended".into()),
        outcome = script => outcome,
    }
}
