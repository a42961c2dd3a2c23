//! What a relayed message costs, against a blind copy of the bytes.
//!
//!     cargo bench -p wsproxy --bench relay_load -- [rounds] [milliseconds per round] [case]
//!
//! Two proxies run as processes of their own, both pinned to core 0: one relays with this crate, the
//! other with `tokio::io::copy_bidirectional_with_sizes(64 KiB)`. Clients and echo server run here,
//! pinned to core 1. Rounds of the two alternate, so that what else the machine does hits both. A
//! ratio is of one round to the other of its pair; below 1 is better for CPU, latency and memory,
//! above 1 for the rate.

mod load;
mod proxy;
mod stats;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use proxy::{Mode, Proxy};
use std::time::Duration;

/// Payload bytes and connections.
const CASES: [(usize, usize); 5] = [(128, 1), (128, 64), (4096, 64), (1 << 20, 1), (1 << 20, 64)];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(mode) = args.first().and_then(|arg| Mode::parse(arg)) {
        pin(0);
        proxy::serve(mode, args[1].parse().expect("the address of the echo server"));
        return;
    }
    let number =
        |i: usize, default| args.get(i).map_or(default, |arg| arg.parse().expect("a number"));
    let (rounds, millis) = (number(0, 15), number(1, 1000));
    pin(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!("{rounds} rounds of {millis} ms; ratio wsproxy / copy with its 95 % interval\n");
    stats::print_head();
    for (i, (size, connections)) in CASES.into_iter().enumerate() {
        if number(2, i) != i {
            continue;
        }
        let window = Duration::from_millis(millis as u64);
        let pairs = runtime.block_on(measure(size, connections, rounds, window));
        stats::print_case(size, connections, &pairs);
    }
    if number(2, CASES.len()) == CASES.len() {
        runtime.block_on(idle());
    }
}

/// Rounds of both proxies, in turn; which goes first alternates too.
async fn measure(
    size: usize,
    connections: usize,
    rounds: usize,
    window: Duration,
) -> Vec<[load::Round; 2]> {
    let mut echo = load::Echo::start(size).await;
    let mut relay = Proxy::start(Mode::Relay, echo.address());
    let mut copy = Proxy::start(Mode::Copy, echo.address());
    let mut pairs = Vec::new();
    let all = async {
        for round in 0..=rounds {
            let (first, second) =
                if round % 2 == 0 { (&mut relay, &mut copy) } else { (&mut copy, &mut relay) };
            let one = load::round(first, size, connections, window).await;
            let two = load::round(second, size, connections, window).await;
            // The first pair only warms up.
            if round > 0 {
                pairs.push(if round % 2 == 0 { [one, two] } else { [two, one] });
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = echo.serve() => {}
    }
    pairs
}

/// Memory per idle session after each carried a message of 1 MiB.
async fn idle() {
    const SESSIONS: usize = 2000;
    println!("\nmemory of the process per idle session, {SESSIONS} sessions, after 1 MiB each");
    for mode in [Mode::Relay, Mode::Copy] {
        let mut echo = load::Echo::start(1 << 20).await;
        let mut proxy = Proxy::start(mode, echo.address());
        let measured = async {
            let before = proxy.usage();
            let open = load::open(&proxy, 1 << 20, SESSIONS).await;
            let after = proxy.usage();
            drop(open);
            (after.memory.saturating_sub(before.memory)) / SESSIONS
        };
        tokio::select! {
            bytes = measured => println!("{mode:?}: {:.2} KiB", bytes as f64 / 1024.0),
            () = echo.serve() => {}
        }
    }
}

/// All sockets alike.
fn tune(stream: &tokio::net::TcpStream) {
    stream.set_nodelay(true).expect("a socket");
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core).expect("a core number");
    // A machine with one core still measures, only less well.
    if let Err(error) = sched_setaffinity(Pid::from_raw(0), &set) {
        eprintln!("not pinned to core {core}: {error}");
    }
}
