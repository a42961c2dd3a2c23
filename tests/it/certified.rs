//! What a daemon needs to speak TLS, and clients that trust it.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use testkit::certificate::{Authority, Pair};
use testkit::daemon::{Options, StateDir};
use tungstenite::{Message, WebSocket};

/// One side of a TLS connection, blocking.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for localhost and its key, in files, and who signed it.
pub struct Certified {
    authority: Authority,
    folder: Arc<StateDir>,
}

impl Certified {
    /// A new authority and a certificate of it.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn new() -> Result<Self, String> {
        let folder = StateDir::create().map_err(|e| e.to_string())?;
        let this = Self { authority: Authority::new(), folder };
        this.write("ca.pem", this.authority.pem())?;
        this.show(&this.authority.pair())?;
        Ok(this)
    }

    /// The same for one name or address alone.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn of(name: &str) -> Result<Self, String> {
        let this = Self::new()?;
        this.show(&this.authority.pair_for(&[name]))?;
        Ok(this)
    }

    /// Makes a daemon speak TLS.
    pub fn on(&self, options: Options) -> Options {
        let file = |name: &str| self.path(name).display().to_string();
        options
            .env("LOCKKEEPER_TLS_CERT", file("cert.pem"))
            .env("LOCKKEEPER_TLS_KEY", file("key.pem"))
            .trusting(self.authority.pem())
    }

    /// The file of the authority.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Another certificate of the same authority.
    pub fn pair(&self) -> Pair {
        self.authority.pair()
    }

    /// Puts a pair into the files.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn show(&self, pair: &Pair) -> Result<(), String> {
        self.write("cert.pem", &pair.certificate)?;
        self.write("key.pem", &pair.key)
    }

    /// A connection to `host:port`, once hands are shaken.
    ///
    /// # Errors
    /// When there is none, or the certificate is not the authority's.
    pub fn connect(&self, host_and_port: &str) -> Result<Secure, String> {
        let failed = |e: &dyn std::fmt::Display| format!("TLS to {host_and_port}: {e}");
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem().as_bytes());
        roots.add(root.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(&e))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = host_and_port.rsplit_once(':').map_or(host_and_port, |(host, _)| host);
        let name = ServerName::try_from(name.to_owned()).map_err(|e| failed(&e))?;
        let mut session = ClientConnection::new(Arc::new(config), name).map_err(|e| failed(&e))?;
        let mut socket = TcpStream::connect(host_and_port).map_err(|e| failed(&e))?;
        let limit = Some(Duration::from_secs(20));
        socket.set_read_timeout(limit).map_err(|e| failed(&e))?;
        session.complete_io(&mut socket).map_err(|e| failed(&e))?;
        Ok(StreamOwned::new(session, socket))
    }

    /// A DevTools socket at `wss://host:port/...` that has been answered once.
    ///
    /// # Errors
    /// When it does not open, or no browser answers.
    pub fn open(&self, url: &str) -> Result<WebSocket<Secure>, String> {
        let place = url.trim_start_matches("wss://").split('/').next().unwrap_or_default();
        let opened = tungstenite::client(url, self.connect(place)?);
        let (mut socket, _) = opened.map_err(|e| format!("{url}: {e}"))?;
        let ask = json!({ "id": 1, "method": "Browser.getVersion" }).to_string();
        socket.send(Message::text(ask)).map_err(|e| e.to_string())?;
        let answer = socket.read().map_err(|e| e.to_string())?;
        match answer.to_text() {
            Ok(text) if text.contains("Chrome/") => Ok(socket),
            _ => Err(format!("{url}: the first answer is {answer:?}")),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.path(name), text).map_err(|e| format!("{name}: {e}"))
    }
}
