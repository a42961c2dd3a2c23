//! The launcher: this program once more, between fork and browser.
//!
//! A child that is to become a browser needs a session, a control group, limits, a user and a
//! parent-death signal of its own. Doing that after `fork` in the daemon's image would need `unsafe`
//! code; a fresh image of the same binary does it with ordinary system calls and then replaces
//! itself by the browser, so that the process the daemon started is the browser.
//!
//! The program calls [`main`] before it does anything else, with the arguments that follow the ones
//! in [`LauncherCommand`](super::LauncherCommand).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::unistd::{Gid, Uid};
use rustix::process::{Resource, Rlimit, Signal};

pub(crate) use plan::{Job, Launch};

mod plan;

/// What the launcher exits with when a step fails. Browsers do not use it; the text on stderr says
/// which step it was.
pub const FAILED: u8 = 125;

/// Every line of the launcher on stderr starts like this.
pub(crate) const PREFIX: &str = "lockkeeper launcher: ";

/// Runs the launcher. `args` are those that follow the launcher word. Returns only when a step
/// failed, or when the job was not to become another program.
#[must_use = "the exit code says which step failed"]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let job = match Job::parse(args) {
        Ok(job) => job,
        Err(e) => return fail("arguments", &e.to_string()),
    };
    let result = match job {
        Job::Launch(launch) => become_browser(&launch),
        Job::KillUser(uid) => kill_user(uid),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((step, cause)) => fail(step, &cause.to_string()),
    }
}

fn fail(step: &str, cause: &str) -> ExitCode {
    eprintln!("{PREFIX}{step}: {cause}");
    ExitCode::from(FAILED)
}

type Step = (&'static str, io::Error);

/// Names the step that failed.
trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Step>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str) -> Result<T, Step> {
        self.map_err(|e| (step, e.into()))
    }
}

/// The order matters: control groups and a raised limit need the rights that the user change takes
/// away, and the user change clears the parent-death signal.
fn become_browser(launch: &Launch) -> Result<(), Step> {
    rustix::process::setsid().at("new session")?;
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    close_inherited().at("inherited files")?;
    for group in &launch.cgroups {
        // 0 means the writing process.
        fs::write(group, "0").at("control group")?;
    }
    set_limits(launch)?;
    rustix::thread::set_no_new_privs(true).at("no new privileges")?;
    if let Some(uid) = launch.uid {
        become_user(uid)?;
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .at("parent-death signal")?;
    // A parent that died before the signal was set will never send it.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(launch.parent) {
        return Err(("parent", io::Error::other("the daemon is gone")));
    }
    // The environment is already the browser's.
    let mut browser = Command::new(&launch.program);
    let error = browser.args(&launch.args).exec();
    let step = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "the sandbox user may not execute the program, or not pass through a folder above it"
        }
        _ => "exec of the program",
    };
    Err((step, error))
}

/// Closes everything but stdin, stdout and stderr. Rust's own files close themselves on `exec`, but
/// not those that the daemon was started with, such as the sockets of a service manager.
fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        match nix::unistd::close(descriptor) {
            // The one that the list was read through is closed already.
            Ok(()) | Err(nix::errno::Errno::EBADF) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn set_limits(launch: &Launch) -> Result<(), Step> {
    let limits = [
        (Resource::Core, Some(0), "limit on core files"),
        (Resource::Nofile, Some(launch.open_files), "limit on open files"),
        (Resource::Fsize, Some(launch.file_size), "limit on file size"),
        // Counts the threads of a user, so it means something only with a user per sandbox.
        (Resource::Nproc, launch.uid.and(Some(u64::from(launch.processes))), "limit on processes"),
    ];
    for (resource, limit, step) in limits {
        let Some(limit) = limit else { continue };
        // Without rights a hard limit can only be lowered.
        let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Some(limit.min(hard));
        let both = Rlimit { current: limit, maximum: limit };
        rustix::process::setrlimit(resource, both).at(step)?;
    }
    Ok(())
}

fn become_user(uid: u32) -> Result<(), Step> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    nix::unistd::setgroups(&[]).at("supplementary groups")?;
    nix::unistd::setresgid(group, group, group).at("group")?;
    nix::unistd::setresuid(user, user, user).at("user")?;
    let now = nix::unistd::getresuid().at("user")?;
    if [now.real, now.effective, now.saved].iter().any(|id| *id != user) {
        return Err(("user", io::Error::other("the user change had no effect")));
    }
    Ok(())
}

/// Kills every process of a sandbox user at once. Only a process of that user can do this in one
/// system call, and only one system call is faster than a fork bomb.
fn kill_user(uid: u32) -> Result<(), Step> {
    rustix::process::setsid().at("new session")?;
    become_user(uid)?;
    match nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), nix::sys::signal::Signal::SIGKILL)
    {
        // Nobody is left.
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(e) => Err(("kill", e.into())),
    }
}
