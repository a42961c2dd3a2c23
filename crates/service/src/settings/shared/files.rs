//! The files that settings name and that are read again when they change.

use std::path::PathBuf;
use std::sync::Arc;

use super::TOKENS_FILE;
use crate::access::TokensFile;
use crate::reload::{Reload, Stamp};
use crate::settings::Values;
use crate::{ExitStatus, Refused};

/// What was made of them. Read them before anything that would have to be cleaned up, and give them
/// to [`ServiceBuilder::files`](crate::ServiceBuilder::files), which watches them.
#[derive(Default)]
pub struct Files {
    tokens: Option<Arc<TokensFile>>,
    watched: Vec<(Arc<dyn Reload>, Stamp)>,
}

impl Files {
    /// Reads them.
    ///
    /// # Errors
    /// When one cannot be used: a mistake in the settings.
    pub fn open(values: &Values) -> Result<Self, Refused> {
        let mut files = Self::default();
        if let Some(path) = values.find(&TOKENS_FILE) {
            let tokens = files.read(TOKENS_FILE.setting().name(), vec![path], |mut paths| {
                TokensFile::open(paths.remove(0))
            })?;
            files.tokens = Some(tokens);
        }
        Ok(files)
    }

    /// The tokens of `TOKENS_FILE`.
    pub fn tokens(&self) -> Option<Arc<TokensFile>> {
        self.tokens.clone()
    }

    pub(crate) fn into_watched(self) -> Vec<(Arc<dyn Reload>, Stamp)> {
        self.watched
    }

    fn read<T: Reload>(
        &mut self,
        setting: &str,
        paths: Vec<PathBuf>,
        open: impl FnOnce(Vec<PathBuf>) -> Result<T, String>,
    ) -> Result<Arc<T>, Refused> {
        let stamp = Stamp::of(&paths);
        let refused = |why| Refused::new(ExitStatus::Settings, &format!("{setting}: {why}"));
        let made = Arc::new(open(paths).map_err(refused)?);
        self.watched.push((Arc::clone(&made) as Arc<dyn Reload>, stamp));
        Ok(made)
    }
}
