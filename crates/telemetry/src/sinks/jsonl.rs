//! Events as lines of a file, which is turned over when it is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{Batch, BatchLimits, Refused, Sent, Then};
use crate::query::GapTold;

#[cfg(test)]
mod tests;

/// Its name in the configuration.
pub(super) const NAME: &str = "jsonl";

/// Events as lines of a file: one envelope a line, in the order of offsets.
///
/// When the file is full it becomes `<path>.1`, what was `.1` becomes `.2`, and so on. After a crash
/// up to one batch is there twice; `epoch` and `offset` tell which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonLines {
    /// The file.
    pub path: PathBuf,
    /// It is turned over before it gets longer than this, in bytes. 128 MiB.
    pub rotate_at: u64,
    /// How many full files are kept. 8.
    pub keep: u32,
    /// Whether each batch is made to survive a loss of power.
    pub sync: bool,
    /// Whether it is on at first.
    pub enabled: bool,
}

impl JsonLines {
    /// The defaults, for a file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let rotate_at = 128 * 1024 * 1024;
        Self { path: path.into(), rotate_at, keep: 8, sync: false, enabled: true }
    }
}

pub(super) struct Target {
    settings: JsonLines,
    /// Open, and how long it is; `None` before the first batch and after an error.
    open: Option<(File, u64)>,
}

impl Target {
    pub(super) fn new(settings: JsonLines) -> Self {
        Self { settings, open: None }
    }
}

/// Offsets that are missing in the file, as a line.
#[derive(Serialize)]
struct GapLine<'a> {
    epoch: &'a str,
    r#type: &'static str,
    #[serde(flatten)]
    gap: GapTold,
}

fn lines(batch: &Batch) -> Vec<u8> {
    let mut lines = Vec::new();
    if let Some(gap) = batch.gap {
        let line = GapLine { epoch: &batch.epoch, r#type: "gap", gap };
        // Numbers and known words: writing them to memory cannot fail.
        let _ = serde_json::to_writer(&mut lines, &line);
        lines.push(b'\n');
    }
    for event in &batch.events {
        lines.extend_from_slice(&event.envelope());
        lines.push(b'\n');
    }
    lines
}

impl super::Target for Target {
    fn limits(&self) -> BatchLimits {
        BatchLimits { events: 1_000, bytes: 1024 * 1024, wait: Duration::from_millis(100) }
    }

    async fn send(&mut self, batch: &Batch) -> Result<Sent, Refused> {
        let lines = lines(batch);
        let settings = self.settings.clone();
        let open = self.open.take();
        let written = tokio::task::spawn_blocking(move || append(&settings, open, &lines)).await;
        match written {
            Ok(Ok(open)) => {
                self.open = Some(open);
                Ok(Sent::default())
            }
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(error) => Err(refused(error.to_string())),
        }
    }
}

fn refused(error: String) -> Refused {
    Refused { cause: "write", error, then: Then::Retry }
}

/// Adds lines, to a new file if this one would get too long. Blocking.
fn append(
    settings: &JsonLines,
    open: Option<(File, u64)>,
    lines: &[u8],
) -> io::Result<(File, u64)> {
    let (mut file, mut length) = match open {
        Some(open) => open,
        None => open_file(&settings.path)?,
    };
    if length > 0 && length + lines.len() as u64 > settings.rotate_at {
        file.sync_all()?;
        drop(file);
        turn_over(settings)?;
        (file, length) = open_file(&settings.path)?;
    }
    if let Err(error) = file.write_all(lines) {
        // What is half there is taken back, so that it is not there one and a half times later.
        let _ = file.set_len(length);
        return Err(error);
    }
    if settings.sync {
        file.sync_data()?;
    }
    Ok((file, length + lines.len() as u64))
}

/// Opens a file behind its last whole line: what a crash cut off is dropped, and sent again.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut length = file.metadata()?.len();
    let mut last = Vec::new();
    let mut tail = 64 * 1024;
    while length > 0 {
        let from = length.saturating_sub(tail);
        file.seek(SeekFrom::Start(from))?;
        last.clear();
        Read::by_ref(&mut file).take(length - from).read_to_end(&mut last)?;
        if let Some(end) = last.iter().rposition(|byte| *byte == b'\n') {
            length = from + end as u64 + 1;
            break;
        }
        if from == 0 {
            length = 0;
        }
        tail *= 4;
    }
    file.set_len(length)?;
    Ok((file, length))
}

fn turn_over(settings: &JsonLines) -> io::Result<()> {
    let JsonLines { path, keep, .. } = settings;
    let numbered = |number: u32| {
        let mut name = path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if *keep == 0 {
        return fs::remove_file(path);
    }
    for number in (1..*keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(path, numbered(1))
}
