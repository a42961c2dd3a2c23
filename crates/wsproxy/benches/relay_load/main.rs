//! What a relayed message costs: the clients, the echo server and the proxies. `cargo xtask bench
//! relay` drives this program, chooses the rounds and compares.
//!
//!     relay_load drive BYTES PEER...      PEER: relay, copy, haproxy=PATH, nginx=PATH
//!
//! starts the echo server and every peer as a process of its own, pinned to core 0, while all else
//! stays on core 1. Then each line on standard input is answered by one line of JSON:
//!
//!     round PEER CONNECTIONS MILLISECONDS
//!     idle PEER SESSIONS
//!
//! Every payload is verified on both ends, and messages are numbered. It ends with its input.

mod echo;
mod load;
mod message;
mod peer;
mod proxy;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use peer::Peer;
use std::io::BufRead as _;
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of descriptors");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("the limit may be raised");
    match args[..] {
        ["serve", mode, upstream] => {
            proxy::serve(mode, upstream.parse().expect("the address of the echo server"));
        }
        ["drive", bytes, ref peers @ ..] => drive(bytes.parse().expect("a number"), peers),
        _ => println!("nothing to do; this is driven by: cargo xtask bench relay"),
    }
}

fn drive(bytes: usize, peers: &[&str]) {
    pin(1);
    let echo = echo::start(bytes);
    let mut peers: Vec<Peer> = peers.iter().map(|peer| Peer::start(peer, echo)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let words: Vec<&str> = line.split_whitespace().collect();
        let peer = |name: &str| peers.iter().find(|peer| peer.name == name).expect("a known peer");
        let number = |word: &str| word.parse::<usize>().expect("a number");
        match words[..] {
            ["round", name, connections, millis] => {
                let window = Duration::from_millis(number(millis) as u64);
                let round = load::round(peer(name), bytes, number(connections), window);
                println!("{}", runtime.block_on(round));
            }
            ["idle", name, sessions] => {
                println!("{}", runtime.block_on(load::idle(peer(name), bytes, number(sessions))));
            }
            _ => panic!("not understood: {line}"),
        }
    }
    peers.clear();
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
