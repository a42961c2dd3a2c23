//! A node and a gateway that speak TLS themselves, and unmodified clients of theirs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lockkeeper_api::proto::CreateSandboxRequest;
use lockkeeper_api::proto::sandbox_service_client::SandboxServiceClient;
use lockkeeper_tests::{Certified, Outcome, cli, daemon, gateway, must, node_trusting};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::certificate::Pair;
use testkit::daemon::Daemon;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::agents::Agents;

crate::facts! {
    playwright_drives_a_sandbox_over_https_and_wss,
    a_subdomain_over_tls_leads_to_itself,
    agui_clients_use_a_gateway_over_https,
    a_message_of_twenty_mebibytes_passes_over_tls,
    a_drain_closes_a_session_over_tls_with_its_code_and_then_tls_itself,
    a_client_that_vanishes_over_tls_is_not_a_clean_close,
    a_sandbox_is_driven_over_grpc_with_tls,
    the_command_line_client_speaks_https_to_whom_it_trusts,
    a_changed_certificate_is_shown_and_a_bad_one_is_not,
    a_bad_certificate_stops_the_start,
    plain_http_is_told_to_use_https_and_the_admin_port_stays_plain,
}

const CLIENT: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(20);

fn finish(mut daemon: Daemon) -> Outcome {
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `127.0.0.1:PORT`.
fn place(daemon: &Daemon) -> &str {
    daemon.base().trim_start_matches("https://")
}

fn playwright_drives_a_sandbox_over_https_and_wss() -> Outcome {
    let files = Certified::new()?;
    let mut daemon = files.on(daemon()).env("LOCKKEEPER_SANDBOX_PORTS", "10000-29999").start()?;
    must!(daemon.base().starts_with("https://127.0.0.1:"), "it is at {}", daemon.base());
    let sandbox = daemon.create(&json!({ "id": "safe" }))?;
    let (http, ws) = (text(&sandbox["cdp_url"]), text(&sandbox["ws_url"]));
    must!(http == format!("{}/sandboxes/safe", daemon.base()), "{sandbox}");
    must!(ws == format!("{}/sandboxes/safe/devtools/browser/safe", daemon.ws_base()), "{sandbox}");
    let port = text(&sandbox["port_url"]);
    must!(port.starts_with("https://127.0.0.1:"), "{sandbox}");
    let version = daemon.call("GET", "/sandboxes/safe/json/version", None)?.body;
    must!(version["webSocketDebuggerUrl"] == ws, "{version}");
    for endpoint in [http, ws, port] {
        let shot = daemon.state().path().join("shot.png").display().to_string();
        let lines = node_trusting("playwright.mjs", &["drive", endpoint, &shot], &files.ca())?
            .finish(CLIENT)?;
        must!(lines.iter().any(|l| l["step"] == "screenshot"), "{endpoint}: {lines:?}");
    }
    let events = daemon.events()?;
    let ends = events.wait_count("cdp_disconnect", 3, LIMIT)?;
    must!(ends.iter().all(|e| e["data"]["reason"] == "client_close"), "{ends:?}");
    let connects = events.of("cdp_connect");
    must!(connects.iter().all(|e| e["data"]["tls"] == true), "{connects:?}");
    daemon.call("DELETE", "/v1/sandboxes/safe", None)?;
    finish(daemon)
}

/// One GET over TLS, whatever its Host says.
fn get(files: &Certified, daemon: &Daemon, host: &str, path: &str) -> Result<String, String> {
    let mut stream = files.connect(place(daemon))?;
    let ask = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| format!("{answer:?}, then {e}"))?;
    Ok(answer)
}

fn a_subdomain_over_tls_leads_to_itself() -> Outcome {
    let files = Certified::new()?;
    let mut daemon = files.on(daemon()).env("LOCKKEEPER_SUBDOMAINS_OF", "localhost").start()?;
    daemon.create(&json!({ "id": "named" }))?;
    let port = daemon.base().rsplit(':').next().unwrap_or_default();
    let host = format!("named.localhost:{port}");
    let answer = get(&files, &daemon, &host, "/json/version")?;
    let shown = format!("\"wss://{host}/devtools/browser/named\"");
    must!(answer.starts_with("HTTP/1.1 200") && answer.contains(&shown), "{answer}");
    daemon.call("DELETE", "/v1/sandboxes/named", None)?;
    finish(daemon)
}

fn agui_clients_use_a_gateway_over_https() -> Outcome {
    let files = Certified::new()?;
    let agents = Agents::start_on_tls(&files, json!({}))?;
    let done = agents.run("say")?;
    must!(done["failed"] == Value::Null, "{done}");
    must!(done["messages"][1]["content"] == "Hello wörld…", "{done}");
    let seen = agents.types()?.len().to_string();
    let follows = agents.client(&["follow", &agents.url("/agui/events"), &seen])?;
    let followed = follows.wait_step("followed", CLIENT)?;
    must!(followed["gaps"] == json!([]), "{followed}");
    agents.check()
}

fn a_message_of_twenty_mebibytes_passes_over_tls() -> Outcome {
    let files = Certified::new()?;
    let mut daemon = files.on(daemon()).start()?;
    let sandbox = daemon.create(&json!({ "id": "large" }))?;
    let http = text(&sandbox["cdp_url"]);
    let lines = node_trusting("playwright.mjs", &["large", http], &files.ca())?.finish(CLIENT)?;
    let wire = lines.iter().find_map(|l| l["wire"].as_u64()).unwrap_or(0);
    must!(wire >= 20 << 20, "only {wire} bytes went over the wire: {lines:?}");
    daemon.call("DELETE", "/v1/sandboxes/large", None)?;
    finish(daemon)
}

/// The address of a sandbox's DevTools.
fn wss(daemon: &Daemon, id: &str) -> String {
    format!("{}/sandboxes/{id}", daemon.ws_base())
}

fn a_drain_closes_a_session_over_tls_with_its_code_and_then_tls_itself() -> Outcome {
    let files = Certified::new()?;
    let mut daemon = files.on(daemon()).start()?;
    daemon.create(&json!({ "id": "drained" }))?;
    let mut socket = files.open(&wss(&daemon, "drained"))?;
    daemon.signal(Signal::SIGTERM);
    let close = loop {
        match socket.read().map_err(|e| format!("no Close: {e}"))? {
            Message::Close(frame) => break frame.ok_or("a Close without a code")?,
            Message::Text(_)
            | Message::Binary(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Frame(_) => {}
        }
    };
    must!(close.code == CloseCode::Away, "{close:?}");
    socket.flush().map_err(|e| e.to_string())?;
    // Only a close_notify makes this an end; a connection that is merely cut is an error.
    let mut left = Vec::new();
    let read = socket.get_mut().read_to_end(&mut left);
    must!(matches!(read, Ok(0)), "after the Close came {read:?}");
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn a_client_that_vanishes_over_tls_is_not_a_clean_close() -> Outcome {
    let files = Certified::new()?;
    let mut daemon = files.on(daemon()).start()?;
    daemon.create(&json!({ "id": "left" }))?;
    let events = daemon.events()?;
    // TCP ends, and TLS says nothing of it.
    let socket = files.open(&wss(&daemon, "left"))?;
    let tcp = socket.get_ref().sock.try_clone().map_err(|e| e.to_string())?;
    tcp.shutdown(std::net::Shutdown::Both).map_err(|e| e.to_string())?;
    let ends = events.wait_count("cdp_disconnect", 1, LIMIT)?;
    let data = &ends[0]["data"];
    must!(data["reason"] == "client_close" && data["detail"] == "client_vanished", "{data}");
    daemon.call("DELETE", "/v1/sandboxes/left", None)?;
    finish(daemon)
}

fn a_sandbox_is_driven_over_grpc_with_tls() -> Outcome {
    let files = Certified::new()?;
    let mut daemon = files.on(daemon()).start()?;
    let ca = fs::read(files.ca()).map_err(|e| e.to_string())?;
    let base = daemon.base().to_owned();
    let create = async {
        let trust = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let channel = Channel::from_shared(base).map_err(|e| e.to_string())?.tls_config(trust);
        let channel = channel.map_err(|e| e.to_string())?.connect().await;
        let channel = channel.map_err(|e| format!("no channel: {e:?}"))?;
        let request = CreateSandboxRequest { id: Some("a".into()), ..Default::default() };
        let made = SandboxServiceClient::new(channel).create(request).await;
        made.map(tonic::Response::into_inner).map_err(|e| e.to_string())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let made = runtime.map_err(|e| e.to_string())?.block_on(create)?;
    daemon.remember();
    must!(made.cdp_url == format!("{}/sandboxes/a", daemon.base()), "{made:?}");
    must!(made.ws_url.starts_with(&daemon.ws_base()), "{made:?}");
    daemon.call("DELETE", "/v1/sandboxes/a", None)?;
    finish(daemon)
}

fn run(base: &str, args: &[&str], more: &[(&str, &str)]) -> Result<Output, String> {
    Command::new(cli())
        .args(args)
        .env_clear()
        .env("LOCKKEEPER_URL", base)
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("the client did not start: {e}"))
}

fn the_command_line_client_speaks_https_to_whom_it_trusts() -> Outcome {
    let (files, other) = (Certified::new()?, Certified::new()?);
    let mut daemon = files.on(daemon()).start()?;
    let (ca, wrong) = (files.ca().display().to_string(), other.ca().display().to_string());
    let made = run(daemon.base(), &["--ca", &ca, "create", "--id", "a", "-q"], &[])?;
    daemon.remember();
    let told = String::from_utf8_lossy(&made.stdout).into_owned();
    must!(told == format!("{}/sandboxes/a\n", daemon.base()), "{made:?}");
    let ended = run(daemon.base(), &["rm", "a"], &[("LOCKKEEPER_CA", &ca)])?;
    must!(ended.status.success(), "{ended:?}");
    for args in [&["info", "--ca", &wrong] as &[_], &["info"]] {
        let refused = run(daemon.base(), args, &[])?;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        must!(refused.status.code() == Some(76), "{args:?}: {refused:?}");
        must!(told.contains("is not trusted") && told.contains("--ca"), "{args:?}: {told}");
    }
    let missing = run(daemon.base(), &["info", "--ca", "/nowhere/ca.pem"], &[])?;
    must!(missing.status.code() == Some(64), "{missing:?}");
    let plain = daemon.base().replacen("https", "http", 1);
    let told = run(&plain, &["info"], &[])?;
    must!(String::from_utf8_lossy(&told.stderr).contains("use https://"), "{told:?}");
    finish(daemon)
}

/// What the daemon shows whoever connects.
fn shown(files: &Certified, daemon: &Daemon) -> Result<Vec<u8>, String> {
    let stream = files.connect(place(daemon))?;
    let chain = stream.conn.peer_certificates().ok_or("no certificate")?;
    Ok(chain.first().ok_or("an empty chain")?.to_vec())
}

fn wait_log(daemon: &Daemon, words: &str) -> Outcome {
    let until = Instant::now() + LIMIT;
    while !daemon.log().contains(words) {
        must!(Instant::now() < until, "the log never said {words:?}:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn a_changed_certificate_is_shown_and_a_bad_one_is_not() -> Outcome {
    let files = Certified::new()?;
    let gateway = files.on(gateway()).start()?;
    let first = shown(&files, &gateway)?;
    let mut kept = files.connect(place(&gateway))?;
    files.show(&files.pair())?;
    let until = Instant::now() + LIMIT;
    let second = loop {
        let second = shown(&files, &gateway)?;
        if second != first {
            break second;
        }
        must!(Instant::now() < until, "the old one is still shown:\n{}", gateway.log());
    };
    files.show(&Pair { certificate: "scribble".into(), key: "scribble".into() })?;
    wait_log(&gateway, "the certificate and its key stay as they were: TLS_CERT: ")?;
    must!(shown(&files, &gateway)? == second, "not the good one before it");
    let ask = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    kept.write_all(ask).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    kept.read_to_string(&mut answer).map_err(|e| format!("{answer:?}, then {e}"))?;
    must!(answer.starts_with("HTTP/1.1 200"), "a connection of before: {answer}");
    Ok(())
}

fn a_bad_certificate_stops_the_start() -> Outcome {
    let files = Certified::new()?;
    for (what, options) in [("node", daemon()), ("gateway", gateway())] {
        let (status, log) = files
            .on(options.clone())
            .env("LOCKKEEPER_TLS_KEY", "/nowhere/key.pem")
            .run_to_end(LIMIT)?;
        must!(status.code() == Some(64), "the {what} ended with {status}:\n{log}");
        must!(log.contains("TLS_KEY: /nowhere/key.pem cannot be read"), "{what}: {log}");
        let (status, log) = options.env("LOCKKEEPER_TLS_CERT", "/c.pem").run_to_end(LIMIT)?;
        must!(status.code() == Some(64), "the {what} ended with {status}:\n{log}");
        must!(log.contains("TLS_CERT is set and TLS_KEY is not"), "{what}: {log}");
    }
    Ok(())
}

fn ask_plainly(place: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect(place).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(LIMIT)).map_err(|e| e.to_string())?;
    let ask = format!("GET /healthz HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| format!("{answer:?}, then {e}"))?;
    Ok(answer)
}

fn plain_http_is_told_to_use_https_and_the_admin_port_stays_plain() -> Outcome {
    let files = Certified::new()?;
    let admin = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let admin = admin.map_err(|e| e.to_string())?.to_string();
    let daemon = files.on(daemon()).env("LOCKKEEPER_ADMIN_LISTEN", &*admin).start()?;
    let told = ask_plainly(place(&daemon))?;
    must!(told.starts_with("HTTP/1.1 400") && told.contains("use https://"), "{told}");
    let answer = ask_plainly(&admin)?;
    must!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    finish(daemon)
}
