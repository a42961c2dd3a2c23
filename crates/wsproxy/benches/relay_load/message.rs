//! Numbered messages of one size, and how they are verified on the way in.

use bytes::Buf;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes of the number that every payload begins with.
const NUMBER: usize = 8;
/// The key of every masked frame. Any will do: nobody on the way may look behind it.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// First byte of a Close frame.
const CLOSE: u8 = 0x88;
/// Read at once, at most.
const CHUNK: usize = 256 * 1024;

/// The frames of one direction: a header, a number, and the same bytes in each.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    masked: bool,
    header: Arc<[u8]>,
    /// The payload behind the number, as it is on the wire.
    body: Arc<[u8]>,
}

impl Messages {
    /// Messages of `size` payload bytes, masked as a client's.
    pub(crate) fn new(size: usize, masked: bool) -> Self {
        assert!(size >= NUMBER, "a payload holds at least its number");
        let mask = if masked { 0x80 } else { 0 };
        let mut header = vec![0x82];
        match size {
            0..126 => header.push(mask | size as u8),
            126..65_536 => {
                header.push(mask | 126);
                header.extend((size as u16).to_be_bytes());
            }
            _ => {
                header.push(mask | 127);
                header.extend((size as u64).to_be_bytes());
            }
        }
        if masked {
            header.extend(KEY);
        }
        // No byte like its neighbours, so that bytes out of place are found.
        let plain = (NUMBER..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8);
        let key = |i: usize| if masked { KEY[i % KEY.len()] } else { 0 };
        let body = plain.enumerate().map(|(i, byte)| byte ^ key(i + NUMBER)).collect();
        Self { masked, header: header.into(), body }
    }

    fn number_on_the_wire(&self, number: u64) -> [u8; NUMBER] {
        let mut bytes = number.to_be_bytes();
        if self.masked {
            bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= KEY[i % KEY.len()]);
        }
        bytes
    }

    /// Sends the message of this number.
    pub(crate) async fn send(&self, stream: &mut TcpStream, number: u64) -> io::Result<()> {
        let number = self.number_on_the_wire(number);
        let mut frame = Buf::chain(&self.header[..], &number[..]).chain(&self.body[..]);
        stream.write_all_buf(&mut frame).await
    }

    /// Receives the message of this number; false at a Close or at the end of the stream.
    ///
    /// # Panics
    ///
    /// When any byte is not as it was sent.
    pub(crate) async fn receive(
        &self,
        stream: &mut TcpStream,
        number: u64,
        buf: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let number = self.number_on_the_wire(number);
        let head = [&self.header[..], &number[..]].concat();
        let whole = head.len() + self.body.len();
        buf.resize(whole.min(CHUNK), 0);
        let mut at = 0;
        while at < whole {
            let room = buf.len().min(whole - at);
            let read = stream.read(&mut buf[..room]).await?;
            if read == 0 {
                assert_eq!(at, 0, "a message was cut off after {at} bytes");
                return Ok(false);
            }
            if at == 0 && buf[0] == CLOSE {
                return Ok(false);
            }
            let of_head = &head[at.min(head.len())..head.len().min(at + read)];
            let in_head = of_head.len();
            assert_eq!(&buf[..in_head], of_head, "a header or number is wrong");
            let from = (at + in_head) - head.len().min(at + in_head);
            let same = buf[in_head..read] == self.body[from..from + read - in_head];
            assert!(same, "payload is wrong between bytes {at} and {}", at + read);
            at += read;
        }
        Ok(true)
    }
}

/// Reads an HTTP head, up to its empty line.
pub(crate) async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}
