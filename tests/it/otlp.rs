//! An OTLP receiver over HTTP that reads requests as the protocol's own types do, and can be down.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;

/// A receiver on a port of its own. Dropping it ends it.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    records: Mutex<Vec<LogRecord>>,
    spans: Mutex<Vec<Span>>,
    /// Connections are cut before anything is read.
    down: AtomicBool,
    over: AtomicBool,
}

impl Receiver {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let server = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if theirs.over.load(Ordering::SeqCst) {
                    return;
                }
                if !theirs.down.load(Ordering::SeqCst)
                    && let Err(error) = theirs.answer(&stream)
                {
                    eprintln!("the OTLP receiver: {error}");
                }
            }
        });
        Ok(Self { address, shared, server: Some(server) })
    }

    /// What daemons are told.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether it cuts every connection.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// The records so far, in the order in which they came.
    pub fn records(&self) -> Vec<LogRecord> {
        self.shared.records.lock().expect("no panic under this lock").clone()
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.shared.spans.lock().expect("no panic under this lock").clone()
    }

    /// The offsets of the records so far.
    pub fn offsets(&self) -> Vec<u64> {
        self.records().iter().filter_map(offset).collect()
    }

    /// Waits for a record with an offset.
    ///
    /// # Errors
    /// The offsets that came, when it did not come in time.
    pub fn wait_for(&self, wanted: u64, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        loop {
            let offsets = self.offsets();
            if offsets.contains(&wanted) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("offset {wanted} was not sent; those that were: {offsets:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// The offset that a record says it had in the log.
fn offset(record: &LogRecord) -> Option<u64> {
    let attribute = record.attributes.iter().find(|a| a.key == "lockkeeper.offset")?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::IntValue(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}

impl Shared {
    /// Reads one request and answers it; the daemon uses a connection for no more.
    fn answer(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line)?;
        let spans = match line.trim_end() {
            "POST /v1/logs HTTP/1.1" => false,
            "POST /v1/traces HTTP/1.1" => true,
            _ => return Err(bad(&line)),
        };
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", bytes)) => length = bytes.parse().unwrap_or(0),
                Some(_) => {}
                None => break,
            }
        }
        let mut json = String::new();
        GzDecoder::new(reader.take(length)).read_to_string(&mut json)?;
        if spans {
            let request: ExportTraceServiceRequest = serde_json::from_str(&json)?;
            let scopes = request.resource_spans.into_iter().flat_map(|from| from.scope_spans);
            let spans = scopes.flat_map(|scope| scope.spans);
            self.spans.lock().expect("no panic under this lock").extend(spans);
        } else {
            let request: ExportLogsServiceRequest = serde_json::from_str(&json)?;
            let scopes = request.resource_logs.into_iter().flat_map(|from| from.scope_logs);
            let records = scopes.flat_map(|scope| scope.log_records);
            self.records.lock().expect("no panic under this lock").extend(records);
        }
        stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
              connection: close\r\n\r\n{}",
        )
    }
}
