//! One end of a WebSocket, spoken by hand: a test decides about every byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any bound that a test asserts: reaching it is a failure that says what was missing.
pub const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Eof,
    Reset,
}

#[derive(Debug)]
pub struct Ws {
    stream: TcpStream,
    read: Vec<u8>,
    masks: bool,
}

pub fn frame(opcode: u8, payload: &[u8], mask: bool) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    let bit = if mask { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => out.push(bit | len as u8),
        len @ 126..=0xffff => {
            out.push(bit | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(bit | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    if mask {
        let key = [7, 8, 9, 10];
        out.extend(key);
        out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    } else {
        out.extend(payload);
    }
    out
}

impl Ws {
    pub fn client(stream: TcpStream, read: Vec<u8>) -> Self {
        Self { stream, read, masks: true }
    }

    pub fn server(stream: TcpStream, read: Vec<u8>) -> Self {
        Self { stream, read, masks: false }
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the peer takes bytes");
    }

    pub async fn send(&mut self, text: &str) {
        let frame = frame(1, text.as_bytes(), self.masks);
        self.raw(&frame).await;
    }

    /// Like [`Ws::send`], for a peer that may stop taking bytes or end.
    pub async fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        let frame = frame(1, text.as_bytes(), self.masks);
        self.stream.write_all(&frame).await
    }

    pub async fn close(&mut self, code: Option<u16>, text: &str) {
        let mut payload = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
        payload.extend(text.as_bytes());
        let frame = frame(8, &payload, self.masks);
        self.raw(&frame).await;
    }

    /// The next frame, or how the stream ended.
    pub async fn next(&mut self) -> Got {
        timeout(PATIENCE, self.frame()).await.expect("nothing arrived")
    }

    /// The next frame that is no data.
    pub async fn end(&mut self) -> Got {
        loop {
            match self.next().await {
                Got::Text(_) | Got::Binary(_) | Got::Pong(_) => {}
                end => return end,
            }
        }
    }

    /// Sends a text and expects it back: both directions are alive.
    pub async fn echo(&mut self, text: &str) {
        self.send(text).await;
        assert_eq!(self.next().await, Got::Text(text.to_owned()));
    }

    async fn frame(&mut self) -> Got {
        loop {
            if let Some((got, used)) = parse(&self.read) {
                self.read.drain(..used);
                return got;
            }
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) => return Got::Eof,
                Ok(_) => {}
                Err(_) => return Got::Reset,
            }
        }
    }

    /// Echoes texts until the other side says something else, and gives that.
    pub async fn serve_echo(mut self) -> Got {
        loop {
            match self.frame().await {
                Got::Text(text) => {
                    let frame = frame(1, text.as_bytes(), self.masks);
                    if self.stream.write_all(&frame).await.is_err() {
                        return Got::Reset;
                    }
                }
                Got::Close(code, text) => {
                    self.close(code, "").await;
                    return Got::Close(code, text);
                }
                end => return end,
            }
        }
    }

    /// Ends the connection with a reset instead of an orderly end.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("linger can be set");
    }
}

fn parse(bytes: &[u8]) -> Option<(Got, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (len, mut at) = match second & 0x7f {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize, 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
        len => (len as usize, 2),
    };
    let key = if second & 0x80 != 0 {
        at += 4;
        bytes.get(at - 4..at)?.to_vec()
    } else {
        vec![0; 4]
    };
    let payload: Vec<u8> =
        bytes.get(at..at + len)?.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
    let got = match first & 0x0f {
        1 => Got::Text(String::from_utf8_lossy(&payload).into_owned()),
        8 if payload.len() >= 2 => Got::Close(
            Some(u16::from_be_bytes([payload[0], payload[1]])),
            String::from_utf8_lossy(&payload[2..]).into_owned(),
        ),
        8 => Got::Close(None, String::new()),
        10 => Got::Pong(payload),
        _ => Got::Binary(payload),
    };
    Some((got, at + len))
}
