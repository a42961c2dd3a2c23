//! The relay, with any bytes from both sides.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use wsproxy::{Limits, Relay};

use crate::cut::cut;

/// Whatever both sides send, the session ends within its bounds, and what went to a side is counted.
/// The first two bytes say how many of the rest are the client's.
pub(crate) fn relay(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let Some((&[high, low], rest)) = input.split_first_chunk() else { return };
    let (client, browser) = rest.split_at(rest.len().min(u16::from_be_bytes([high, low]).into()));
    runtime.block_on(async {
        let (client_end, ours) = duplex(512);
        let (theirs, browser_end) = duplex(512);
        let limits = Limits {
            max_client_message: 64 << 10,
            max_browser_message: 64 << 10,
            join_max: 4 << 10,
            ..Limits::default()
        };
        let session = async {
            let ending = Relay::new(ours, theirs, Arc::new(limits)).run().await;
            ending.close(async { None }).await
        };
        let (report, to_client, to_browser) =
            tokio::time::timeout(Duration::from_secs(600), async {
                tokio::join!(session, talk(client_end, client), talk(browser_end, browser))
            })
            .await
            .expect("the session ends");
        let (up, down) = (&report.to_browser, &report.to_client);
        assert!(up.bytes <= to_browser as u64, "{} of {to_browser}", up.bytes);
        assert!(down.bytes <= to_client as u64, "{} of {to_client}", down.bytes);
    });
}

/// Sends the chunks, closes, and counts what comes.
async fn talk(stream: DuplexStream, input: &[u8]) -> usize {
    let (mut read, mut write) = tokio::io::split(stream);
    let (chunks, _) = cut(input);
    let send = async {
        for chunk in chunks {
            if write.write_all(chunk).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = write.shutdown().await;
    };
    let receive = async {
        let (mut seen, mut buffer) = (0, [0; 1_024]);
        while let Ok(count @ 1..) = read.read(&mut buffer).await {
            seen += count;
        }
        seen
    };
    tokio::join!(send, receive).1
}
