//! The settings file.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use service::settings::{Environment, Invocation, load, shared};

/// A file with this text, and nothing in the environment.
struct File<'a>(&'a str);

impl Environment for File<'_> {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }
}

/// A file is read, or refused with mistakes that name it; whoever reads it again reads the same.
pub(crate) fn file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = || {
        let table = shared::table("fuzz", "0", "Any daemon.");
        let args = ["--config", "/settings.toml"].map(OsString::from);
        load(&table, args, &File(text))
    };
    match (read(), read()) {
        (Ok(Invocation::Run(one)), Ok(Invocation::Run(two))) => {
            assert!(one.shown().map(|s| s.1.to_owned()).eq(two.shown().map(|s| s.1.to_owned())));
        }
        (Err(one), Err(two)) => {
            assert_eq!(one.to_string(), two.to_string());
            assert!(!one.to_string().is_empty());
        }
        _ => panic!("read twice with two outcomes"),
    }
}
