//! Runners behind https.

use std::sync::Arc;

use between_run_listener::http::{Options, Trust};
use between_run_listener::listener::{GiveUp, Reason, State};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use testkit::runner::{Runner, STREAM};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::world::{Session, World, key, setup};

/// A certificate for this name, as a root of its own, and a server's side with it.
fn certificate(name: &str) -> (Vec<u8>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a server's side");
    (made.cert.der().to_vec(), TlsAcceptor::from(Arc::new(config)))
}

async fn end_or_stream(named: &str, trusted: bool) -> Option<GiveUp> {
    let (runner, session) = (Runner::start().await, Session::new());
    let (root, acceptor) = certificate(named);
    let (other, _) = certificate(named);
    let trust = Trust::roots([if trusted { root } else { other }]).expect("a root");
    let world = World::with(Options { trust, ..Options::default() });
    let url = format!("https://localhost:{}/", runner.address().port());
    world.registry.ensure(&key("s"), setup(&url, &session)).await;
    let play = async {
        let mut tls = acceptor.accept(runner.connection().await).await.ok()?;
        let mut request = [0; 1000];
        let _ = tls.read(&mut request).await.ok()?;
        tls.write_all(format!("{STREAM}data: a\n\n").as_bytes()).await.ok()?;
        tls.flush().await.ok()?;
        session.has(&["a"]).await;
        Some(())
    };
    let played = play.await;
    let end = if played.is_some() {
        None
    } else {
        match world.until(&key("s"), State::is_final).await.state {
            State::GaveUp(why) => Some(why),
            other => panic!("{other:?}"),
        }
    };
    world.end().await;
    end
}

#[tokio::test]
async fn a_trusted_certificate_of_this_name_opens_and_any_other_is_asked_once() {
    assert_eq!(end_or_stream("localhost", true).await, None);
    assert_eq!(end_or_stream("localhost", false).await, Some(GiveUp::Permanent(Reason::Tls)));
    assert_eq!(end_or_stream("elsewhere", true).await, Some(GiveUp::Permanent(Reason::Tls)));
}
