//! Compiles the protobuf files, without a protobuf compiler on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "grpc")]
    grpc()?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}

#[cfg(feature = "grpc")]
#[expect(clippy::disallowed_methods, reason = "a build script is told by it where to write")]
fn grpc() -> Result<(), Box<dyn std::error::Error>> {
    use prost::Message as _;

    let files =
        ["sandboxes", "snapshots", "node"].map(|name| format!("lockkeeper/v1/{name}.proto"));
    let set = protox::compile(files, ["proto"])?;
    // What the node tells of itself to those who ask by reflection.
    let place = std::path::PathBuf::from(std::env::var("OUT_DIR")?).join("lockkeeper.v1.binpb");
    std::fs::write(place, set.encode_to_vec())?;
    tonic_prost_build::configure().build_transport(false).btree_map(".").compile_fds(set)?;
    Ok(())
}
