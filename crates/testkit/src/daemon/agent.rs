//! HTTP clients of the daemons, over TLS too.

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

/// For calls that end, whose refusals are answers. `trusted` signed the daemon's certificate.
pub(super) fn of_calls(trusted: Option<&str>) -> Result<Agent, String> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(Duration::from_secs(90)))
        .tls_config(tls(trusted)?);
    Ok(config.build().into())
}

/// For streams, which a refusal does not open.
pub(super) fn of_streams(trusted: Option<&str>) -> Result<Agent, String> {
    let config = Agent::config_builder().http_status_as_error(true).tls_config(tls(trusted)?);
    Ok(config.build().into())
}

fn tls(trusted: Option<&str>) -> Result<TlsConfig, String> {
    let roots = parse_pem(trusted.unwrap_or_default().as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(root)) => Some(Ok(root)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<Vec<_>, Error>>()
        .map_err(|error| format!("the trusted certificate: {error}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}
