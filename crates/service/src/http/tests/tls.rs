//! Listeners that speak TLS: which versions, who is refused, what a stop says, files that change.

use std::fs;
use std::path::Path;

use axum::Extension;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use testkit::certificate::{Authority, Pair};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::access::Scheme;
use crate::reload::Reload;

/// The files of a listener, and who trusts its certificate.
struct Files {
    authority: Authority,
    folder: TempDir,
    tls: Arc<Tls>,
}

fn write(folder: &Path, pair: &Pair) {
    fs::write(folder.join("cert.pem"), &pair.certificate).unwrap();
    fs::write(folder.join("key.pem"), &pair.key).unwrap();
}

fn open(folder: &Path) -> Result<Tls, TlsError> {
    let file = |setting, name: &str| PemFile { setting, path: folder.join(name) };
    Tls::open(file("TLS_CERT", "cert.pem"), file("TLS_KEY", "key.pem"))
}

fn files() -> Files {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    write(folder.path(), &authority.pair());
    let tls = Arc::new(open(folder.path()).unwrap());
    Files { authority, folder, tls }
}

impl Files {
    /// A client's side of a connection on which these protocols are offered.
    async fn connect(&self, rig: &Rig, offers: &[&str]) -> TlsStream<TcpStream> {
        self.shake(rig, offers).await.expect("a handshake")
    }

    async fn shake(&self, rig: &Rig, offers: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem().as_bytes());
        roots.add(root.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, rig.connect().await);
        timeout(PATIENCE, shaken).await.expect("an end of the handshake")
    }
}

fn scheme() -> Router {
    let told = |Extension(scheme): Extension<Scheme>, request: Request| async move {
        format!("{:?} {}", request.version(), scheme.as_str())
    };
    Router::new().route("/", get(told))
}

#[tokio::test]
async fn both_versions_are_offered_over_tls_and_the_client_chooses() {
    let files = files();
    let rig = start_with(scheme(), limits(), Some(Arc::clone(&files.tls))).await;
    for offers in [&["http/1.1"] as &[_], &[]] {
        let mut old = files.connect(&rig, offers).await;
        let chosen = old.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(chosen, offers.first().map(|offer| offer.as_bytes().to_vec()));
        old.write_all(GET_AND_CLOSE.as_bytes()).await.unwrap();
        assert!(rest(&mut old).await.ends_with("HTTP/1.1 https"));
    }
    let new = files.connect(&rig, &["http/1.1", "h2"]).await;
    assert_eq!(new.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(new)).await.unwrap();
    let mut running = JoinSet::new();
    running.spawn(connection);
    let ask = http::Request::get(format!("https://{}/", rig.address));
    let ask = ask.body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let answer = timeout(PATIENCE, sender.send_request(ask)).await.expect("an answer").unwrap();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "HTTP/2.0 https");
    rig.stop.finish(Instant::now() + PATIENCE).await;
    let closed = timeout(PATIENCE, running.join_next()).await.expect("it ends").unwrap().unwrap();
    closed.expect("a close that says so");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_a_connection_and_ends_at_the_time_of_a_head() {
    let files = files();
    let few = HttpLimits { connections: 1, header_timeout: PATIENCE * 100, ..limits() };
    let rig = start_with(hello(), few, Some(Arc::clone(&files.tls))).await;
    let mut first = rig.connect().await;
    // A record that is announced and does not come whole.
    first.write_all(b"\x16\x03\x01\x00\xff\x01").await.unwrap();
    assert_eq!(rig.talk("").await, "", "one too many is closed, and nothing is said in clear");
    rig.stop.stop_by(Instant::now() + PATIENCE * 100);
    assert_eq!(rest(&mut first).await, "", "a stop does not wait for it");
    let report = rig.report().await;
    assert_eq!((report.connections, report.refused, report.cut), (1, 1, 0));

    let short = HttpLimits { header_timeout: Duration::from_millis(50), ..limits() };
    let rig = start_with(hello(), short, Some(Arc::clone(&files.tls))).await;
    for begun in ["", "\x16\x03\x01\x00"] {
        assert_eq!(rig.talk(begun).await, "", "{begun:?}");
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_to_use_https() {
    let rig = start_with(hello(), limits(), Some(files().tls)).await;
    for plain in [GET, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &GET.replace("\r\n\r\n", "")] {
        let mut stream = rig.connect().await;
        stream.write_all(plain.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
        assert!(body.contains("use https://") && body.ends_with('\n'), "{answer}");
    }
}

#[tokio::test]
async fn what_is_neither_tls_nor_http_is_answered_with_an_alert() {
    let rig = start_with(hello(), limits(), Some(files().tls)).await;
    let mut stream = rig.connect().await;
    stream.write_all(b"\0\0\0\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
    assert_eq!(answer.first(), Some(&21), "no alert (RFC 8446 section 6): {answer:?}");
}

#[tokio::test]
async fn a_slow_head_over_tls_is_answered_408() {
    let files = files();
    let short = HttpLimits { header_timeout: Duration::from_millis(200), ..limits() };
    let rig = start_with(hello(), short, Some(Arc::clone(&files.tls))).await;
    let mut stream = loop {
        // A machine under load may need longer for the handshake than a head may take.
        if let Ok(mut stream) = files.shake(&rig, &[]).await
            && stream.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.is_ok()
        {
            break stream;
        }
    };
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_stop_closes_an_idle_connection_as_tls_asks_for() {
    let files = files();
    let rig = start_with(hello(), limits(), Some(Arc::clone(&files.tls))).await;
    let mut stream = files.connect(&rig, &[]).await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut stream, "hello").await;
    rig.stop.stop_by(Instant::now() + PATIENCE);
    // Without close_notify the end would be an error, as somebody else could have made it.
    let mut left = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut left)).await.expect("an end");
    assert_eq!((read.expect("a close that says so"), left.as_slice()), (0, b"".as_slice()));
    assert_eq!(rig.report().await.cut, 0);
}

#[tokio::test]
async fn an_upgraded_connection_over_tls_is_the_accepted_stream() {
    let (hand, mut handed) = mpsc::channel(1);
    let upgrade = move |mut request: Request| {
        let hand = hand.clone();
        async move {
            hand.send(hyper::upgrade::on(&mut request)).await.unwrap();
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(header::UPGRADE, "echo")
                .header(header::CONNECTION, "upgrade")
                .body(Body::empty())
                .unwrap()
        }
    };
    let files = files();
    let router = Router::new().route("/", get(upgrade));
    let rig = start_with(router, limits(), Some(Arc::clone(&files.tls))).await;
    let mut stream = files.connect(&rig, &["http/1.1"]).await;
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let upgraded = handed.recv().await.unwrap().await.unwrap();
    type Accepted = TokioIo<tokio_rustls::server::TlsStream<TcpStream>>;
    let parts = upgraded.downcast::<Accepted>().expect("the accepted stream");
    assert_eq!(&parts.read_buf[..], b"early");
    let mut ours = parts.io.into_inner();
    assert!(ours.get_ref().0.nodelay().unwrap());
    read_until(&mut stream, "\r\n\r\n").await;
    rig.stop.finish(Instant::now()).await;
    ours.write_all(b"still here").await.unwrap();
    ours.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, "still here");
}

#[tokio::test]
async fn a_changed_pair_is_shown_to_the_next_connection_and_a_bad_one_never() {
    let mut files = files();
    let rig = start_with(hello(), limits(), Some(Arc::clone(&files.tls))).await;
    let shown =
        |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut first = files.connect(&rig, &[]).await;

    let (old, good) = (files.authority.pair(), files.authority.pair());
    let mixed = Pair { certificate: good.certificate.clone(), key: old.key };
    write(files.folder.path(), &mixed);
    let told = files.tls.reload().expect_err("a key of another certificate");
    assert!(told.contains("TLS_KEY") && told.contains("is not the key of"), "{told}");
    let same = files.connect(&rig, &[]).await;
    assert_eq!(shown(&same), shown(&first), "the one before it is shown");

    let other = Authority::new();
    write(files.folder.path(), &other.pair());
    files.tls.reload().expect("a good pair");
    files.authority = other;
    let next = files.connect(&rig, &[]).await;
    assert_ne!(shown(&next), shown(&first));
    first.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut first, "hello").await;
}

#[test]
fn what_is_wrong_with_a_pair_is_told_with_its_setting_and_its_file_and_without_the_key() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = authority.pair();
    let secret = pair.key.lines().nth(1).unwrap().to_owned();
    let cut = pair.key.replacen(&secret, &secret[4..], 1);
    let long = "x".repeat(2 << 20);
    for (certificate, key, kind, file) in [
        ("", &*pair.key, "nothing", "TLS_CERT: "),
        (&*pair.key, &*pair.key, "nothing", "TLS_CERT: "),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &*pair.key,
            "unusable",
            "TLS_CERT: ",
        ),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", &*pair.key, "unusable", "TLS_CERT: "),
        (&*long, &*pair.key, "unreadable", "TLS_CERT: "),
        (&*pair.certificate, &*pair.certificate, "nothing", "TLS_KEY: "),
        (&*pair.certificate, &*cut, "unusable", "TLS_KEY: "),
        (&*pair.certificate, &*authority.pair().key, "mismatch", "TLS_KEY: "),
    ] {
        write(folder.path(), &Pair { certificate: certificate.into(), key: key.into() });
        let error = open(folder.path()).expect_err(kind);
        let text = error.to_string();
        let name = if file == "TLS_KEY: " { "key.pem" } else { "cert.pem" };
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.starts_with(file) && text.contains(name), "{text}");
        assert!(!text.contains(&secret[4..20]), "the key is shown: {text}");
    }
    fs::remove_file(folder.path().join("key.pem")).unwrap();
    write(folder.path(), &pair);
    fs::remove_file(folder.path().join("key.pem")).unwrap();
    let error = open(folder.path()).expect_err("no key").to_string();
    assert!(error.contains("TLS_KEY") && error.contains("No such file"), "{error}");
}
