//! A server that speaks S3, for snapshots that are kept in a bucket.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::daemon::Options;

use crate::clients;

/// How long it may take to listen.
const LIMIT: Duration = Duration::from_secs(30);

/// The bucket that there is.
const BUCKET: &str = "lockkeeper-tests";

/// A server on a free port, with an empty bucket; dropping it kills it. What is in it is in its memory.
pub struct S3Server {
    port: u16,
    child: Child,
}

impl S3Server {
    /// What a machine lacks for it, if it lacks something.
    pub fn missing() -> Option<&'static str> {
        (!program().exists()).then_some("moto_server is missing; cargo xtask setup")
    }

    /// Starts one.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn start() -> Result<Self, String> {
        let free = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let port = free.local_addr().map_err(|e| e.to_string())?.port();
        drop(free);
        let mut command = Command::new(program());
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { port, child: command.spawn().map_err(|e| e.to_string())? };
        let until = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until {
                return Err("the S3 server does not listen".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let made = ureq::put(format!("http://127.0.0.1:{port}/{BUCKET}")).send_empty();
        made.map_err(|e| format!("no bucket: {e}"))?;
        Ok(server)
    }

    /// The same daemon with its snapshots in a folder of the bucket.
    #[must_use]
    pub fn keeps_of(&self, daemon: Options) -> Options {
        daemon
            .env("LOCKKEEPER_SNAPSHOT_STORE", format!("s3://{BUCKET}/one/site"))
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port))
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "sesame-sesame-sesame")
    }

    /// The names of all that is in the bucket, as its XML says them.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn list(&self) -> Result<String, String> {
        let url = format!("http://127.0.0.1:{}/{BUCKET}?list-type=2", self.port);
        let mut answer = ureq::get(url).call().map_err(|e| e.to_string())?;
        answer.body_mut().read_to_string().map_err(|e| e.to_string())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    clients().join("venv/bin/moto_server")
}
