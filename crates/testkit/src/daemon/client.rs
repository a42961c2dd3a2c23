//! Runs a client script and reads the JSON lines it prints.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

#[derive(Default)]
struct Output {
    lines: Vec<Value>,
    errors: String,
    open: usize,
}

/// A running client script; killed when dropped.
pub struct Client {
    child: Child,
    output: Arc<(Mutex<Output>, Condvar)>,
}

impl Client {
    /// Starts `node SCRIPT ARGS...` in the folder that holds the script's packages.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(node: &Path, folder: &Path, script: &str, args: &[&str]) -> Result<Self, String> {
        Self::start_with(node, folder, script, args, &[])
    }

    /// The same with more environment variables.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start_with(
        node: &Path,
        folder: &Path,
        script: &str,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut child = Command::new(node)
            .arg(script)
            .args(args)
            .envs(env.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{} {script} did not start: {e}", node.display()))?;
        let output =
            Arc::new((Mutex::new(Output { open: 2, ..Output::default() }), Condvar::new()));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let theirs = Arc::clone(&output);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout.expect("piped")).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line) {
                    theirs.0.lock().expect("no panic under this lock").lines.push(value);
                    theirs.1.notify_all();
                }
            }
            theirs.0.lock().expect("no panic under this lock").open -= 1;
            theirs.1.notify_all();
        });
        let theirs = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.expect("piped").read_to_string(&mut text);
            let mut output = theirs.0.lock().expect("no panic under this lock");
            output.errors = text;
            output.open -= 1;
            drop(output);
            theirs.1.notify_all();
        });
        Ok(Self { child, output })
    }

    /// Waits for the line whose `step` is `step`.
    ///
    /// # Errors
    /// What the script printed, when it ended or `limit` passed first.
    pub fn wait_step(&self, step: &str, limit: Duration) -> Result<Value, String> {
        let until = Instant::now() + limit;
        let mut output = self.output.0.lock().expect("no panic under this lock");
        loop {
            if let Some(line) = output.lines.iter().find(|l| l["step"] == step) {
                return Ok(line.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || output.open == 0 {
                return Err(format!(
                    "the client never said {step:?}; it said {:?} and complained: {}",
                    output.lines, output.errors
                ));
            }
            output = self.output.1.wait_timeout(output, left).expect("no panic under this lock").0;
        }
    }

    /// Waits for the script's end and returns its lines.
    ///
    /// # Errors
    /// What it printed, when it failed or did not end within `limit`.
    pub fn finish(mut self, limit: Duration) -> Result<Vec<Value>, String> {
        let until = Instant::now() + limit;
        let mut output = self.output.0.lock().expect("no panic under this lock");
        while output.open > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!(
                    "the client did not end within {limit:?}; it said {:?}",
                    output.lines
                ));
            }
            output = self.output.1.wait_timeout(output, left).expect("no panic under this lock").0;
        }
        let (lines, errors) = (output.lines.clone(), output.errors.clone());
        drop(output);
        let status =
            self.child.wait().map_err(|e| format!("the client cannot be waited for: {e}"))?;
        if status.success() {
            Ok(lines)
        } else {
            Err(format!("the client ended with {status} after {lines:?}: {errors}"))
        }
    }

    /// The script's process id, for a fault.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
