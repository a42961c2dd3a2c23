//! Who may have signed the certificate of a node that is reached by https.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::failure::Failure;

/// Who is trusted.
#[derive(Debug)]
pub(crate) enum Trust {
    /// Whom the system trusts.
    System,
    /// Whose certificates are in this file, and nobody else.
    File(PathBuf),
}

impl Trust {
    /// Reads their certificates.
    pub(crate) fn config(&self) -> Result<TlsConfig, Failure> {
        let found = match self {
            Self::System => rustls_native_certs::load_native_certs().certs,
            Self::File(path) => {
                let wrong = |cause: &dyn std::fmt::Display| {
                    Failure::Usage(format!("the certificates in {}: {cause}", path.display()))
                };
                let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
                let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
                    .collect::<Result<_, _>>()
                    .map_err(|error| wrong(&error))?;
                if found.is_empty() {
                    return Err(wrong(&"there is none in PEM form"));
                }
                found
            }
        };
        let roots: Vec<_> = found.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        Ok(TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build())
    }
}

/// What a call failed of, if that is TLS.
pub(crate) fn failure(url: &str, error: &ureq::Error) -> Option<Failure> {
    let ureq::Error::Io(error) = error else { return None };
    let url = url.to_owned();
    match error.get_ref()?.downcast_ref()? {
        error @ rustls::Error::InvalidCertificate(_) => {
            Some(Failure::Untrusted { url, cause: error.to_string() })
        }
        rustls::Error::InvalidMessage(_) => {
            let cause = "no TLS is spoken there; is it http://?".to_owned();
            Some(Failure::Unreachable { url, cause })
        }
        _ => None,
    }
}
