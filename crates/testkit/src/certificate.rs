//! Certificates for localhost, signed by an authority that lives as long as its test.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority that nobody trusts unless told to.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key, PKCS#8.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("random numbers");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let pem = params.self_signed(&key).expect("it can be signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate as PEM, to be trusted.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `localhost`, everything one level below it, and loopback.
    ///
    /// # Panics
    /// When the system has no random numbers.
    pub fn pair(&self) -> Pair {
        self.pair_for(&["localhost", "*.localhost", "127.0.0.1", "::1"])
    }

    /// A certificate for these names and addresses.
    ///
    /// # Panics
    /// When one is neither, or the system has no random numbers.
    pub fn pair_for(&self, names: &[&str]) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("random numbers");
        let params = CertificateParams::new(names).expect("they are names and addresses");
        let signed = params.signed_by(&key, &self.issuer).expect("it can be signed");
        Pair { certificate: signed.pem(), key: key.serialize_pem() }
    }
}
