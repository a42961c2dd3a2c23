//! A scripted browser for volume: it starts in milliseconds, announces itself as Chromium does,
//! answers every command, and fails in the way that a command asks for.
//!
//! The daemon starts this very program in place of a browser. Its commands:
//!
//! | command | what it does |
//! | --- | --- |
//! | `Browser.close` | answers, then exits with code 0, as Chromium does |
//! | `Chaos.exit {code}` | exits with a code, without an answer |
//! | `Chaos.close {code, text}` | sends a Close frame and lives on |
//! | `Chaos.drop` | ends this socket without a Close and lives on |
//! | `Chaos.badFrame` | sends a frame with a reserved bit |
//! | `Chaos.oversize` | announces a message of 300 MiB |
//! | `Chaos.slowStart {ms}` | the next browser on this profile takes that long to start |
//! | `Chaos.hog {mib}` | takes that much memory and keeps it |
//! | anything else | an empty result |

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tungstenite::{Message, WebSocket};

/// What only a browser is started with.
const PORT_SWITCH: &str = "--remote-debugging-port=";
const PROFILE_SWITCH: &str = "--user-data-dir=";
/// Holds the milliseconds that the next start takes.
const SLOW_START: &str = "chaos-slow-start";
/// A message larger than any browser's limit, announced by its header alone.
const OVERSIZE: u64 = 300 << 20;

/// Whether this program was started in place of a browser.
pub(crate) fn is_wanted(args: &[String]) -> bool {
    args.iter().any(|arg| arg.starts_with(PORT_SWITCH))
}

/// Serves until it is told to end.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let profile = args.iter().find_map(|arg| arg.strip_prefix(PROFILE_SWITCH)).map(PathBuf::from);
    let Some(profile) = profile else {
        eprintln!("no {PROFILE_SWITCH}");
        return ExitCode::FAILURE;
    };
    let slow = profile.join(SLOW_START);
    if let Ok(text) = std::fs::read_to_string(&slow) {
        let _ = std::fs::remove_file(&slow);
        std::thread::sleep(Duration::from_millis(text.parse().unwrap_or(0)));
    }
    let listener = match TcpListener::bind("127.0.0.1:0") {
        Ok(listener) => listener,
        Err(e) => {
            eprintln!("no port: {e}");
            return ExitCode::FAILURE;
        }
    };
    let Ok(address) = listener.local_addr() else { return ExitCode::FAILURE };
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let url = format!("ws://{address}/devtools/browser/{:x}-{nanos:x}", std::process::id());
    eprintln!("\nDevTools listening on {url}");
    for stream in listener.incoming().flatten() {
        let (url, slow) = (url.clone(), slow.clone());
        std::thread::spawn(move || serve(stream, &url, &slow));
    }
    ExitCode::SUCCESS
}

/// One connection: a question about the version, or a DevTools socket.
fn serve(mut stream: TcpStream, url: &str, slow: &PathBuf) {
    let _ = stream.set_nodelay(true);
    let mut head = [0; 512];
    let Ok(seen) = stream.peek(&mut head) else { return };
    if head[..seen].starts_with(b"GET /json") {
        let body = json!({
            "Browser": "Chrome/156.0.0.0",
            "Protocol-Version": "1.3",
            "webSocketDebuggerUrl": url,
        })
        .to_string();
        let _ = stream.read(&mut head);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes());
        return;
    }
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let Ok(command) = serde_json::from_str::<Value>(&text) else { return };
        if !obey(&mut socket, &command, slow) {
            return;
        }
    }
}

/// Ends the process at once, as a browser does: other connections are cut, not closed.
#[expect(clippy::disallowed_methods, reason = "an abrupt end is what is wanted")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// Does what a command asks for. `false`: this socket is over.
fn obey(socket: &mut WebSocket<TcpStream>, command: &Value, slow: &PathBuf) -> bool {
    let params = &command["params"];
    let mut raw = |bytes: &[u8]| {
        let stream = socket.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush()).is_ok()
    };
    match command["method"].as_str().unwrap_or_default() {
        "Browser.close" => {
            answer(socket, command);
            exit(0);
        }
        "Chaos.exit" => exit(i32::try_from(params["code"].as_i64().unwrap_or(1)).unwrap_or(1)),
        "Chaos.close" => {
            let code = u16::try_from(params["code"].as_u64().unwrap_or(1000)).unwrap_or(1000);
            let reason = params["text"].as_str().unwrap_or_default().into();
            // The answer to it is read by the loop, which then ends.
            socket.close(Some(CloseFrame { code: CloseCode::from(code), reason })).is_ok()
        }
        "Chaos.drop" => {
            let _ = socket.get_ref().shutdown(Shutdown::Both);
            false
        }
        // FIN, the first reserved bit, text; no payload (RFC 6455, section 5.2).
        "Chaos.badFrame" => raw(&[0b1100_0001, 0]),
        "Chaos.oversize" => {
            let mut header = vec![0b1000_0001, 127];
            header.extend_from_slice(&OVERSIZE.to_be_bytes());
            raw(&header)
        }
        "Chaos.hog" => {
            // In pieces, as a page grows; written to, so that it is there.
            for _ in 0..params["mib"].as_u64().unwrap_or(0) {
                vec![1_u8; 1 << 20].leak();
            }
            true
        }
        "Chaos.slowStart" => {
            let _ = std::fs::write(slow, params["ms"].as_u64().unwrap_or(0).to_string());
            answer(socket, command)
        }
        _ => answer(socket, command),
    }
}

fn answer(socket: &mut WebSocket<TcpStream>, command: &Value) -> bool {
    let result = match command["method"].as_str() {
        Some("Browser.getVersion") => json!({
            "product": "HeadlessChrome/156.0.0.0",
            "protocolVersion": "1.3",
            "revision": "chaos",
            "userAgent": "chaos",
            "jsVersion": "15.6",
        }),
        _ => json!({}),
    };
    let text = json!({ "id": command["id"], "result": result }).to_string();
    socket.send(Message::text(text)).is_ok()
}
