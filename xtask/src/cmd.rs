//! Running other programs, so that an interrupt ends them and a failure says what to do.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{Handle, Signals},
    low_level::emulate_default_handler,
};

use crate::progress;

/// The program that runs now, as the leader of its process group.
static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static CATCHING: Mutex<Option<Handle>> = Mutex::new(None);

struct Running {
    group: Pid,
    signals: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to pass interrupts on to the program that runs: the first as it is, the second as a kill.
/// While none runs they end this process, as they would without us.
///
/// # Errors
/// When the system refuses.
pub(crate) fn catch_signals() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("signals cannot be received")?;
    *lock(&CATCHING) = Some(signals.handle());
    thread::spawn(move || {
        for number in signals.forever() {
            match lock(&RUNNING).as_mut() {
                Some(running) => {
                    INTERRUPTED.store(true, Ordering::SeqCst);
                    running.signals += 1;
                    let signal = match running.signals {
                        1 => Signal::try_from(number).unwrap_or(Signal::SIGTERM),
                        _ => Signal::SIGKILL,
                    };
                    // It fails if the group has just ended, which is what was wanted.
                    let _ = killpg(running.group, signal);
                }
                None => {
                    let _ = emulate_default_handler(number);
                }
            }
        }
    });
    Ok(())
}

/// Leaves interrupts to whoever catches them next, for a task that runs a daemon of its own.
pub(crate) fn release_signals() {
    if let Some(handle) = lock(&CATCHING).take() {
        handle.close();
    }
}

/// Whether an interrupt ended a program that we ran.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// A program in the root of the workspace, without standard input.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::tools::root()).stdin(Stdio::null());
    command
}

/// Cargo, the one that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(cargo, arguments);
    // What `cargo run` set for us is not meant for the packages that are built now.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
        {
            command.env_remove(name);
        }
    }
    command
}

/// Prints the command, runs it, and waits for its end. An interrupt meanwhile ends it.
///
/// # Errors
/// When it cannot be started, fails or is interrupted; `remedy` says what a person can do then.
pub(crate) fn run(command: &mut Command, remedy: &str) -> Result<()> {
    progress::say(&format!("    $ {}", shown(command)));
    if progress::stdout_is_for_results() {
        command.stdout(io::stderr());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = {
        // Held over the start, so that no interrupt falls between the start and the note of it.
        let mut running = lock(&RUNNING);
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("{program} cannot be started; {remedy}"))?;
        *running = Some(Running { group: Pid::from_raw(i32::try_from(child.id())?), signals: 0 });
        child
    };
    let status = child.wait();
    *lock(&RUNNING) = None;
    let status = status.with_context(|| format!("{program} cannot be waited for"))?;
    if interrupted() {
        bail!("interrupted");
    }
    if !status.success() {
        bail!("{}; {remedy}", ending(&shown(command), status));
    }
    Ok(())
}

/// Runs a quick command for its standard output.
///
/// # Errors
/// When it cannot be started or fails, with what it wrote to standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("`{shown}` cannot be started"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", ending(&shown, output.status), said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` wrote no text"))
}

fn ending(shown: &str, status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("`{shown}` failed with exit code {code}"),
        (None, Some(signal)) => format!("`{shown}` was ended by signal {signal}"),
        (None, None) => format!("`{shown}` failed"),
    }
}

/// The command line as a person would type it, with what it sets.
fn shown(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| {
            Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy())))
        })
        .collect();
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    words.push(program.to_string_lossy().into_owned());
    words.extend(command.get_args().map(|word| quoted(&word.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=./:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_can_be_typed() {
        let mut command = command("/opt/bin/cargo", &["test", "-p", "x", "--", "a b"]);
        command.env("RUSTDOCFLAGS", "-D warnings").env_remove("GONE");
        assert_eq!(shown(&command), "RUSTDOCFLAGS='-D warnings' cargo test -p x -- 'a b'");
    }

    #[test]
    fn a_failure_names_the_exit_code_and_the_remedy() {
        let error = run(&mut command("false", &[]), "do better").unwrap_err();
        assert_eq!(error.to_string(), "`false` failed with exit code 1; do better");
        let error = run(&mut command("/no/such/program", &[]), "install it").unwrap_err();
        assert_eq!(error.to_string(), "/no/such/program cannot be started; install it");
    }
}
