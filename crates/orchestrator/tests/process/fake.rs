//! A browser that behaves badly on purpose: this binary, started like a browser.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use tokio_tungstenite::tungstenite::{self, Message};

pub(crate) fn is_browser(args: &[OsString]) -> bool {
    args.iter().any(|arg| arg.to_string_lossy().starts_with("--user-data-dir="))
}

pub(crate) fn main() -> ExitCode {
    let behaviour = std::env::var_os("FAKE").unwrap_or_default();
    match behaviour.to_str().unwrap_or_default() {
        "serve" => serve(|| None),
        // A shell can ignore a signal for us without unsafe code, and what it becomes inherits that.
        "ignore-term" => {
            let me = std::env::current_exe().unwrap();
            let script = "trap '' TERM; exec \"$@\"";
            let error = Command::new("/bin/sh")
                .args(["-c", script, "sh"])
                .arg(me)
                .args(std::env::args_os().skip(1))
                .env("FAKE", "serve")
                .exec();
            panic!("{error}");
        }
        "mute" => loop {
            std::thread::sleep(Duration::from_secs(1000));
        },
        "exit" => {
            for line in 0..200 {
                eprintln!("line {line} {}", "x".repeat(60));
            }
            eprintln!("these are my last words");
            ExitCode::from(9)
        }
        "crash" => serve(|| Some(ExitCode::from(7))),
        "close" => serve(|| Some(ExitCode::SUCCESS)),
        // Leaves session, group, parent and environment, like a crash handler and worse.
        "stray" => {
            let left =
                Command::new("setsid").args(["--fork", "sleep", "1000"]).env_clear().status();
            assert!(left.unwrap().success());
            serve(|| None)
        }
        "bomb" => serve(|| {
            let _ = multiply();
            None
        }),
        "fragment" => loop {
            if multiply().is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
        },
        "hog" => serve(|| hoard()),
        // A process of its own takes the memory, as a page does.
        "page" => serve(|| {
            let me = std::env::current_exe().unwrap();
            let page =
                Command::new(me).args(std::env::args_os().skip(1)).env("FAKE", "hoard").status();
            assert!(!page.unwrap().success(), "nobody stops the page");
            None
        }),
        "hoard" => hoard(),
        "fat" => {
            let hoard = vec![1_u8; 200 << 20];
            serve(move || hoard.iter().all(|byte| *byte == 0).then_some(ExitCode::SUCCESS))
        }
        other => panic!("unknown behaviour {other:?}"),
    }
}

/// Takes memory until somebody ends it.
fn hoard() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 8 << 20]);
        assert!(hoard.len() < 1000, "nobody stops the hog");
    }
}

/// Starts a process that does nothing but start more of its kind, in sessions of their own.
fn multiply() -> io::Result<()> {
    let me = std::env::current_exe()?;
    Command::new("setsid")
        .arg(me)
        .args(std::env::args_os().skip(1))
        .env("FAKE", "fragment")
        .spawn()
        .map(drop)
}

/// Answers like a browser. `after` runs after each answer and may end it.
fn serve(after: impl Fn() -> Option<ExitCode>) -> ExitCode {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stderr = io::stderr();
    writeln!(stderr, "\nDevTools listening on ws://127.0.0.1:{port}/devtools/browser/fake-{port}")
        .unwrap();
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        if answer(stream).is_ok()
            && let Some(code) = after()
        {
            return code;
        }
    }
}

fn answer(stream: TcpStream) -> Result<(), tungstenite::Error> {
    let mut socket = tungstenite::accept(stream).map_err(|e| io::Error::other(e.to_string()))?;
    socket.read()?;
    socket.send(Message::text(r#"{"id":1,"result":{"product":"Fake/1.0"}}"#))?;
    while socket.read().is_ok() {}
    Ok(())
}
