use super::*;

const ARCHITECTURE: &str = "
# Architecture

| not | this |
| --- | --- |
| `ghost` | table |

## Crates

| crate | one concern | uses |
| --- | --- | --- |
| `gate` | lets in | - |
| `log` | keeps | - |
| `edge` | the door: who, when | gate, `log` |
| `kit` | dev-only: peers | any library |
| `daemon` | binary: everything | all of the above |

## Dependencies

| dependency | why |
| --- | --- |
| `bytes`, `http`, `anyhow` | they are good |
";

fn members(list: &[(&str, &str)]) -> BTreeMap<String, Member> {
    list.iter()
        .map(|(name, manifest)| {
            let folder = if *name == "xtask" { "xtask".into() } else { format!("crates/{name}") };
            let manifest = manifest.parse().unwrap();
            ((*name).to_owned(), Member { folder: folder.into(), manifest })
        })
        .collect()
}

fn said(list: &[(&str, &str)]) -> Vec<String> {
    let mut all = vec![("gate", ""), ("log", ""), ("edge", ""), ("kit", ""), ("daemon", "")];
    all.retain(|(name, _)| list.iter().all(|(other, _)| other != name));
    all.extend(list);
    let mut findings = Vec::new();
    check(ARCHITECTURE, &toml::Table::new(), &members(&all), &mut findings);
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn arrows_of_the_table_are_allowed() {
    let edge = "[dependencies]\ngate.workspace = true\nlog = { workspace = true }\n\
                bytes.workspace = true\n[dev-dependencies]\nkit.workspace = true";
    let daemon = "[dependencies]\nedge.workspace = true\ngate.workspace = true";
    let kit = "[dependencies]\nedge.workspace = true";
    let xtask = "[dependencies]\nkit.workspace = true\nhttp.workspace = true";
    assert_eq!(
        said(&[("edge", edge), ("daemon", daemon), ("kit", kit), ("xtask", xtask)]),
        [""; 0]
    );
}

#[test]
fn arrows_outside_the_table_are_named() {
    assert_eq!(
        said(&[("gate", "[target.'cfg(unix)'.dependencies]\nlog.workspace = true")]),
        [
            "crates/gate/Cargo.toml: uses `log`, an arrow that the table of ARCHITECTURE.md does not have"
        ]
    );
    assert_eq!(
        said(&[("edge", "[build-dependencies]\ndaemon.workspace = true")]),
        ["crates/edge/Cargo.toml: uses `daemon`, a binary: move what it needs into a library"]
    );
    assert_eq!(
        said(&[("daemon", "[dependencies]\nkit.workspace = true")]),
        ["crates/daemon/Cargo.toml: uses `kit`, which is for [dev-dependencies] only"]
    );
}

#[test]
fn libraries_have_errors_of_their_own() {
    let anyhow = "[dependencies]\nanyhow.workspace = true";
    assert_eq!(said(&[("daemon", anyhow), ("xtask", anyhow)]), [""; 0]);
    assert_eq!(
        said(&[("log", anyhow)]),
        [
            "crates/log/Cargo.toml: uses `anyhow` in a library: write one small error enum per operation"
        ]
    );
}

#[test]
fn the_table_lists_exactly_the_crates_that_exist() {
    let mut findings = Vec::new();
    let exist = members(&[("gate", ""), ("log", ""), ("edge", ""), ("kit", ""), ("new", "")]);
    check(ARCHITECTURE, &toml::Table::new(), &exist, &mut findings);
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "ARCHITECTURE.md: lists `daemon`, which is not in crates/",
            "ARCHITECTURE.md: does not list `new`, which is in crates/",
        ]
    );
}

#[test]
fn dependencies_have_one_version_a_reason_and_a_user() {
    assert_eq!(
        said(&[("log", "[dependencies]\nbytes = \"1\"\ntokio.workspace = true")]),
        [
            "crates/log/Cargo.toml: `bytes` in [dependencies] does not say `workspace = true`",
            "crates/log/Cargo.toml: uses `tokio`, and ARCHITECTURE.md does not say why it is here",
        ]
    );
    let workspace = "[workspace.dependencies]\nbytes = \"1\"\ngate = { path = \"crates/gate\" }";
    let mut findings = Vec::new();
    let exist = members(&[("gate", ""), ("log", ""), ("edge", ""), ("kit", ""), ("daemon", "")]);
    check(ARCHITECTURE, &workspace.parse().unwrap(), &exist, &mut findings);
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["Cargo.toml: [workspace.dependencies] has `bytes`, which nobody uses"]);
}
