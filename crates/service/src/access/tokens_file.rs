//! The file of tokens, read again when it changes.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::principals::{Principal, Principals};
use crate::reload::Reload;

/// Largest file: a thousand principals and their comments.
const FILE_MAX: u64 = 1024 * 1024;

/// The tokens of a file. A bad one leaves those before it in force.
#[derive(Debug)]
pub struct TokensFile {
    path: PathBuf,
    principals: RwLock<Arc<Principals>>,
}

impl TokensFile {
    /// Reads the file.
    ///
    /// # Errors
    /// Why it cannot be used, with every mistake in it and without any token.
    pub fn open(path: PathBuf) -> Result<Self, String> {
        let principals = read(&path)?;
        Ok(Self { path, principals: RwLock::new(Arc::new(principals)) })
    }

    /// Whose token this is.
    pub(super) fn find(&self, token: &str) -> Option<Principal> {
        let principals = self.principals.read().unwrap_or_else(PoisonError::into_inner).clone();
        principals.find(token).cloned()
    }
}

impl Reload for TokensFile {
    fn name(&self) -> &'static str {
        "the tokens"
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn reload(&self) -> Result<(), String> {
        let mut principals = read(&self.path)?;
        let mut current = self.principals.write().unwrap_or_else(PoisonError::into_inner);
        principals.replace(&current);
        *current = Arc::new(principals);
        Ok(())
    }
}

fn read(path: &std::path::Path) -> Result<Principals, String> {
    let shown = path.display();
    let cannot = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let bytes = fs::metadata(path).map_err(cannot)?.len();
    if bytes > FILE_MAX {
        return Err(format!("{shown} has {bytes} bytes, and at most {FILE_MAX} are read"));
    }
    let text = fs::read_to_string(path).map_err(cannot)?;
    Principals::parse(&text).map_err(|mistakes| format!("{shown}: {}", mistakes.join("; ")))
}
