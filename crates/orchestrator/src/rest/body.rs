//! Reading request bodies within a limit.

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use lockkeeper_api::{ApiError, Reason, SandboxAfter};

use super::answer::Refusal;
use crate::face::Face;

/// How much of a body that is too large is still read, so that its sender gets to read the answer
/// instead of a reset connection.
const DISCARD_BYTES: usize = 16 << 20;

/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(2);

pub(super) async fn read(face: &Face, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
    let limit = face.orchestrator.config().body_limit;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(limit));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            let text = format!("the body could not be read: {error}");
            ApiError::new(Reason::BadRequest, SandboxAfter::Untouched, text)
        })?;
        if bytes.len() + chunk.len() > limit {
            discard(chunks).await;
            let text = format!("the body is larger than the limit of {limit} bytes");
            return Err(ApiError::new(Reason::BodyTooLarge, SandboxAfter::Untouched, text).into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn discard(mut chunks: axum::body::BodyDataStream) {
    let all = async {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(chunk)) = chunks.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Whether it was all or not, the answer is the same.
    let _ = tokio::time::timeout(DISCARD_TIME, all).await;
}
