//! A proxy process, ours or another's, and what the kernel says of it.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A proxy on core 0. Ends with this value, and with this process.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    child: Child,
    /// Its configuration, if it has one.
    folder: Option<PathBuf>,
}

impl Peer {
    /// Starts `relay`, `copy`, `haproxy=PATH` or `nginx=PATH` in front of an echo server.
    pub(crate) fn start(peer: &str, echo: SocketAddr) -> Self {
        match peer.split_once('=') {
            None => {
                let this = std::env::current_exe().expect("this file");
                let mut command = on_core_0(&this.to_string_lossy());
                let mut child = command
                    .args(["serve", peer, &echo.to_string()])
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("the proxy starts");
                let mut line = String::new();
                let stdout = child.stdout.take().expect("a pipe");
                BufReader::new(stdout).read_line(&mut line).expect("the proxy answers");
                let address = line.trim().parse().expect("the address of the proxy");
                Self { name: peer.to_owned(), address, child, folder: None }
            }
            Some((name, program)) => Self::foreign(name, program, echo),
        }
    }

    fn foreign(name: &str, program: &str, echo: SocketAddr) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let unique = format!("relay-load-{name}-{}-{}", std::process::id(), address.port());
        let folder = std::env::temp_dir().join(unique);
        std::fs::create_dir(&folder).expect("a folder");
        let file = folder.join("conf");
        let file = file.to_str().expect("a path of text");
        let mut command = on_core_0(program);
        match name {
            "haproxy" => {
                std::fs::write(file, haproxy(address, echo)).expect("a file");
                command.args(["-db", "-q", "-f", file]);
            }
            "nginx" => {
                std::fs::write(file, nginx(&folder, address, echo)).expect("a file");
                command.args(["-e", "stderr", "-p"]).arg(&folder).args(["-c", file]);
            }
            other => panic!("no configuration for {other}"),
        }
        let mut child = command.stdout(Stdio::null()).spawn().expect("the proxy starts");
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(child.try_wait().expect("a child").is_none(), "{name} ended at once");
            assert!(Instant::now() < until, "{name} does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { name: name.to_owned(), address, child, folder: Some(folder) }
    }

    /// Processor time so far, of its only thread. Exact while it waits.
    pub(crate) fn cpu(&self) -> Duration {
        // The kernel adds up at the next switch, and the last bytes may still be on their way.
        std::thread::sleep(Duration::from_millis(2));
        let text = self.proc("schedstat");
        let nanos = text.split_whitespace().next().expect("three numbers");
        Duration::from_nanos(nanos.parse().expect("nanoseconds"))
    }

    /// Resident memory that belongs to no file, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.expect("RssAnon").trim().trim_end_matches(" kB");
        kib.parse::<usize>().expect("kibibytes") * 1024
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(path).expect("the proxy lives")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
        if let Some(folder) = &self.folder {
            std::fs::remove_dir_all(folder).expect("our folder");
        }
    }
}

/// A command that runs on core 0, and that the kernel ends with us.
fn on_core_0(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "-c", "0", program]);
    command.stdin(Stdio::null());
    command
}

/// One thread, http mode, everything else as it comes.
fn haproxy(address: SocketAddr, echo: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    maxconn 8000
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend in
    bind {address}
    default_backend out
backend out
    server echo {echo}
"
    )
}

/// One process, everything else as it comes.
fn nginx(folder: &Path, address: SocketAddr, echo: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 8000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address};
        location / {{
            proxy_pass http://{echo};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"
    )
}
