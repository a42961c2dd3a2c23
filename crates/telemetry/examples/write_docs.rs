//! Writes `docs/events.md` and `docs/metrics.md`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    std::fs::create_dir_all(&docs)?;
    std::fs::write(docs.join("events.md"), telemetry::catalogue::events_page())?;
    std::fs::write(docs.join("metrics.md"), telemetry::catalogue::metrics_page())?;
    println!("wrote docs/events.md and docs/metrics.md");
    Ok(())
}
