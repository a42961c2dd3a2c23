//! A client over TLS is as much a socket as one without.

use crate::endpoint::Endpoint;
use crate::limits::{Keepalive, TcpTimers};
use nix::sys::socket::{getsockopt, sockopt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use testkit::certificate::Authority;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Both ends of a connection whose hands are shaken: the client's, then ours.
async fn pair() -> (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authority = Authority::new();
    let shown = authority.pair();
    let chain = CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
    let ours = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let theirs = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connect = async {
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        TlsConnector::from(Arc::new(theirs)).connect(name, tcp).await.unwrap()
    };
    let accept = async {
        let (tcp, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(ours)).accept(tcp).await.unwrap()
    };
    tokio::join!(connect, accept)
}

fn is_readable(stream: &impl Endpoint) -> bool {
    stream.poll_readable(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Reads nothing, so that a readiness of before is forgotten.
async fn drained(stream: &mut server::TlsStream<TcpStream>) {
    let mut byte = [0];
    poll_fn(|cx| {
        let mut buf = tokio::io::ReadBuf::new(&mut byte);
        let read = std::pin::Pin::new(&mut *stream).poll_read(cx, &mut buf);
        assert!(read.is_pending(), "there is something: {read:?}");
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_tls_is_readable_while_it_holds_plaintext_and_at_its_end() {
    let (mut client, mut ours) = pair().await;
    drained(&mut ours).await;
    assert!(!is_readable(&ours), "an idle session would hold a buffer");
    client.write_all(b"two halves").await.unwrap();
    client.flush().await.unwrap();
    poll_fn(|cx| ours.poll_readable(cx)).await.unwrap();
    let mut half = [0; 5];
    ours.read_exact(&mut half).await.unwrap();
    assert!(is_readable(&ours), "the rest is here, though the socket is empty");
    ours.read_exact(&mut half).await.unwrap();
    drained(&mut ours).await;
    assert!(!is_readable(&ours));
    client.shutdown().await.unwrap();
    poll_fn(|cx| ours.poll_readable(cx)).await.unwrap();
    assert_eq!(ours.read(&mut half).await.unwrap(), 0);
    assert!(is_readable(&ours), "the end stays to be seen");
}

#[tokio::test]
async fn the_socket_below_tls_has_its_timers_and_tells_of_its_peer() {
    let (_client, ours) = pair().await;
    let keepalive =
        Keepalive { after: Duration::from_secs(7), interval: Duration::from_secs(3), probes: 2 };
    let timers = TcpTimers { keepalive: Some(keepalive), user_timeout: None };
    ours.configure(&timers).unwrap();
    let socket = ours.get_ref().0;
    assert!(getsockopt(socket, sockopt::KeepAlive).unwrap());
    assert_eq!(getsockopt(socket, sockopt::TcpKeepIdle).unwrap(), 7);
    assert!(ours.since_last_ack().is_some());
}
