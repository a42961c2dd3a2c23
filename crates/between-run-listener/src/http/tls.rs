//! Which certificates of runners are trusted.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Who signs the certificates that we trust.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Whom the operating system trusts, read once, at the first https address.
    System(Arc<OnceLock<Arc<ClientConfig>>>),
    /// These alone.
    Roots(Arc<ClientConfig>),
}

impl Default for Trust {
    fn default() -> Self {
        Self::System(Arc::default())
    }
}

/// Roots that are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("root certificate {number} cannot be read: give it in DER form")]
pub struct RootsError {
    number: usize,
}

impl Trust {
    /// Trust in these root certificates, in DER form, and no others.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn roots(roots: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        for (at, root) in roots.into_iter().enumerate() {
            store.add(CertificateDer::from(root)).map_err(|_| RootsError { number: at + 1 })?;
        }
        Ok(Self::Roots(config_of(store)))
    }

    /// Reads files the first time.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        match self {
            Self::Roots(config) => Arc::clone(config),
            Self::System(config) => Arc::clone(config.get_or_init(|| {
                let mut store = RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                for error in &found.errors {
                    tracing::warn!(%error, "some of the system's root certificates cannot be read");
                }
                store.add_parsable_certificates(found.certs);
                config_of(store)
            })),
        }
    }
}

fn config_of(store: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("ring has suites for every version"));
    Arc::new(versions.with_root_certificates(store).with_no_client_auth())
}
