//! The files that settings name and that are read again when they change.

use std::path::PathBuf;
use std::sync::Arc;

use super::{TLS_CERT, TLS_KEY, TOKENS_FILE};
use crate::access::TokensFile;
use crate::http::{PemFile, Tls};
use crate::reload::{Reload, Stamp};
use crate::settings::Values;
use crate::{ExitStatus, Refused};

/// What was made of them. Read them before anything that would have to be cleaned up, and give them
/// to [`ServiceBuilder::files`](crate::ServiceBuilder::files), which watches them.
#[derive(Default)]
pub struct Files {
    tokens: Option<Arc<TokensFile>>,
    tls: Option<Arc<Tls>>,
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
            let tokens = files.read(vec![path], |mut paths| {
                let name = TOKENS_FILE.setting().name();
                TokensFile::open(paths.remove(0)).map_err(|why| format!("{name}: {why}"))
            })?;
            files.tokens = Some(tokens);
        }
        // One without the other is a mistake that the settings have found already.
        if let (Some(cert), Some(key)) = (values.find(&TLS_CERT), values.find(&TLS_KEY)) {
            let tls = files.read(vec![cert.clone(), key.clone()], |_| {
                let cert = PemFile { setting: TLS_CERT.setting().name(), path: cert };
                let key = PemFile { setting: TLS_KEY.setting().name(), path: key };
                Tls::open(cert, key).map_err(|error| error.to_string())
            })?;
            files.tls = Some(tls);
        }
        Ok(files)
    }

    /// What the listeners speak TLS with, if they do.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
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
        paths: Vec<PathBuf>,
        open: impl FnOnce(Vec<PathBuf>) -> Result<T, String>,
    ) -> Result<Arc<T>, Refused> {
        let stamp = Stamp::of(&paths);
        let refused = |why| Refused::new(ExitStatus::Settings, &why);
        let made = Arc::new(open(paths).map_err(refused)?);
        self.watched.push((Arc::clone(&made) as Arc<dyn Reload>, stamp));
        Ok(made)
    }
}
