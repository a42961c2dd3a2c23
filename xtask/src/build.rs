//! Building the binaries that are deployed.

use std::path::PathBuf;

use anyhow::Result;

use crate::{cmd, progress, tools};

/// The binaries that a release consists of.
pub(crate) const BINARIES: &[&str] = &["lockkeeperd", "lockkeeper", "devtools-proxyd", "listenerd"];

/// Builds these binaries in release mode; gives their paths, in the same order.
///
/// # Errors
/// When the build fails; the compiler has said why.
pub(crate) fn release(binaries: &[&str]) -> Result<Vec<PathBuf>> {
    let folder = tools::target_dir()?.join("release");
    progress::step(&format!("build {} (release)", binaries.join(", ")), || {
        let mut arguments = vec!["build", "--release", "--locked"];
        for binary in binaries {
            arguments.extend(["--bin", binary, "--package", binary]);
        }
        cmd::run(&mut cmd::cargo(&arguments), "see the compiler's message above")?;
        let paths: Vec<_> = binaries.iter().map(|binary| folder.join(binary)).collect();
        for path in &paths {
            let size = path.metadata()?.len() as f64 / (1024.0 * 1024.0);
            progress::note(&format!("{} ({size:.1} MiB)", path.display()));
        }
        Ok(paths)
    })
}
