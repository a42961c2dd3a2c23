//! Sandboxes that are paused and come back with what their pages had stored.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::daemon::Daemon;

crate::facts! {
    a_login_survives_pause_and_resume_with_headless_shell,
    a_login_survives_pause_and_resume_with_chromium,
    a_paused_sandbox_survives_a_killed_daemon,
    a_deploy_parks_a_sandbox_and_many_clients_at_once_wake_it_once,
}

const LIMIT: Duration = Duration::from_secs(20);

/// Clients that connect to a parked sandbox at the same moment.
const CLIENTS: usize = 50;

fn a_login_survives_pause_and_resume_with_headless_shell() -> Outcome {
    survives_pause("headless-shell")
}

fn a_login_survives_pause_and_resume_with_chromium() -> Outcome {
    survives_pause("chromium")
}

fn survives_pause(flavour: &str) -> Outcome {
    let site = Site::open()?;
    let mut node = daemon().start()?;
    let before = node.create(&json!({ "id": "shop", "flavour": flavour }))?;
    log_in(&node, &site)?;
    let mut session = Cdp::open(before["ws_url"].as_str().unwrap_or_default())?;
    let paused = post(&node, "pause")?;
    must!(paused["state"] == "paused", "{paused}");
    let ended = session.wait_end(LIMIT)?;
    must!(format!("{ended:?}").contains("sandbox paused"), "its session was told {ended:?}");
    let (status, text) = call(&node, "POST", "/v1/sandboxes/shop/pause")?;
    must!(status == 409, "{status}: {text}");
    let after = post(&node, "resume")?;
    must!(after["state"] == "running", "{after}");
    must!(after["execution_id"] == before["execution_id"], "{after}");
    must!(after["lifecycle_id"] != before["lifecycle_id"], "{after}");
    still_logged_in(&node, &site)?;
    let events = node.events()?;
    let told = events.wait_count("sandbox_paused", 1, LIMIT)?;
    must!(told[0]["data"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{told:?}");
    events.wait_count("sandbox_resumed", 1, LIMIT)?;
    end(node)
}

fn a_paused_sandbox_survives_a_killed_daemon() -> Outcome {
    let site = Site::open()?;
    let mut first = daemon().start()?;
    let state = first.state();
    first.create(&json!({ "id": "shop", "labels": { "team": "search" } }))?;
    first.create(&json!({ "id": "lost" }))?;
    log_in(&first, &site)?;
    post(&first, "pause")?;
    first.signal(Signal::SIGKILL);
    first.wait_exit(LIMIT)?;
    let second = daemon().state(state).start()?;
    let events = second.events()?;
    let ended = events.wait_for("the end of the other one", LIMIT, |event| {
        event["type"] == "sandbox_stopped" && event["sandbox"] == "lost"
    })?;
    must!(ended["data"]["stop_reason"] == "node_restart", "{ended}");
    let (status, text) = call(&second, "GET", "/v1/sandboxes/shop")?;
    must!(status == 200 && text["state"] == "paused", "{text}");
    must!(text["labels"]["team"] == "search", "{text}");
    post(&second, "resume")?;
    still_logged_in(&second, &site)?;
    end(second)
}

fn a_deploy_parks_a_sandbox_and_many_clients_at_once_wake_it_once() -> Outcome {
    let site = Site::open()?;
    let mut first = daemon().start()?;
    let state = first.state();
    first.create(&json!({ "id": "shop", "ttl": "1h", "on_drain": "pause" }))?;
    log_in(&first, &site)?;
    first.signal(Signal::SIGTERM);
    let status = first.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", first.log());
    let second = daemon().state(state).start()?;
    let url = format!("{}/sandboxes/shop", second.ws_base());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || -> Result<Cdp, String> {
                let mut cdp = Cdp::open(&url)?;
                cdp.command("Browser.getVersion", &json!({}))?;
                Ok(cdp)
            })
        })
        .collect();
    let mut open = Vec::new();
    for client in clients {
        open.push(client.join().map_err(|_| "a client panicked")??);
    }
    let resumed = second.events()?.wait_count("sandbox_resumed", 1, LIMIT)?;
    must!(resumed.len() == 1, "{resumed:?}");
    still_logged_in(&second, &site)?;
    drop(open);
    end(second)
}

fn end(mut node: Daemon) -> Outcome {
    call(&node, "DELETE", "/v1/sandboxes/shop?wait=cleaned")?;
    let kept =
        std::fs::read_dir(node.state().path().join("profiles")).map_err(|e| e.to_string())?;
    must!(kept.count() == 0, "a profile outlived its sandbox");
    node.signal(Signal::SIGTERM);
    let status = node.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", node.log());
    node.assert_nothing_left(Duration::from_secs(2))
}

fn call(node: &Daemon, method: &str, path: &str) -> Result<(u16, Value), String> {
    let answer = node.call(method, path, None)?;
    Ok((answer.status, answer.body))
}

fn post(node: &Daemon, verb: &str) -> Result<Value, String> {
    let (status, body) = call(node, "POST", &format!("/v1/sandboxes/shop/{verb}"))?;
    must_be(status == 200, format!("{verb} was answered with {status}: {body}"))?;
    Ok(body)
}

fn must_be(holds: bool, text: String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text) }
}

/// Sets a cookie and an entry of the local storage from a page of the site.
fn log_in(node: &Daemon, site: &Site) -> Outcome {
    let script = "document.cookie = 'login=alice; max-age=86400'; \
                  localStorage.setItem('cart', 'three'); 'done'";
    let done = evaluate(node, site, script)?;
    must!(done == "done", "{done}");
    Ok(())
}

fn still_logged_in(node: &Daemon, site: &Site) -> Outcome {
    let seen = evaluate(node, site, "document.cookie + ' ' + localStorage.getItem('cart')")?;
    must!(seen == "login=alice three", "{seen}");
    Ok(())
}

/// Opens a page of the site and runs a script in it.
fn evaluate(node: &Daemon, site: &Site, script: &str) -> Result<Value, String> {
    let path = format!("/sandboxes/shop/json/new?{}", site.url);
    let (status, page) = call(node, "PUT", &path)?;
    must_be(status == 200, format!("no page: {status} {page}"))?;
    let mut cdp = Cdp::open(page["webSocketDebuggerUrl"].as_str().unwrap_or_default())?;
    let until = std::time::Instant::now() + LIMIT;
    loop {
        let ready = json!({ "expression": "document.readyState + location.origin" });
        let state = cdp.command("Runtime.evaluate", &ready)?["result"]["value"].clone();
        if state == format!("complete{}", site.url) {
            break;
        }
        must_be(std::time::Instant::now() < until, format!("the page is {state}"))?;
    }
    let result = cdp.command("Runtime.evaluate", &json!({ "expression": script }))?;
    Ok(result["result"]["value"].clone())
}

/// A web site on loopback, which answers every request with an empty page. Dropping it ends it.
struct Site {
    url: String,
    address: SocketAddr,
    over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Site {
    fn open() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let over = Arc::<AtomicBool>::default();
        let theirs = Arc::clone(&over);
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if theirs.load(Ordering::SeqCst) {
                    return;
                }
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request);
                    let _ = stream.write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\
                          connection: close\r\n\r\n<!doctype html>",
                    );
                });
            }
        });
        Ok(Self { url: format!("http://{address}"), address, over, server: Some(server) })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // What it waits for is a connection.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(server) = self.server.take().filter(|_| woken) {
            let _ = server.join();
        }
    }
}
