use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::TcpListener;

use super::*;

fn connector(guard: Guard, resolver: impl Resolve) -> Connector {
    Connector {
        guard,
        resolver: Box::new(resolver),
        trust: Trust::default(),
        timeout: Duration::from_secs(10),
    }
}

/// A name with these addresses.
struct Fixed(Vec<IpAddr>);

impl Resolve for Fixed {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

fn ips(texts: &[&str]) -> Fixed {
    Fixed(texts.iter().map(|text| text.parse().expect("an address")).collect())
}

#[tokio::test]
async fn the_kernel_finds_a_host_that_is_gone_within_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let connector = connector(Guard::default(), SystemResolver::default());
    let io = connector.connect(&url.parse().expect("a URL")).await.expect("a connection");
    let Io::Plain(tcp) = io else { panic!("no TLS was asked for") };
    assert_eq!(getsockopt(&tcp, sockopt::KeepAlive), Ok(true));
    let idle = getsockopt(&tcp, sockopt::TcpKeepIdle).expect("idle");
    let interval = getsockopt(&tcp, sockopt::TcpKeepInterval).expect("interval");
    let probes = getsockopt(&tcp, sockopt::TcpKeepCount).expect("probes");
    assert!(idle + interval * probes <= 60, "{idle} s, then {probes} times {interval} s");
    let unacknowledged = getsockopt(&tcp, sockopt::TcpUserTimeout).expect("a timeout");
    assert!(unacknowledged <= 60_000, "{unacknowledged} ms");
}

#[tokio::test]
async fn only_the_allowed_ones_of_a_names_addresses_are_connected_to() {
    let url: Url = "http://runner.test:7/".parse().expect("a URL");
    let mixed = ips(&["10.0.0.1", "127.0.0.2", "169.254.169.254"]);
    let found = connector(Guard::default(), mixed).addresses(&url).await;
    assert_eq!(found, Ok(vec!["127.0.0.2:7".parse().expect("an address")]));

    let blocked = connector(Guard::default(), ips(&["10.0.0.1"])).addresses(&url).await;
    assert!(matches!(blocked, Err(SendError::Blocked(_))), "{blocked:?}");

    // A name on the list does not make the metadata service one of ours.
    let guard = Guard::new(["runner.test"]).expect("an entry");
    let metadata = connector(guard, ips(&["169.254.169.254"])).addresses(&url).await;
    assert!(matches!(metadata, Err(SendError::Blocked(_))), "{metadata:?}");

    let unknown = connector(Guard::default(), ips(&[])).addresses(&url).await;
    assert_eq!(unknown, Err(SendError::Connect { reason: Reason::Dns }));
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("http://runner.test:{port}/").parse().expect("a URL");
    // Nobody listens at the second address of loopback.
    let connector = connector(Guard::default(), ips(&["127.0.0.2", "127.0.0.1"]));
    let io = connector.connect(&url).await.expect("a connection");
    let Io::Plain(tcp) = io else { panic!("no TLS was asked for") };
    assert_eq!(tcp.peer_addr().expect("a peer").ip(), IpAddr::from([127, 0, 0, 1]));
}
