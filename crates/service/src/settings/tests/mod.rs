mod documents;
mod sources;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

static LISTEN: Key<std::net::SocketAddr> =
    Key::new("LISTEN", "127.0.0.1:7300", "Where it listens.");
static GRACE: Key<Duration> =
    Key::new("GRACE", "10s", "How long it waits.").range("1s", "1h").zero("does not wait");
static CACHE: Key<Size> = Key::new("CACHE", "1 GiB", "How much it keeps.").range("1 MiB", "1 TiB");
static WORKERS: Key<u64> = Key::new("WORKERS", "4", "How many work.").range("1", "64");
static FORCE: Key<bool> = Key::new("FORCE", "false", "Whether it waits at all.").unprefixed();
static MODE: Key<String> = Key::new("MODE", "auto", "How it works.").choices(&["auto", "off"]);
static NAMES: Key<Vec<String>> = Key::new("NAMES", "", "Whom it knows.");
static KEY: OptionalKey<Secret> = OptionalKey::new("KEY", "none", "What opens it.");
static FOLDER: OptionalKey<PathBuf> = OptionalKey::new("FOLDER", "searched for", "Where it is.");

fn table() -> Table {
    Table::new("testd", "1.2.3", "Tests settings.")
        .group("Main", [LISTEN.setting(), GRACE.setting(), CACHE.setting(), WORKERS.setting()])
        .group("Other", [FORCE.setting(), MODE.setting(), NAMES.setting(), KEY.setting()])
        .group("Places", [FOLDER.setting()])
        .section("templates", "What is made.")
}

/// What a process is given, made up.
#[derive(Default)]
struct Given {
    variables: Vec<(OsString, OsString)>,
    files: BTreeMap<PathBuf, String>,
}

impl Environment for Given {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.variables.clone()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        self.files.get(path).cloned().ok_or_else(missing)
    }
}

impl Given {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.to_owned());
        self
    }

    fn load(&self, args: &[&str]) -> Result<Invocation, Mistakes> {
        load(&table(), args.iter().map(OsString::from), self)
    }

    fn values(&self, args: &[&str]) -> Values {
        match self.load(args) {
            Ok(Invocation::Run(values)) => values,
            other => panic!("{other:?}"),
        }
    }

    fn printed(&self, args: &[&str]) -> String {
        match self.load(args) {
            Ok(Invocation::Print(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn mistakes(&self, args: &[&str]) -> Vec<String> {
        match self.load(args) {
            Err(Mistakes(all)) => all.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }
}
