//! A client over TLS is as much a socket as one without.

use super::rig::{Peer, play};
use crate::endpoint::Endpoint;
use crate::limits::{Keepalive, Limits, TcpTimers};
use crate::pool::Budget;
use crate::relay::Relay;
use crate::stop::{Stop, StopMode, StopSide, stop_channel};
use crate::testing::{BINARY, CLOSE, Frame};
use crate::verdict::{Cause, Detail, Vanished};
use nix::sys::socket::{getsockopt, sockopt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use testkit::certificate::Authority;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
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

type Client = Peer<client::TlsStream<TcpStream>>;

/// A session whose client speaks TLS.
async fn rig(
    limits: Limits,
) -> (Relay<server::TlsStream<TcpStream>, DuplexStream>, Client, Peer<DuplexStream>) {
    let (client, client_side) = pair().await;
    let (browser, browser_side) = tokio::io::duplex(64 * 1024);
    let relay = Relay::new(client_side, browser_side, Arc::new(limits));
    (relay, Peer::new(client), Peer::new(browser))
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

#[tokio::test]
async fn messages_of_every_size_pass_over_tls_and_it_is_closed_as_it_asks_for() {
    let (relay, mut client, mut browser) = rig(Limits::default()).await;
    let budget = Budget::new(1 << 30);
    let relay = relay.with_budget(budget.clone());
    let script = async {
        // The limits of a record are 16 KiB, those of what TLS holds back 64 KiB.
        for len in [0, 1, 16_383, 16_385, 65_535, 65_537, 1 << 20, 5 << 20] {
            let (up, down) =
                (Frame::client(BINARY, vec![1; len]), Frame::browser(BINARY, vec![2; len]));
            tokio::join!(client.send(&up), browser.expect(&up));
            tokio::join!(browser.send(&down), client.expect(&down));
        }
        browser.send(&Frame::browser(CLOSE, "")).await;
        client.expect(&Frame::browser(CLOSE, "")).await;
        client.send(&Frame::client(CLOSE, "")).await;
        browser.expect(&Frame::client(CLOSE, "")).await;
        assert_eq!(client.recv().await, None, "an end without close_notify is an error");
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!((report.to_browser.messages, report.to_client.messages), (8, 8));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_client_that_ends_tls_or_only_tcp_has_vanished() {
    for says_so in [true, false] {
        let (relay, mut client, mut browser) = rig(Limits::default()).await;
        let script = async {
            match says_so {
                true => client.io.shutdown().await.unwrap(),
                // A drop would be a reset: the tickets of the handshake were not read.
                false => client.io.get_mut().0.shutdown().await.unwrap(),
            }
            assert_eq!(browser.recv().await.unwrap().opcode, CLOSE);
            browser.send(&Frame::browser(CLOSE, "")).await;
        };
        let (terminal, _, ()) = play(relay, script).await;
        let how = Detail::Vanished(Vanished::Eof);
        assert_eq!((terminal.cause, terminal.detail), (Cause::Client, how), "{says_so}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_ends_the_session_as_a_failure_of_tls() {
    let (relay, client, mut browser) = rig(Limits::default()).await;
    let script = async {
        let (mut tcp, session) = client.io.into_inner();
        // A record of application data that nobody encrypted.
        tcp.write_all(&[23, 3, 3, 0, 20]).await.unwrap();
        tcp.write_all(&[0; 20]).await.unwrap();
        assert_eq!(browser.recv().await.unwrap().opcode, CLOSE);
        browser.send(&Frame::browser(CLOSE, "")).await;
        drop((tcp, session));
    };
    let (terminal, _, ()) = play(relay, script).await;
    let how = Detail::Vanished(Vanished::Tls);
    assert_eq!((terminal.cause, terminal.detail), (Cause::Client, how));
}

/// As over plain TCP: neither the order nor what TLS itself wants to say can be written.
#[tokio::test]
async fn a_stop_ends_a_session_whose_client_reads_nothing_within_its_bound() {
    for mode in [StopMode::Soft, StopMode::Hard] {
        let limits = Limits { close_grace: Duration::from_millis(500), ..Limits::default() };
        let (relay, mut client, mut browser) = rig(limits).await;
        let (stopper, token) = stop_channel();
        let budget = Budget::new(1 << 30);
        let relay = relay.with_stop(token).with_budget(budget.clone());
        let stalls = async {
            let bytes = Frame::browser(BINARY, vec![1; 24 << 20]).bytes();
            let sending = browser.send_bytes(&bytes);
            let stuck = tokio::time::timeout(Duration::from_secs(1), sending).await;
            assert!(stuck.is_err(), "24 MiB fit into the sockets");
            stopper.stop(Stop { side: StopSide::Context, mode, by: "drain" });
        };
        let bounded = tokio::time::timeout(Duration::from_secs(20), play(relay, stalls));
        let (terminal, report, ()) = bounded.await.expect("it hangs");
        assert_eq!(terminal.detail, Detail::Stopped { by: "drain" }, "{mode:?}");
        assert!(report.client_mid_frame, "the frame to it was never finished");
        assert_eq!(budget.used(), 0, "buffers were kept");
        let mut rest = Vec::new();
        let end = client.io.read_to_end(&mut rest);
        let ended = tokio::time::timeout(Duration::from_secs(20), end).await;
        assert!(ended.is_ok(), "the socket stayed open");
    }
}
