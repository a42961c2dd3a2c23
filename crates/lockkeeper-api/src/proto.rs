//! The messages and services of the gRPC face.

mod answers;
mod node;

/// Made from the files in `proto/`.
#[allow(clippy::all, clippy::pedantic, clippy::wildcard_imports, missing_docs)]
mod generated {
    tonic::include_proto!("lockkeeper.v1");
}

pub use generated::*;

/// The files themselves, compiled: what reflection answers with.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lockkeeper.v1.binpb"));
