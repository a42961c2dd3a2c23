//! The certificate that a listener shows, and its key: read from PEM files, and again when these change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};

use crate::reload::Reload;

/// What is offered by ALPN (RFC 7301), the one that is preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Largest file: a long chain has some 20 KiB.
const FILE_MAX: u64 = 1024 * 1024;

/// Why a certificate and its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or not for us.
    #[error("{setting}: {} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// A file is no PEM, or has nothing in it that is looked for.
    #[error(
        "{setting}: {} holds no {what} in PEM form: the file begins with -----BEGIN, and a key is \
         not encrypted", path.display()
    )]
    Nothing {
        /// The setting that names it.
        setting: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is looked for.
        what: &'static str,
    },
    /// What a file holds cannot be used.
    #[error("{setting}: {} cannot be used: {cause}", path.display())]
    Unusable {
        /// The setting that names it.
        setting: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "{setting}: {} is not the key of the first certificate in {}; that one has to be the \
         server's own, and those that signed it come after it", path.display(), certificate.display()
    )]
    Mismatch {
        /// The setting that names the key.
        setting: &'static str,
        /// The file of the key.
        path: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
}

impl TlsError {
    /// A word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::Nothing { .. } => "nothing",
            Self::Unusable { .. } => "unusable",
            Self::Mismatch { .. } => "mismatch",
        }
    }
}

/// A file of PEM, and the setting it comes from, for messages.
#[derive(Debug, Clone)]
pub struct PemFile {
    /// The setting's name.
    pub setting: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// What a listener needs to speak TLS 1.2 and 1.3. A bad pair of files leaves the one before it in
/// use, which connections that are open keep in any case.
#[derive(Debug)]
pub struct Tls {
    certificates: PemFile,
    key: PemFile,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the certificate, followed by those that signed it, and its key.
    ///
    /// # Errors
    /// Why they cannot be used; nothing of the key is in it.
    pub fn open(certificates: PemFile, key: PemFile) -> Result<Self, TlsError> {
        let config = RwLock::new(read(&certificates, &key)?);
        Ok(Self { certificates, key, config })
    }

    /// What the next connection is served with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reload for Tls {
    fn name(&self) -> &'static str {
        "the certificate and its key"
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.certificates.path.clone(), self.key.path.clone()]
    }

    fn reload(&self) -> Result<(), String> {
        let config = read(&self.certificates, &self.key).map_err(|error| error.to_string())?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }
}

fn read(certificates: &PemFile, key: &PemFile) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificates.bytes()?)
        .collect::<Result<_, _>>()
        .map_err(|error| certificates.unusable(error))?;
    if chain.is_empty() {
        return Err(certificates.without("certificate"));
    }
    // What the parser says of a key could quote it.
    let secret = PrivateKeyDer::from_pem_slice(&key.bytes()?);
    let secret = secret.map_err(|_| key.without("private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // Apart from the rest, so that a mistake is told of the file it is in.
    provider.key_provider.load_private_key(secret.clone_key()).map_err(|error| {
        let cause = format!("{error}; ECDSA with P-256 or P-384, Ed25519 and RSA are known");
        key.unusable(cause)
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("ring has suites for every version"))
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                setting: key.setting,
                path: key.path.clone(),
                certificate: certificates.path.clone(),
            },
            other => certificates.unusable(other),
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

impl PemFile {
    fn bytes(&self) -> Result<Vec<u8>, TlsError> {
        let of = |path: &Path| {
            let bytes = fs::metadata(path)?.len();
            if bytes > FILE_MAX {
                let text = format!("it has {bytes} bytes, and at most {FILE_MAX} are read");
                return Err(std::io::Error::other(text));
            }
            fs::read(path)
        };
        of(&self.path).map_err(|error| TlsError::Unreadable {
            setting: self.setting,
            path: self.path.clone(),
            cause: error.to_string(),
        })
    }

    fn without(&self, what: &'static str) -> TlsError {
        TlsError::Nothing { setting: self.setting, path: self.path.clone(), what }
    }

    fn unusable(&self, cause: impl ToString) -> TlsError {
        let cause = cause.to_string();
        TlsError::Unusable { setting: self.setting, path: self.path.clone(), cause }
    }
}
