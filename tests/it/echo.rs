//! A WebSocket server that sends back what it gets, and passes for a browser: it answers
//! `/json/version` and takes sockets on every path.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message};

/// Serves on a free loopback port for as long as the process lives.
///
/// # Errors
/// When no port can be bound.
pub fn serve_echo() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that breaks off is what many cases are about.
            std::thread::spawn(move || answer(stream, address).ok());
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, address: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let head = peeked_head(&stream)?;
    if head.to_ascii_lowercase().contains("upgrade: websocket") {
        let mut config = WebSocketConfig::default();
        config.max_message_size = None;
        config.max_frame_size = None;
        let mut socket = tungstenite::accept_with_config(stream, Some(config))?;
        loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message)?,
                // It answers these by itself.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                    socket.flush()?
                }
                Err(Error::Utf8(_)) => {
                    let (code, reason) = (CloseCode::Invalid, "".into());
                    socket.close(Some(CloseFrame { code, reason }))?;
                    // Until the client has answered and gone.
                    while socket.read().is_ok() {}
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    stream.read_exact(&mut vec![0; head.len()])?;
    let body = format!(
        r#"{{"Browser":"Echo","webSocketDebuggerUrl":"ws://{address}/devtools/browser/echo"}}"#
    );
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )?;
    Ok(())
}

/// The request's head, left unread.
fn peeked_head(stream: &TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; 8192];
    let mut before = 0;
    loop {
        let read = stream.peek(&mut bytes)?;
        if let Some(end) = bytes[..read].windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(String::from_utf8_lossy(&bytes[..end + 4]).into_owned());
        }
        if read == before {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        before = read;
    }
}
