//! The two proxies of our own: the relay of this crate, and a blind copy.

use crate::message::read_head;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wsproxy::{Budget, Limits, Relay};

/// Bytes of each of the copy's two buffers.
const COPY: usize = 64 * 1024;

/// Prints its address, then joins every connection to one to `upstream`, on core 0.
pub(crate) fn serve(mode: &str, upstream: SocketAddr) {
    crate::pin(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        match mode {
            "relay" => relay(&listener, upstream).await,
            "copy" => copy(&listener, upstream).await,
            other => panic!("no proxy is called {other}"),
        }
    });
}

async fn relay(listener: &TcpListener, upstream: SocketAddr) {
    let (limits, budget) = (Arc::new(Limits::default()), Budget::new(256 << 20));
    let mut sessions = JoinSet::new();
    loop {
        let mut client = accept(listener).await;
        while sessions.try_join_next().is_some() {}
        let (limits, budget) = (Arc::clone(&limits), budget.clone());
        sessions.spawn(async move {
            let mut upstream = connect(upstream).await;
            // In production hyper does this part; here it only has to be out of the way.
            pass_head(&mut client, &mut upstream).await?;
            pass_head(&mut upstream, &mut client).await?;
            let relay = Relay::new(client, upstream, limits).with_budget(budget);
            relay.run().await.close(std::future::ready(None)).await;
            io::Result::Ok(())
        });
    }
}

async fn copy(listener: &TcpListener, upstream: SocketAddr) {
    let mut sessions = JoinSet::new();
    loop {
        let mut client = accept(listener).await;
        while sessions.try_join_next().is_some() {}
        sessions.spawn(async move {
            let mut upstream = connect(upstream).await;
            let copy = tokio::io::copy_bidirectional_with_sizes;
            // Whatever ends the connection is none of its business.
            copy(&mut client, &mut upstream, COPY, COPY).await.ok();
        });
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let (client, _) = listener.accept().await.expect("a connection");
    crate::tune(&client);
    client
}

async fn connect(address: SocketAddr) -> TcpStream {
    let upstream = TcpStream::connect(address).await.expect("the echo server accepts");
    crate::tune(&upstream);
    upstream
}

async fn pass_head(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
    let head = read_head(from).await?;
    to.write_all(&head).await
}
