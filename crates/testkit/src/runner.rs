//! An agent's runner that answers as a test says: the test takes each request and plays its answer.
//!
//! It speaks just enough HTTP/1.1 for that, and on purpose nothing that would repair what a test
//! sends: a cut chunk stays cut.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long a step of a test may take on a slow, busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What begins an event stream that ends with its connection.
pub const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// A socket that listens, and a test that plays the runner behind it.
#[derive(Debug)]
pub struct Runner {
    listener: TcpListener,
    address: SocketAddr,
}

/// A request and its open connection. Dropping it closes the connection.
#[derive(Debug)]
pub struct Ask {
    /// The request's head, as it came.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
    stream: TcpStream,
}

impl Runner {
    /// One on a free port of loopback.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address")).await
    }

    /// One at this address, such as that of one which was dropped.
    ///
    /// # Panics
    /// If it is taken.
    pub async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("an address to listen on");
        let address = listener.local_addr().expect("its own address");
        Self { listener, address }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path of its.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request.
    ///
    /// # Panics
    /// If none comes in time, or something that is no request.
    pub async fn next(&self) -> Ask {
        let stream = self.connection().await;
        Ask::read(stream).await.expect("a whole request")
    }

    /// The next connection, before anything is read from it.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn connection(&self) -> TcpStream {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        accepted.expect("nobody has connected in time").expect("accept").0
    }

    /// Whether a connection has come that nobody has taken, or comes within this time.
    pub async fn is_asked_within(&self, time: Duration) -> bool {
        timeout(time, self.listener.accept()).await.is_ok()
    }
}

impl Ask {
    async fn read(mut stream: TcpStream) -> io::Result<Self> {
        let mut came = Vec::new();
        let end = loop {
            if let Some(at) = came.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            more(&mut stream, &mut came).await?;
        };
        let head = String::from_utf8_lossy(&came[..end]).into_owned();
        let length = field(&head, "content-length").and_then(|length| length.parse().ok());
        let end_of_body = end + length.unwrap_or(0);
        while came.len() < end_of_body {
            more(&mut stream, &mut came).await?;
        }
        Ok(Self { head, body: came.split_off(end), stream })
    }

    /// The request's path and query.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// A header field of the request.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// Sends these bytes.
    ///
    /// # Panics
    /// If the other side is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("a connection that is still there");
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// The other side is gone.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Answers with a status, these header lines and no body, and closes.
    pub async fn answer(mut self, status: u16, lines: &[&str]) {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(format!("HTTP/1.1 {status} As Told\r\n{lines}Content-Length: 0\r\n\r\n")).await;
    }

    /// Answers with an event stream that begins with this.
    pub async fn stream(&mut self, text: &str) {
        self.send(format!("{STREAM}{text}")).await;
    }

    /// Closes so that the other side sees a reset.
    ///
    /// # Panics
    /// If the socket refuses.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("linger");
    }

    /// Waits until the other side has closed.
    ///
    /// # Panics
    /// If it has not in time.
    pub async fn closed(&mut self) {
        let mut byte = [0];
        let read = timeout(PATIENCE, self.stream.read(&mut byte)).await;
        assert!(matches!(read, Ok(Ok(0) | Err(_))), "the connection is still open: {read:?}");
    }
}

async fn more(stream: &mut TcpStream, came: &mut Vec<u8>) -> io::Result<()> {
    let read = timeout(PATIENCE, stream.read_buf(came)).await;
    match read {
        Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(result) => result.map(|_| ()),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
