//! The estimates that a criterion bench leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::run::Run;

/// Runs a criterion bench of one of our packages and reads the median of each of its functions, in
/// nanoseconds, by `group/function`. Estimates of earlier runs are left out.
///
/// # Errors
/// When the bench cannot be run or leaves nothing.
pub(crate) fn medians(run: &Run, package: &str, bench: &str) -> Result<BTreeMap<String, f64>> {
    let from = SystemTime::now();
    let length: &[&str] = run
        .pick(&[], &["--warm-up-time", "0.1", "--measurement-time", "0.3", "--sample-size", "10"]);
    run.sample(|| run.cargo_bench(package, bench, length))?;
    let mut found = BTreeMap::new();
    collect(&run.target().join("criterion"), from, &mut found)?;
    ensure!(!found.is_empty(), "the bench {bench} of {package} left no estimates");
    Ok(found)
}

/// Walks down to each `new/estimates.json` that was written since.
fn collect(folder: &Path, from: SystemTime, found: &mut BTreeMap<String, f64>) -> Result<()> {
    let unread = || format!("{} cannot be read", folder.display());
    for entry in fs::read_dir(folder).with_context(unread)? {
        let path = entry.with_context(unread)?.path();
        if !path.is_dir() {
            continue;
        }
        let estimates = path.join("estimates.json");
        if !path.ends_with("new") {
            collect(&path, from, found)?;
        } else if estimates.metadata().and_then(|m| m.modified()).is_ok_and(|at| at >= from) {
            let read =
                |path: &Path| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
            let id = read(&path.join("benchmark.json"))?;
            let name = id["full_id"].as_str().context("criterion names no full_id")?;
            let median = read(&estimates)?["median"]["point_estimate"].as_f64();
            found.insert(name.to_owned(), median.context("criterion gives no median")?);
        }
    }
    Ok(())
}
