//! A gateway that is killed while it writes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use lockkeeper_tests::{Outcome, gateway, must};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::agents::{Agents, LIMIT, SESSION, again_as};

crate::facts! {
    a_gateway_killed_while_it_appends_has_all_it_showed_and_each_event_once,
}

/// How often it is killed in a quick run, and with `LOCKKEEPER_TEST_LONG`.
const KILLS: [u64; 2] = [5, 200];
/// Events said at once in each round: more than the writer takes in one batch.
const BURST: u64 = 600;

/// What a subscriber was shown, by offset.
type Shown = BTreeMap<u64, String>;

/// A subscriber of events, read as they are: a connection of HTTP/1.0, so that its body is the
/// stream and nothing else.
struct Subscriber(BufReader<TcpStream>);

impl Subscriber {
    fn of(agents: &Agents, query: &str) -> Result<Self, String> {
        let host = agents.gateway.base().trim_start_matches("http://");
        let open = || {
            let mut socket = TcpStream::connect(host)?;
            socket.set_read_timeout(Some(LIMIT))?;
            let path = format!("{SESSION}/agui/events{query}");
            socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())?;
            Ok(Self(BufReader::new(socket)))
        };
        open().map_err(|e: std::io::Error| format!("a subscriber: {e}"))
    }

    /// Reads whole events until one makes `enough` true, or the stream is over.
    fn read(&mut self, shown: &mut Shown, enough: impl Fn(&Shown) -> bool) -> Result<(), String> {
        let (mut offset, mut data) = (None, String::new());
        while !enough(shown) {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) => return Ok(()),
                Ok(_) if !line.ends_with('\n') => return Ok(()),
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
                Err(e) => return Err(format!("behind {:?}: {e}", shown.last_key_value())),
            }
            let line = line.trim_end_matches('\n');
            if line.starts_with("event: lk.gap") {
                return Err(format!("a gap behind {:?}", shown.last_key_value()));
            } else if let Some(id) = line.strip_prefix("id: ") {
                offset = id.rsplit_once('-').and_then(|(_, offset)| offset.parse().ok());
            } else if let Some(part) = line.strip_prefix("data: ") {
                data = part.to_owned();
            } else if line.is_empty()
                && let Some(offset) = offset.take()
            {
                let before = shown.insert(offset, std::mem::take(&mut data));
                must!(before.is_none(), "offset {offset} was shown twice");
            }
        }
        Ok(())
    }
}

/// The numbers that the runner said, in the order of the log.
fn numbers(shown: &Shown) -> Vec<u64> {
    let events = shown.values().filter_map(|data| serde_json::from_str::<Value>(data).ok());
    events.filter(|event| event["type"] == "CUSTOM").filter_map(|e| e["value"].as_u64()).collect()
}

fn a_gateway_killed_while_it_appends_has_all_it_showed_and_each_event_once() -> Outcome {
    let kills = KILLS[usize::from(std::env::var_os("LOCKKEEPER_TEST_LONG").is_some())];
    // What is looked for is each single event, so none of them is to be folded.
    let unfolded = || gateway().env("LOCKKEEPER_FOLD_BYTES", "1GiB");
    let mut agents = Agents::start_on(unfolded(), json!({ "retry_min_ms": 100 }))?;
    let (base, state) = (agents.gateway.base().to_owned(), agents.gateway.state());
    // All that any subscriber was ever shown.
    let mut shown = Shown::new();
    for round in 0..kills {
        agents.wait_listener("streaming")?;
        let last = shown.last_key_value().map_or(0, |(offset, _)| *offset);
        let epoch = agents.status()?["log"]["epoch"].as_str().unwrap_or_default().to_owned();
        let query = if last == 0 { String::new() } else { format!("?after={epoch}-{last}") };
        let mut subscriber = Subscriber::of(&agents, &query)?;
        let first = round * BURST;
        let events: String = (first..first + BURST)
            .map(|n| format!("{}\n", json!({ "type": "CUSTOM", "name": "n", "value": n })))
            .collect();
        agents.runner("/push", &events)?;
        // Each round at another moment: from the first event of the burst to most of it.
        let enough = last + 1 + round * 37 % (BURST / 2);
        subscriber.read(&mut shown, |shown| {
            shown.last_key_value().is_some_and(|(offset, _)| *offset >= enough)
        })?;
        agents.gateway.signal(Signal::SIGKILL);
        // What was on its way was shown too.
        subscriber.read(&mut shown, |_| false)?;
        agents.gateway.wait_exit(LIMIT)?;
        agents.gateway = again_as(unfolded(), &base, state.clone())?;
    }
    // The runner goes on behind what the log has; nothing of it is missing, nothing there twice.
    let until = Instant::now() + LIMIT;
    loop {
        let mut all = Shown::new();
        Subscriber::of(&agents, "?follow=false")?.read(&mut all, |_| false)?;
        for (offset, data) in &shown {
            must!(all.get(offset) == Some(data), "{offset} was {data}, is {:?}", all.get(offset));
        }
        let said = numbers(&all);
        if said.len() as u64 >= kills * BURST {
            let wrong = said.iter().zip(0..).find(|(said, number)| *said != number);
            must!(wrong.is_none() && said.len() as u64 == kills * BURST, "{wrong:?}");
            break;
        }
        must!(Instant::now() < until, "{} of {} events came", said.len(), kills * BURST);
    }
    agents.check()
}
