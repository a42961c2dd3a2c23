//! One command, one answer: what the driver itself says to a browser.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use upstream::WsUrl;

/// A call that takes longer has failed.
const CALL: Duration = Duration::from_secs(2);

/// No answer that the driver asks for is longer.
const ANSWER: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The browser does not take the connection or drops it.
    #[error("DevTools connection: {0}")]
    Connection(String),
    /// It answers with an error, or not in the form that was asked for.
    #[error("{method} was answered with {answer}")]
    Answer {
        /// What was asked.
        method: &'static str,
        /// The beginning of what came.
        answer: String,
    },
    /// It does not answer in time.
    #[error("{method} was not answered within {CALL:?}")]
    Timeout {
        /// What was asked.
        method: &'static str,
    },
}

/// Asks a browser for its product name, for example `HeadlessChrome/156.0.8078.79`. A browser that
/// answers is ready: it prints its address before it can serve.
///
/// # Errors
/// See [`CallError`].
///
/// # Cancel safety
/// The connection is dropped with the future.
pub(crate) async fn product(url: &WsUrl) -> Result<String, CallError> {
    const METHOD: &str = "Browser.getVersion";
    let result = call(url, METHOD).await?;
    match result.get("product").and_then(Value::as_str) {
        Some(product) => Ok(product.chars().take(200).collect()),
        None => Err(unexpected(METHOD, &result)),
    }
}

/// Tells a browser to close itself, everything written. It may be gone before its answer comes.
///
/// # Errors
/// See [`CallError`].
///
/// # Cancel safety
/// The connection is dropped with the future.
pub(crate) async fn close(url: &WsUrl) -> Result<(), CallError> {
    call(url, "Browser.close").await.map(drop)
}

async fn call(url: &WsUrl, method: &'static str) -> Result<Value, CallError> {
    let answer = tokio::time::timeout(CALL, exchange(url, method));
    answer.await.unwrap_or(Err(CallError::Timeout { method }))
}

async fn exchange(url: &WsUrl, method: &'static str) -> Result<Value, CallError> {
    let lost = |e: Error| CallError::Connection(e.to_string());
    let stream = TcpStream::connect(url.authority())
        .await
        .map_err(|e| CallError::Connection(e.to_string()))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(ANSWER))
        .max_frame_size(Some(ANSWER))
        .read_buffer_size(4096);
    let (mut socket, _) =
        tokio_tungstenite::client_async_with_config(url.as_str(), stream, Some(config))
            .await
            .map_err(lost)?;
    let command = json!({ "id": 1, "method": method }).to_string();
    socket.send(Message::text(command)).await.map_err(lost)?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message.map_err(lost)? else { continue };
        let mut answer: Value = serde_json::from_str(&text)
            .map_err(|_| unexpected(method, &Value::String(text.to_string())))?;
        // Events may come before the answer.
        if answer.get("id") != Some(&json!(1)) {
            continue;
        }
        return match answer.get_mut("result").map(Value::take) {
            Some(result) => {
                // The browser need not learn of it: its session ends with the socket.
                let _ = socket.close(None).await;
                Ok(result)
            }
            None => Err(unexpected(method, &answer)),
        };
    }
    Err(CallError::Connection("closed before the answer".to_owned()))
}

fn unexpected(method: &'static str, answer: &Value) -> CallError {
    let answer = answer.to_string().chars().take(200).collect();
    CallError::Answer { method, answer }
}

#[cfg(test)]
mod tests;
