//! Every input of the corpus goes through its target.

use std::fs;
use std::path::Path;

use lockkeeper_fuzz::TARGETS;

#[test]
fn the_corpus_holds_for_every_target() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
    }
}

#[test]
fn torn_and_flipped_inputs_hold_too() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        for file in fs::read_dir(&folder).unwrap() {
            let input = fs::read(file.unwrap().path()).unwrap();
            for at in (0..input.len()).step_by(1 + input.len() / 64) {
                target(&input[..at]);
                let mut flipped = input.clone();
                flipped[at] ^= 0x80;
                target(&flipped);
            }
        }
    }
}
