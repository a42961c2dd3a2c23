use super::*;

#[test]
fn a_name_begins_with_a_letter_or_digit_and_has_at_most_63_bytes() {
    let longest = "a".repeat(63);
    for name in ["a", "0", "A.b_c-d", longest.as_str()] {
        let key = SessionKey::new(name, name).expect(name);
        assert_eq!((key.project(), key.session()), (name, name));
    }
    let long = "a".repeat(64);
    for name in ["", ".", "..", "-a", "_a", "a/b", "a b", "ä", "a\0", "a%2f", long.as_str()] {
        assert_eq!(SessionKey::new(name, "s"), Err(KeyError::Project), "{name:?}");
        assert_eq!(SessionKey::new("p", name), Err(KeyError::Session), "{name:?}");
    }
}

#[test]
fn the_same_session_name_in_two_projects_is_two_sessions() {
    let key = |project, session| SessionKey::new(project, session).expect("names");
    assert_ne!(key("a", "s"), key("b", "s"));
    assert_ne!(key("a.b", "c"), key("a", "b.c"));
    assert_eq!(key("a", "s"), key("a", "s"));
}
