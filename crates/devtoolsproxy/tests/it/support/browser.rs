//! A stand-in for a browser: its HTTP endpoints answer by themselves, its sockets are handed to
//! the test, which decides about every byte. It can crash, stop answering, or never answer.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use upstream::WsUrl;

use super::ws::{PATIENCE, Ws};

/// How it treats requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    Normal,
    /// Takes connections and never says a word.
    Silent,
    /// Answers every upgrade with this status.
    Refuses(u16),
    /// Answers `/json` with this body.
    Says(String),
}

#[derive(Debug)]
struct Shared {
    guid: String,
    port: u16,
    targets: Vec<String>,
    manner: Manner,
    requests: Vec<String>,
}

#[derive(Debug)]
pub struct Browser {
    shared: Arc<Mutex<Shared>>,
    sockets: mpsc::Receiver<(String, Ws)>,
    tasks: JoinSet<()>,
}

impl Browser {
    pub async fn start(guid: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Mutex::new(Shared {
            guid: guid.to_owned(),
            port,
            targets: vec!["PAGE1".to_owned()],
            manner: Manner::Normal,
            requests: Vec::new(),
        }));
        let (hand, sockets) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), hand));
        Self { shared, sockets, tasks }
    }

    pub fn url(&self) -> WsUrl {
        let shared = self.shared.lock().unwrap();
        WsUrl::from_parts("127.0.0.1", shared.port, &shared.guid).expect("a valid url")
    }

    pub fn port(&self) -> u16 {
        self.shared.lock().unwrap().port
    }

    pub fn manner(&self, manner: Manner) {
        self.shared.lock().unwrap().manner = manner;
    }

    pub fn targets(&self, targets: &[&str]) {
        self.shared.lock().unwrap().targets = targets.iter().map(|t| (*t).to_owned()).collect();
    }

    /// The request heads that came so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.lock().unwrap().requests.clone()
    }

    /// The next socket that was opened, with its path.
    pub async fn socket(&mut self) -> (String, Ws) {
        timeout(PATIENCE, self.sockets.recv()).await.expect("no socket came").expect("it runs")
    }

    /// Sockets that were opened and not taken.
    pub fn untaken(&self) -> usize {
        self.sockets.len()
    }

    /// Everything of it is gone at once, as after SIGKILL: its sockets end with a bare EOF.
    pub async fn crash(mut self, sockets: impl IntoIterator<Item = Ws>) {
        self.tasks.shutdown().await;
        self.sockets.close();
        drop(sockets.into_iter().collect::<Vec<_>>());
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Mutex<Shared>>,
    hand: mpsc::Sender<(String, Ws)>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let (shared, hand) = (Arc::clone(&shared), hand.clone());
                connections.spawn(async move { serve(stream, shared, hand).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    shared: Arc<Mutex<Shared>>,
    hand: mpsc::Sender<(String, Ws)>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (reply, upgrade) = {
        let mut shared = shared.lock().unwrap();
        shared.requests.push(head.clone());
        reply(&shared, &method, &path, &head)
    };
    let Some(reply) = reply else {
        // Silent: hold the connection until it is dropped.
        let _ = stream.read_buf(&mut bytes).await;
        std::future::pending::<()>().await;
        return None;
    };
    stream.write_all(reply.as_bytes()).await.ok()?;
    if upgrade {
        hand.send((path, Ws::server(stream, bytes.split_off(end)))).await.ok()?;
    }
    Some(())
}

fn reply(shared: &Shared, method: &str, path: &str, head: &str) -> (Option<String>, bool) {
    let Shared { guid, port, targets, manner, .. } = shared;
    let plain = |status: u16, body: &str| {
        let length = body.len();
        Some(format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    let at = format!("127.0.0.1:{port}");
    let page = |id: &String| {
        format!(
            r#"{{ "devtoolsFrontendUrl": "/devtools/inspector.html?ws={at}/devtools/page/{id}", "id": "{id}", "webSocketDebuggerUrl": "ws://{at}/devtools/page/{id}" }}"#
        )
    };
    let is_upgrade = head.to_ascii_lowercase().contains("upgrade: websocket");
    match (manner, is_upgrade) {
        (Manner::Silent, _) => return (None, false),
        (Manner::Refuses(status), true) => return (plain(*status, "no"), false),
        (Manner::Says(body), false) => return (plain(200, body), false),
        _ => {}
    }
    if is_upgrade {
        let known = match path.split_once("/devtools/page/") {
            Some((_, target)) => targets.iter().any(|known| known == target),
            None => *path == format!("/devtools/browser/{guid}"),
        };
        if !known {
            return (plain(if path.contains("/page/") { 500 } else { 404 }, "unknown"), false);
        }
        let key = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key:"))
            .and_then(|line| line.split_once(':'))
            .map(|(_, key)| key.trim().to_owned())
            .unwrap_or_default();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let reply = format!(
            "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        return (Some(reply), true);
    }
    let (route, query) = path.split_once('?').unwrap_or((path, ""));
    let body = match (method, route) {
        ("GET", "/json/version") => format!(
            "{{\n   \"Browser\": \"Fake/1\",\n   \"webSocketDebuggerUrl\": \"ws://{at}/devtools/browser/{guid}\"\n}}\n"
        ),
        ("GET", "/json/list") => {
            format!("[ {} ]", targets.iter().map(page).collect::<Vec<_>>().join(", "))
        }
        ("GET", "/json/protocol") => format!("{{\"domains\":\"{}\"}}", "x".repeat(200_000)),
        ("PUT", "/json/new") => format!(
            "{{ \"url\": \"{query}\", \"webSocketDebuggerUrl\": \"ws://{at}/devtools/page/NEW\" }}"
        ),
        ("GET", "/json/close/PAGE1") => "Target is closing".to_owned(),
        _ => return (plain(404, &format!("No such target id: {route}")), false),
    };
    (plain(200, &body), false)
}
