use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

fn manifest(id: &SnapshotId) -> Manifest {
    let about = About {
        sandbox: "shop".to_owned(),
        execution: "ex1".to_owned(),
        lifecycle: "lc1".to_owned(),
        template: "default".to_owned(),
        flavour: Flavour::Chromium,
        browser: Some("Chrome/156.0.8078.79".to_owned()),
        labels: BTreeMap::from([("team".to_owned(), "search".to_owned())]),
        node: "n1".to_owned(),
    };
    let archive = format!("archives/n1/{id}.tar.zst");
    let sealed = Sealed { bytes: 1, sha256: "0a".repeat(32), unpacked: 2 };
    Manifest::new(id, 7, about, (archive, sealed))
}

fn id() -> SnapshotId {
    SnapshotId::random(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    let id = id();
    let written = manifest(&id);
    assert_eq!(Manifest::from_json(&id, &written.to_json()), Ok(written));
}

#[test]
fn a_manifest_of_something_else_is_refused() {
    let (id, other) = (id(), id());
    let good = manifest(&id);
    assert!(Manifest::from_json(&other, &good.to_json()).is_err(), "another id");
    let elsewhere = Manifest { archive: format!("archives/n1/{other}.tar.zst"), ..good.clone() };
    assert!(Manifest::from_json(&id, &elsewhere.to_json()).is_err(), "another archive");
    let deeper = Manifest { archive: format!("archives/../x/{id}.tar.zst"), ..good.clone() };
    assert!(Manifest::from_json(&id, &deeper.to_json()).is_err(), "a path that leads away");
    let later = Manifest { form: 2, ..good.clone() };
    assert!(Manifest::from_json(&id, &later.to_json()).is_err(), "another form");
    let unhashed = Manifest { sha256: "no".to_owned(), ..good };
    assert!(Manifest::from_json(&id, &unhashed.to_json()).is_err(), "no hash");
}

#[test]
fn an_older_browser_is_refused_and_a_newer_one_is_not() {
    let snapshot = manifest(&id());
    assert!(snapshot.fits("HeadlessChrome/155.9.1.1").is_err());
    assert_eq!(snapshot.fits("HeadlessChrome/156.0.1.1"), Ok(()));
    assert_eq!(snapshot.fits("Chrome/157.0.0.0"), Ok(()));
    assert_eq!(snapshot.fits("something else"), Ok(()), "nothing is known of it");
}

proptest! {
    #[test]
    fn whatever_stands_in_a_manifest_reading_it_ends(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..400,
        with in any::<u8>(),
    ) {
        let id = id();
        let _ = Manifest::from_json(&id, &bytes);
        let mut json = manifest(&id).to_json();
        let at = at % json.len();
        json[at] = with;
        let _ = Manifest::from_json(&id, &json);
    }
}
