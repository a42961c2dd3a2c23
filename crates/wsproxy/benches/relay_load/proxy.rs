//! The proxy process, and how the other process talks to it.

use nix::sys::resource::{UsageWho, getrusage};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wsproxy::{Budget, Limits, Relay};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Relay,
    Copy,
}

impl Mode {
    pub(crate) fn parse(arg: &str) -> Option<Self> {
        match arg {
            "--proxy-relay" => Some(Self::Relay),
            "--proxy-copy" => Some(Self::Copy),
            _ => None,
        }
    }
}

/// What the process used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Resident memory that belongs to no file, in bytes.
    pub(crate) memory: usize,
}

/// Relays every connection to `upstream`; answers each line on standard input with its usage, and
/// ends with it.
pub(crate) fn serve(mode: Mode, upstream: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in std::io::stdin().lock().lines() {
                println!("{}", usage());
                std::io::stdout().flush().expect("the other process reads");
            }
            std::process::abort();
        });
        runtime.block_on(relay(mode, upstream, listener));
    });
}

async fn relay(mode: Mode, upstream: SocketAddr, listener: TcpListener) {
    let (limits, budget) = (Arc::new(Limits::default()), Budget::new(256 << 20));
    let mut sessions = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.expect("a connection");
        while sessions.try_join_next().is_some() {}
        let (limits, budget) = (Arc::clone(&limits), budget.clone());
        match mode {
            Mode::Relay => sessions.spawn(async move {
                let upstream = TcpStream::connect(upstream).await.expect("the echo server");
                crate::tune(&client);
                crate::tune(&upstream);
                let relay = Relay::new(client, upstream, limits).with_budget(budget);
                relay.run().await.close(std::future::ready(None)).await;
            }),
            Mode::Copy => sessions.spawn(async move {
                let mut upstream = TcpStream::connect(upstream).await.expect("the echo server");
                crate::tune(&client);
                crate::tune(&upstream);
                let size = 64 * 1024;
                let copy = tokio::io::copy_bidirectional_with_sizes;
                // Whatever ends the connection is none of its business.
                copy(&mut client, &mut upstream, size, size).await.ok();
            }),
        };
    }
}

fn usage() -> String {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the usage of this process");
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    let memory = memory.trim().trim_end_matches(" kB");
    format!("{} {memory}", micros(usage.user_time()) + micros(usage.system_time()))
}

/// A running proxy. Ends with this value.
pub(crate) struct Proxy {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Proxy {
    pub(crate) fn start(mode: Mode, upstream: SocketAddr) -> Self {
        let arg = match mode {
            Mode::Relay => "--proxy-relay",
            Mode::Copy => "--proxy-copy",
        };
        let mut child = Command::new(std::env::current_exe().expect("this file"))
            .args([arg, &upstream.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the proxy starts");
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let address = line(&mut stdout).parse().expect("the address of the proxy");
        Self { child, stdin, stdout, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn usage(&mut self) -> Usage {
        let mut stdin = self.stdin.as_ref().expect("a pipe");
        stdin.write_all(b"\n").expect("the proxy lives");
        let answer = line(&mut self.stdout);
        let (cpu, memory) = answer.split_once(' ').expect("two numbers");
        Usage {
            cpu: Duration::from_micros(cpu.parse().expect("microseconds")),
            memory: memory.parse::<usize>().expect("kibibytes") * 1024,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stdin = None;
        self.child.wait().expect("the proxy ends");
    }
}

fn line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the proxy answers");
    line.trim().to_owned()
}
