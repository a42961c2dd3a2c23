//! The server behind the proxies: verifies each message and answers with one of the same number.

use crate::message::{Messages, read_head};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// To the key of the example in RFC 6455, which every client here sends.
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Starts the server in a thread of its own, on the core of its caller.
pub(crate) fn start(size: usize) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    // It ends with the process; a message that is wrong ends the process at once.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(serve(listener, size));
    });
    address
}

async fn serve(listener: std::net::TcpListener, size: usize) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let (question, answer) = (Messages::new(size, true), Messages::new(size, false));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                crate::tune(&stream);
                connections.spawn(echo(stream, question.clone(), answer.clone()));
            }
            Some(ended) = connections.join_next() => {
                if ended.is_err() {
                    eprintln!("the echo server got wrong bytes");
                    std::process::abort();
                }
            }
        }
    }
}

async fn echo(mut stream: TcpStream, question: Messages, answer: Messages) -> io::Result<()> {
    read_head(&mut stream).await?;
    stream.write_all(SWITCHING).await?;
    let mut buf = Vec::new();
    for number in 0.. {
        if !question.receive(&mut stream, number, &mut buf).await? {
            break;
        }
        // An idle connection holds no more than it must.
        buf = Vec::new();
        answer.send(&mut stream, number).await?;
    }
    Ok(())
}
