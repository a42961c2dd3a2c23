//! A place for one test, and the check that nothing of it is left.

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orchestrator::driver::{
    Driver, DriverEvent, Flavour, LaunchLimits, LaunchSpec, LifecycleId, OnExit, StartError,
    StopReport,
};
use orchestrator::process::{ProcessConfig, ProcessDriver};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use upstream::{Cause, WsUrl};

use crate::procs;

/// No single wait of a test is longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Users of one test. Every test has its own, so that a leak shows whose it is.
const USERS: u32 = 16;

pub(crate) struct World {
    dir: tempfile::TempDir,
    uids: RangeInclusive<u32>,
    runtime: tokio::runtime::Runtime,
    orphans_of: Vec<i32>,
}

impl World {
    pub(crate) fn new(number: u32) -> Self {
        let first = 57_000 + number * USERS;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let dir = tempfile::Builder::new().prefix("lk-").tempdir().unwrap();
        Self { dir, uids: first..=first + USERS - 1, runtime, orphans_of: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub(crate) fn uids(&self) -> &RangeInclusive<u32> {
        &self.uids
    }

    /// A driver with the browsers of this host.
    pub(crate) fn config(&self) -> ProcessConfig {
        let mut config = ProcessConfig::new(self.state());
        config.uids = self.uids.clone();
        config.uid_locks = lock_folder();
        config
    }

    /// A driver whose browser is this very binary, which behaves as the variable `FAKE` says.
    pub(crate) fn fake_config(&self) -> ProcessConfig {
        let mut config = self.config();
        config.browser = Some(self.fake());
        config
    }

    pub(crate) fn fake(&self) -> PathBuf {
        let fake = self.path().join("fake-headless-shell");
        if !fake.exists() {
            let me = std::env::current_exe().unwrap();
            fs::hard_link(&me, &fake).or_else(|_| fs::copy(&me, &fake).map(drop)).unwrap();
        }
        fake
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            tokio::time::timeout(LIMIT * 4, future).await.expect("the test takes too long")
        })
    }

    /// Waits for what a killed daemon leaves to this process, as init does in real life.
    fn bury_orphans(&self) {
        for pid in &self.orphans_of {
            assert!(procs::read(*pid).is_none(), "the daemon {pid} still exists");
        }
        if !self.orphans_of.is_empty() {
            for dead in procs::all(|p| p.zombie) {
                let pid = nix::unistd::Pid::from_raw(dead.pid);
                let _ = nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::WNOHANG));
            }
        }
    }

    /// A daemon of this test was killed: its orphans come to this process.
    pub(crate) fn daemon_killed(&mut self, pid: i32) {
        self.orphans_of.push(pid);
    }

    /// Nothing of the test is left: no process, zombie, folder, group or leased user.
    pub(crate) fn assert_clean(&mut self) {
        let me = std::process::id().cast_signed();
        self.bury_orphans();
        let left: BTreeSet<_> = procs::mentioning(self.path())
            .into_iter()
            .chain(procs::all(|p| self.uids.contains(&p.uid)))
            .filter(|process| process.pid != me)
            .collect();
        assert!(left.is_empty(), "processes are left: {left:#?}");
        let list = |dir: PathBuf| -> Vec<PathBuf> {
            fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
        };
        assert_eq!(list(self.state().join("sandboxes")), Vec::<PathBuf>::new());
        assert_eq!(list(self.state().join("set-aside")), Vec::<PathBuf>::new());
        if let Ok(id) = fs::read_to_string(self.state().join("driver-id")) {
            let groups = groups_of(Path::new("/sys/fs/cgroup"), &format!("lockkeeper-{id}"), 4);
            assert_eq!(groups, Vec::<PathBuf>::new());
        }
        for uid in self.uids.clone() {
            if let Ok(lock) = fs::File::open(lock_folder().join(uid.to_string())) {
                assert!(lock.try_lock().is_ok(), "user {uid} is still leased");
            }
        }
    }
}

/// What a test needs of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Linux.
    Nothing,
    /// Users for sandboxes.
    Root,
    HeadlessShell,
    Chromium,
    /// A limit on the processes of a sandbox: by its user or by a group.
    ProcessLimit,
    /// A memory control group that may be divided.
    MemoryGroup,
}

/// What the host gives.
pub(crate) struct Host {
    flavours: Vec<Flavour>,
    notes: String,
}

impl Host {
    pub(crate) fn look() -> Self {
        let world = World::new(0);
        let mut config = world.config();
        config.limits.memory = Some(128 << 20);
        // A host without any browser still runs the tests with the fake one.
        let Ok(driver) = ProcessDriver::new(config) else {
            return Self { flavours: Vec::new(), notes: String::new() };
        };
        let host =
            Self { flavours: driver.capabilities().flavours, notes: driver.notes().join("\n") };
        world.block_on(driver.close());
        host
    }

    /// Why a test cannot run here.
    pub(crate) fn lacks(&self, need: Need) -> Option<&'static str> {
        let (fulfilled, cause) = match need {
            Need::Nothing => (true, ""),
            Need::Root => (is_root(), "needs root"),
            Need::HeadlessShell => {
                (self.flavours.contains(&Flavour::HeadlessShell), "needs chromium-headless-shell")
            }
            Need::Chromium => (self.flavours.contains(&Flavour::Chromium), "needs chromium"),
            Need::ProcessLimit => (
                is_root() || !self.notes.contains("nothing limits the number"),
                "needs root or a pids control group",
            ),
            Need::MemoryGroup => (
                !self.flavours.is_empty() && !self.notes.contains("no memory control group"),
                "needs a memory control group",
            ),
        };
        (!fulfilled).then_some(cause)
    }
}

impl Drop for World {
    /// A test that failed may have left anything: it must not spoil the next ones.
    fn drop(&mut self) {
        if !std::thread::panicking() || !is_root() {
            return;
        }
        for left in procs::all(|p| self.uids.contains(&p.uid)) {
            let pid = nix::unistd::Pid::from_raw(left.pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        if let Ok(id) = fs::read_to_string(self.state().join("driver-id")) {
            std::thread::sleep(Duration::from_millis(200));
            for group in groups_of(Path::new("/sys/fs/cgroup"), &format!("lockkeeper-{id}"), 4) {
                for leaf in fs::read_dir(&group).into_iter().flatten().flatten() {
                    let _ = fs::remove_dir(leaf.path());
                }
                let _ = fs::remove_dir(group);
            }
        }
    }
}

/// The folder that every daemon of the host uses, as tests may run beside a real one.
fn lock_folder() -> PathBuf {
    if is_root() { "/run/lockkeeper/uids".into() } else { std::env::temp_dir() }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn groups_of(dir: &Path, name: &str, depth: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == *name {
            found.push(entry.path());
        } else if depth > 0 {
            found.extend(groups_of(&entry.path(), name, depth - 1));
        }
    }
    found
}

/// What to start, with limits that let a test end soon.
pub(crate) fn spec(lifecycle: &str, flavour: Flavour) -> LaunchSpec {
    LaunchSpec {
        lifecycle: LifecycleId::new(lifecycle),
        flavour,
        browser: None,
        limits: LaunchLimits::default(),
        profile: None,
        fixed: Vec::new(),
        flags: Vec::new(),
        env: Vec::new(),
        on_crash: OnExit::Relaunch,
        on_close: OnExit::Stop,
        start_timeout: LIMIT,
        crash_max: 5,
        crash_window: Duration::from_secs(60),
        runner: None,
    }
}

/// A badly behaved browser.
pub(crate) fn fake_spec(lifecycle: &str, behaviour: &str) -> LaunchSpec {
    let mut spec = spec(lifecycle, Flavour::HeadlessShell);
    spec.env.push(("FAKE".to_owned(), behaviour.to_owned()));
    spec
}

/// A browser that leaves a process behind which has no mark but its user, where it has one.
pub(crate) fn stray() -> &'static str {
    if is_root() { "stray" } else { "serve" }
}

/// A started sandbox.
pub(crate) struct Started {
    pub(crate) lifecycle: LifecycleId,
    pub(crate) events: mpsc::Receiver<DriverEvent>,
    pub(crate) url: WsUrl,
    pub(crate) product: String,
    pub(crate) pid: i32,
    pub(crate) start_time: Duration,
}

impl Started {
    /// The next event.
    pub(crate) async fn event(&mut self) -> DriverEvent {
        let next = tokio::time::timeout(LIMIT, self.events.recv()).await;
        next.expect("no event in time").expect("the events have ended")
    }

    /// The next event, which must be the ready of a generation.
    pub(crate) async fn ready(&mut self, expected: u64) -> i32 {
        match self.event().await {
            DriverEvent::Ready { generation, url, pid, .. } if generation == expected => {
                self.url = url;
                self.pid = pid.unwrap().cast_signed();
                self.pid
            }
            other => panic!("instead of ready {expected}: {other:?}"),
        }
    }

    /// The next event, which must be an end.
    pub(crate) async fn exited(&mut self) -> (u64, Cause, bool, Option<Duration>) {
        match self.event().await {
            DriverEvent::BrowserExited { generation, cause, expected, relaunch_in, .. } => {
                (generation, cause, expected, relaunch_in)
            }
            other => panic!("instead of an end: {other:?}"),
        }
    }

    pub(crate) fn process(&self) -> procs::Process {
        procs::read(self.pid).expect("the browser runs")
    }
}

/// Makes a driver.
pub(crate) fn driver(config: ProcessConfig) -> Arc<ProcessDriver> {
    Arc::new(ProcessDriver::new(config).expect("the driver"))
}

pub(crate) async fn try_start(
    driver: &ProcessDriver,
    spec: LaunchSpec,
) -> Result<Started, StartError> {
    let (sink, mut events) = mpsc::channel(16);
    let lifecycle = spec.lifecycle.clone();
    driver.start(spec, sink, CancellationToken::new()).await?;
    assert_eq!(events.recv().await, Some(DriverEvent::Starting { generation: 1 }));
    match events.recv().await {
        Some(DriverEvent::Ready { generation: 1, url, product, pid, start_time }) => {
            let pid = pid.unwrap().cast_signed();
            Ok(Started { lifecycle, events, url, product, pid, start_time })
        }
        other => panic!("instead of ready 1: {other:?}"),
    }
}

pub(crate) async fn start(driver: &ProcessDriver, spec: LaunchSpec) -> Started {
    try_start(driver, spec).await.expect("the start")
}

/// The report of an end that left nothing.
pub(crate) fn clean(report: StopReport) -> StopReport {
    assert_eq!(report.errors, Vec::<String>::new());
    report
}
