//! A page of a web site that remembers who logged in, for sandboxes that come back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, must};
use serde_json::{Value, json};
use testkit::daemon::Daemon;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn call(node: &Daemon, method: &str, path: &str) -> Result<(u16, Value), String> {
    let answer = node.call(method, path, None)?;
    Ok((answer.status, answer.body))
}

pub(crate) fn post(node: &Daemon, id: &str, verb: &str) -> Result<Value, String> {
    let (status, body) = call(node, "POST", &format!("/v1/sandboxes/{id}/{verb}"))?;
    must_be(status == 200, format!("{verb} was answered with {status}: {body}"))?;
    Ok(body)
}

fn must_be(holds: bool, text: String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text) }
}

/// Sets a cookie and an entry of the local storage from a page of the site.
pub(crate) fn log_in(node: &Daemon, id: &str, site: &Site) -> Outcome {
    let script = "document.cookie = 'login=alice; max-age=86400'; \
                  localStorage.setItem('cart', 'three'); 'done'";
    let done = evaluate(node, id, site, script)?;
    must!(done == "done", "{done}");
    Ok(())
}

pub(crate) fn still_logged_in(node: &Daemon, id: &str, site: &Site) -> Outcome {
    let seen = evaluate(node, id, site, "document.cookie + ' ' + localStorage.getItem('cart')")?;
    must!(seen == "login=alice three", "{seen}");
    Ok(())
}

/// Opens a page of the site and runs a script in it.
pub(crate) fn evaluate(
    node: &Daemon,
    id: &str,
    site: &Site,
    script: &str,
) -> Result<Value, String> {
    evaluate_at(node, id, &site.url, script)
}

/// Opens the page of an origin and runs a script in it.
pub(crate) fn evaluate_at(
    node: &Daemon,
    id: &str,
    origin: &str,
    script: &str,
) -> Result<Value, String> {
    let path = format!("/sandboxes/{id}/json/new?{origin}");
    let (status, page) = call(node, "PUT", &path)?;
    must_be(status == 200, format!("no page: {status} {page}"))?;
    let mut cdp = Cdp::open(page["webSocketDebuggerUrl"].as_str().unwrap_or_default())?;
    let until = std::time::Instant::now() + LIMIT;
    loop {
        let ready = json!({ "expression": "document.readyState + location.origin" });
        let state = cdp.command("Runtime.evaluate", &ready)?["result"]["value"].clone();
        if state == format!("complete{origin}") {
            break;
        }
        must_be(std::time::Instant::now() < until, format!("the page is {state}"))?;
    }
    let result = cdp.command("Runtime.evaluate", &json!({ "expression": script }))?;
    Ok(result["result"]["value"].clone())
}

/// A web site on loopback, which answers every request with an empty page. Dropping it ends it.
pub(crate) struct Site {
    url: String,
    address: SocketAddr,
    over: Arc<AtomicBool>,
    heads: Arc<Mutex<Vec<String>>>,
    server: Option<JoinHandle<()>>,
}

impl Site {
    pub(crate) fn open() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let over = Arc::<AtomicBool>::default();
        let theirs = Arc::clone(&over);
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if theirs.load(Ordering::SeqCst) {
                    return;
                }
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    let read = stream.read(&mut request).unwrap_or_default();
                    let head = String::from_utf8_lossy(&request[..read]).into_owned();
                    seen.lock().expect("no panic under this lock").push(head);
                    let _ = stream.write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\
                          connection: close\r\n\r\n<!doctype html>",
                    );
                });
            }
        });
        Ok(Self { url: format!("http://{address}"), address, over, heads, server: Some(server) })
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it was asked so far, each request with its headers.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic under this lock").clone()
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
