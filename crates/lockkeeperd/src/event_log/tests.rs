use super::*;

#[test]
fn a_place_is_a_database_or_servers_and_shows_no_password() {
    assert_eq!(Place::read("sqlite"), Ok(Place::Sqlite));
    let two = Place::read("nats://user:secret@a:4222 tls://b").unwrap();
    assert_eq!(two.show(), "nats://***@a:4222 tls://b");
    for bad in ["", "SQLite", "nats://", "http://a", "nats://a,b", "nats://a/secret", "a:4222"] {
        let mistake = Place::read(bad).unwrap_err();
        assert!(mistake.contains("nats://HOST:PORT") && !mistake.contains("secret"), "{mistake}");
    }
}

#[test]
fn any_id_of_a_node_makes_a_prefix() {
    assert_eq!(prefix("node-1"), "lockkeeper_node-1");
    for odd in ["a.b c/ü*>", &"x".repeat(300), ""] {
        assert!(LogName::new(&prefix(odd)).is_ok_and(|name| !name.as_str().contains('.')), "{odd}");
    }
}
