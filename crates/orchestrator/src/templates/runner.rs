//! Pure: the runner that a template may have.

use std::collections::BTreeMap;
use std::time::Duration;

use lockkeeper_api::Mistake;

use crate::driver::{OnExit, RunnerSpec};
use crate::launch::{env_mistakes, mistake};

/// Variables that a runner gets from the node.
const OURS: [&str; 3] = ["PORT", "SANDBOX_ID", "CDP_URL"];

/// A program that is started beside the browser of each sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerTemplate {
    /// The absolute path of a program, and its arguments.
    pub command: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// What it answers with 2xx once it is ready.
    pub ready_path: String,
    /// Whether a sandbox is ready only when its runner is, and ends when that is given up.
    pub required: bool,
    /// What follows its end.
    pub on_exit: OnExit,
    /// How long it may take from its start to ready.
    pub start_timeout: Duration,
    /// Whether the sandbox ends when a run of its session has finished.
    pub stop_on_run_finished: bool,
}

impl Default for RunnerTemplate {
    /// No command; ready at `/` within 30 s, not required, restarted.
    fn default() -> Self {
        Self {
            command: Vec::new(),
            env: BTreeMap::new(),
            ready_path: "/".to_owned(),
            required: false,
            on_exit: OnExit::Relaunch,
            start_timeout: Duration::from_secs(30),
            stop_on_run_finished: false,
        }
    }
}

impl RunnerTemplate {
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut wrong = |field: &str, problem: &str| {
            mistakes.push(mistake(format!("runner.{field}"), problem));
        };
        match self.command.first() {
            None => wrong("command", "must name a program: [\"/usr/bin/node\", \"runner.mjs\"]"),
            Some(program) if !program.starts_with('/') => {
                wrong("command", "must begin with the absolute path of a program");
            }
            Some(_) => {}
        }
        if self.command.iter().any(|word| word.contains('\0')) {
            wrong("command", "has a null character");
        }
        let graphic = self.ready_path.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.ready_path.starts_with('/') || !graphic {
            wrong("ready_path", "must be a path such as /health");
        }
        if self.start_timeout.is_zero() {
            wrong("start_timeout", "must be more than 0");
        }
        for name in OURS.iter().filter(|name| self.env.contains_key(**name)) {
            wrong(&format!("env.{name}"), "is set by the node and cannot be given");
        }
        let of_env = env_mistakes(&self.env).into_iter();
        mistakes.extend(of_env.map(|m| mistake(format!("runner.{}", m.field), m.problem)));
        mistakes
    }

    /// What the driver is told; nothing without a command, which is a mistake.
    pub(crate) fn spec(&self, sandbox: &str, cdp_url: Option<String>) -> Option<RunnerSpec> {
        let (program, args) = self.command.split_first()?;
        let mut env: Vec<(String, String)> =
            self.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        env.push(("SANDBOX_ID".to_owned(), sandbox.to_owned()));
        env.extend(cdp_url.map(|url| ("CDP_URL".to_owned(), url)));
        Some(RunnerSpec {
            program: program.clone(),
            args: args.to_vec(),
            env,
            ready_path: self.ready_path.clone(),
            required: self.required,
            on_exit: self.on_exit,
            start_timeout: self.start_timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_by_its_field() {
        let wrong = RunnerTemplate {
            command: vec!["node".to_owned(), "a\0b".to_owned()],
            env: [("PORT", "1"), ("1st", "x")].map(|(k, v)| (k.into(), v.into())).into(),
            ready_path: "health".to_owned(),
            start_timeout: Duration::ZERO,
            ..RunnerTemplate::default()
        };
        let fields: Vec<String> = wrong.mistakes().into_iter().map(|m| m.field).collect();
        assert_eq!(
            fields,
            [
                "runner.command",
                "runner.command",
                "runner.ready_path",
                "runner.start_timeout",
                "runner.env.PORT",
                "runner.env.1st"
            ]
        );
        let none = RunnerTemplate::default();
        assert_eq!(none.mistakes()[0].field, "runner.command");
        assert_eq!(none.spec("a", None), None);
    }

    #[test]
    fn a_runner_learns_its_sandbox_and_its_browser() {
        let right = RunnerTemplate {
            command: vec!["/bin/agent".to_owned(), "--fast".to_owned()],
            env: [("MODE".to_owned(), "quiet".to_owned())].into(),
            ..RunnerTemplate::default()
        };
        assert_eq!(right.mistakes(), []);
        let spec = right.spec("a", Some("ws://h/sandboxes/a".to_owned())).unwrap();
        let env: Vec<_> = spec.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(env, ["MODE=quiet", "SANDBOX_ID=a", "CDP_URL=ws://h/sandboxes/a"]);
        assert_eq!(
            (spec.program.as_str(), spec.args.as_slice()),
            ("/bin/agent", &["--fast".to_owned()][..])
        );
    }
}
