//! A raw DevTools client over one blocking socket: what the wire says, without a library's opinion.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::error::ProtocolError;
use tungstenite::http::{Request, Response};
use tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// How a socket ended, as its client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A Close frame with this code (1005: none in it) and text.
    Close(u16, String),
    /// The TCP connection ended without one.
    Dropped,
}

/// One open DevTools socket.
pub struct Cdp {
    socket: WebSocket<TcpStream>,
    next: u64,
}

/// Why a socket did not open.
#[derive(Debug)]
pub enum Refused {
    /// The server answered something other than 101.
    Http(Box<Response<Option<Vec<u8>>>>),
    /// Nothing sensible came.
    Other(String),
}

impl Refused {
    /// The HTTP status, 0 if there was none.
    pub fn status(&self) -> u16 {
        match self {
            Self::Http(answer) => answer.status().as_u16(),
            Self::Other(_) => 0,
        }
    }

    /// The body or the error, for a person.
    pub fn text(&self) -> String {
        match self {
            Self::Http(answer) => {
                String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned()
            }
            Self::Other(text) => text.clone(),
        }
    }

    /// One header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self {
            Self::Http(answer) => answer.headers().get(name)?.to_str().ok(),
            Self::Other(_) => None,
        }
    }
}

impl Cdp {
    /// Opens `url` with further headers.
    ///
    /// # Errors
    /// The refusal.
    pub fn open_with(url: &str, headers: &[(&str, &str)]) -> Result<Self, Refused> {
        let other = |e: &dyn std::fmt::Display| Refused::Other(format!("{url}: {e}"));
        let authority = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split('/').next())
            .ok_or_else(|| Refused::Other(format!("{url} is not a ws:// address")))?;
        let stream = TcpStream::connect(authority).map_err(|e| other(&e))?;
        stream.set_nodelay(true).map_err(|e| other(&e))?;
        stream.set_read_timeout(Some(Duration::from_secs(90))).map_err(|e| other(&e))?;
        let mut request = Request::builder()
            .uri(url)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", tungstenite::handshake::client::generate_key());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", authority);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).map_err(|e| other(&e))?;
        let mut config = WebSocketConfig::default();
        config.max_message_size = None;
        config.max_frame_size = None;
        match tungstenite::client::client_with_config(request, stream, Some(config)) {
            Ok((socket, _)) => Ok(Self { socket, next: 0 }),
            Err(HandshakeError::Failure(Error::Http(answer))) => Err(Refused::Http(answer)),
            Err(e) => Err(other(&e)),
        }
    }

    /// Opens `url`.
    ///
    /// # Errors
    /// The refusal, as a text.
    pub fn open(url: &str) -> Result<Self, String> {
        Self::open_with(url, &[]).map_err(|r| format!("{url}: {} {}", r.status(), r.text()))
    }

    /// Sends one command and returns its result, passing over events.
    ///
    /// # Errors
    /// When the socket ended or the browser refused the command.
    pub fn command(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        let id = self.send(method, params)?;
        loop {
            match self.socket.read().map_err(|e| format!("{method}: {e}"))? {
                Message::Text(text) => {
                    let answer: Value =
                        serde_json::from_str(&text).map_err(|e| format!("{method}: {e}"))?;
                    if answer["id"] == id {
                        return match answer.get("error") {
                            Some(error) => Err(format!("{method}: {error}")),
                            None => Ok(answer["result"].clone()),
                        };
                    }
                }
                Message::Close(frame) => return Err(format!("{method}: closed by {frame:?}")),
                _ => {}
            }
        }
    }

    /// Sends one command without waiting for its answer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn send(&mut self, method: &str, params: &Value) -> Result<u64, String> {
        self.next += 1;
        let text = json!({ "id": self.next, "method": method, "params": params }).to_string();
        self.socket.send(Message::text(text)).map_err(|e| format!("{method}: {e}"))?;
        Ok(self.next)
    }

    /// Waits for the end of the socket, answering a Close as a client must.
    ///
    /// # Errors
    /// When it is still open after `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> Result<Ended, String> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("the socket is still open after {limit:?}"));
            }
            let stream = self.socket.get_ref();
            stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
            match self.socket.read() {
                Ok(Message::Close(frame)) => {
                    let _ = self.socket.flush();
                    return Ok(frame.map_or(Ended::Close(1005, String::new()), |f| {
                        Ended::Close(f.code.into(), f.reason.to_string())
                    }));
                }
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(Ended::Dropped),
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Ok(Ended::Dropped);
                }
                Err(Error::Io(e))
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(Error::Io(_)) => return Ok(Ended::Dropped),
                Err(e) => return Err(format!("the socket failed: {e}")),
            }
        }
    }

    /// Closes with a code and waits for the echo.
    ///
    /// # Errors
    /// When no end comes within five seconds.
    pub fn close(mut self, code: u16) -> Result<Ended, String> {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        self.socket.close(Some(frame)).map_err(|e| e.to_string())?;
        self.wait_end(Duration::from_secs(5))
    }

    /// Writes bytes past the protocol.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), String> {
        use std::io::Write as _;
        self.socket.get_mut().write_all(bytes).map_err(|e| format!("raw bytes: {e}"))
    }

    /// Ends TCP with a reset.
    ///
    /// # Errors
    /// When the socket cannot be told to.
    pub fn reset(self) -> Result<(), String> {
        let now = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        let socket = self.socket.get_ref();
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::Linger, &now)
            .map_err(|e| format!("linger: {e}"))
    }

    /// The raw stream, for faults: dropping it ends TCP without a Close frame.
    pub fn into_stream(self) -> TcpStream {
        self.socket.get_ref().try_clone().expect("a socket can be cloned")
    }
}
