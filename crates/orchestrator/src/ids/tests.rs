use std::collections::HashSet;

use super::*;

#[test]
fn a_sandbox_id_is_a_label_that_fits_a_host_name() {
    for good in ["a", "7", "crawl-7", "a-b-c", &"x".repeat(35)] {
        assert_eq!(good.parse::<SandboxId>().map(|id| id.to_string()), Ok(good.to_owned()));
    }
    let bad = [
        ("", SandboxIdError::Empty),
        ("Crawl", SandboxIdError::Character),
        ("a_b", SandboxIdError::Character),
        ("a.b", SandboxIdError::Character),
        ("ü", SandboxIdError::Character),
        ("a/../b", SandboxIdError::Character),
        ("-a", SandboxIdError::Edge),
        ("a-", SandboxIdError::Edge),
        ("-", SandboxIdError::Edge),
        ("a--b", SandboxIdError::DoubleHyphen),
        (&"x".repeat(36), SandboxIdError::TooLong),
    ];
    for (text, error) in bad {
        assert_eq!(text.parse::<SandboxId>(), Err(error), "{text:?}");
    }
}

#[test]
fn made_ids_are_valid_and_differ() {
    let made: HashSet<_> = (0..1000).map(|_| SandboxId::random()).collect();
    assert_eq!(made.len(), 1000);
    for id in made {
        assert_eq!(id.as_str().parse::<SandboxId>(), Ok(id));
    }
    assert!(random_lifecycle().as_str().len() <= 40);
}
