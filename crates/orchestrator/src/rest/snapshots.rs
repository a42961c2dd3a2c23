//! `/v1/snapshots`.

use axum::extract::{Path, State};
use http::{StatusCode, Uri};

use super::answer::{Answer, json};
use super::query::Parameters;
use crate::face::Face;
use crate::snapshots::SnapshotId;

pub(super) async fn list(State(face): State<Face>, uri: Uri) -> Answer {
    let mut query = Parameters::parse(&uri, &["limit", "after"])?;
    let limit = query.page_limit();
    let after = match query.one("after").map(|text| text.parse::<SnapshotId>()) {
        Some(Ok(id)) => Some(id),
        Some(Err(error)) => {
            query.mistake("after", error.to_string());
            None
        }
        None => None,
    };
    let after = query.finish(after)?;
    Ok(json(StatusCode::OK, &face.snapshots(after.as_ref(), limit).await?))
}

pub(super) async fn get(State(face): State<Face>, Path(id): Path<String>, uri: Uri) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    Ok(json(StatusCode::OK, &face.snapshot(&id).await?))
}

pub(super) async fn delete(State(face): State<Face>, Path(id): Path<String>, uri: Uri) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    Ok(json(StatusCode::OK, &face.delete_snapshot(&id).await?))
}
