//! Where the built binaries and the clients' packages are.

use std::path::{Path, PathBuf};

use testkit::daemon::{Client, Options};

/// A `lockkeeperd` on a free port with a new state folder.
///
/// # Panics
/// Never: a missing binary is an error of the start, with its remedy.
pub fn daemon() -> Options {
    Options::new(binary("lockkeeperd"))
}

/// A `listenerd` on a free port with a new state folder.
pub fn gateway() -> Options {
    Options::new(binary("listenerd"))
}

/// A `devtools-proxyd` on a free port.
pub fn sidecar() -> Options {
    Options::new(binary("devtools-proxyd"))
}

/// The command-line client.
pub fn cli() -> PathBuf {
    binary("lockkeeper")
}

/// The folder of this profile's binaries: the test itself runs from `deps` inside it.
fn binary(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap_or_default();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder.join(name)
}

/// The folder of the client scripts.
pub fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Starts a client script with the Node that `cargo xtask setup` installed.
///
/// # Errors
/// With the remedy, when that Node is missing.
pub fn node(script: &str, args: &[&str]) -> Result<Client, String> {
    node_with(script, args, &[])
}

/// The same for a client that trusts who signed the certificates in this file, too.
///
/// # Errors
/// With the remedy, when that Node is missing.
pub fn node_trusting(script: &str, args: &[&str], authority: &Path) -> Result<Client, String> {
    node_with(script, args, &[("NODE_EXTRA_CA_CERTS", &authority.to_string_lossy())])
}

fn node_with(script: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Client, String> {
    let node = clients().join("node_modules/.bin/node");
    if !node.exists() {
        return Err("the client packages are missing; install them with: cargo xtask setup".into());
    }
    Client::start_with(&node, &clients(), script, args, env)
}

/// The client in Rust, which is an agent's runner too.
///
/// # Errors
/// With the remedy, when it is missing.
pub fn rust_client_binary() -> Result<PathBuf, String> {
    let mut target = binary("");
    target.pop();
    let client = target.join("rust-client/debug/rust-client");
    match client.exists() {
        true => Ok(client),
        false => Err("the client in Rust is not built; run: cargo xtask test".into()),
    }
}

/// Starts the client in Rust, which `cargo xtask test` builds beside the tests: it is not part of the
/// workspace.
///
/// # Errors
/// With the remedy, when it is missing.
pub fn rust_client(args: &[&str]) -> Result<Client, String> {
    let client = rust_client_binary()?;
    let (first, rest) = args.split_first().ok_or("a mode is missing")?;
    Client::start(&client, &clients(), first, rest)
}
