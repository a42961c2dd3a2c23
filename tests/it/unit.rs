//! The systemd units under `deploy/`, so that a test runs what they run and not a copy of it.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::daemon::Options;

/// The directives of a unit, in order.
pub struct Unit(Vec<(String, String)>);

impl Unit {
    /// Reads `deploy/{name}.service`.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(name: &str) -> Result<Self, String> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy");
        let path = folder.join(format!("{name}.service"));
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{path:?}: {e}"))?;
        let directives = text.lines().filter(|line| !line.starts_with('#'));
        let directives = directives.filter_map(|line| line.split_once('='));
        Ok(Self(directives.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()))
    }

    /// The values of a directive.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Its command line and its environment, with `binary` in place of the installed program and the
    /// state where the test has it.
    ///
    /// # Errors
    /// When it starts another program.
    pub fn options(&self, binary: PathBuf) -> Result<Options, String> {
        let command = self.all("ExecStart").next().ok_or("it starts nothing")?;
        let mut words = command.split_whitespace();
        let program = words.next().map(Path::new);
        if program.and_then(Path::file_name) != binary.file_name() {
            return Err(format!("it starts {command:?} and not {}", binary.display()));
        }
        let options = words.fold(Options::new(binary), |options, word| options.arg(word));
        let environment = self.all("Environment").filter_map(|pair| pair.split_once('='));
        let environment = environment.filter(|(name, _)| *name != "LOCKKEEPER_STATE_DIR");
        Ok(environment.fold(options, |options, (name, value)| options.env(name, value)))
    }
}

/// The end of systemd that a daemon reports to.
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    /// A new one inside `folder`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn in_folder(folder: &Path) -> Result<Self, String> {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).map_err(|e| format!("{path:?}: {e}"))?;
        socket.set_read_timeout(Some(Duration::from_secs(20))).map_err(|e| e.to_string())?;
        Ok(Self { socket, path })
    }

    /// For `NOTIFY_SOCKET`.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Waits for a message with this line.
    ///
    /// # Errors
    /// What came instead, when it does not come.
    pub fn wait_for(&self, line: &str) -> Result<(), String> {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.socket.recv(&mut buffer);
            let read = read.map_err(|e| format!("no {line} but {heard:?}: {e}"))?;
            let message = String::from_utf8_lossy(&buffer[..read]).into_owned();
            if message.lines().any(|told| told == line) {
                return Ok(());
            }
            heard.push(message);
        }
    }
}
