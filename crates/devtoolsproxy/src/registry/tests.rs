use super::*;

fn id(text: &str) -> Arc<str> {
    Arc::from(text)
}

#[test]
fn limits_hold_per_sandbox_and_for_the_process() {
    let registry = Arc::new(Registry::new(2, 3));
    let now = Instant::now();
    let take = |sandbox, connection| registry.take(&id(sandbox), &id(connection), now);
    let first = take("a", "1").unwrap();
    let _second = take("a", "2").unwrap();
    assert_eq!(take("a", "3").unwrap_err(), Refusal::SandboxFull(2));
    let _third = take("b", "4").unwrap();
    assert_eq!(take("b", "5").unwrap_err(), Refusal::ProcessFull(3));
    drop(first);
    let _again = take("a", "6").unwrap();
    assert_eq!(registry.count(), 3);
}

#[test]
fn count_and_list_agree_after_every_kind_of_leaving() {
    let registry = Arc::new(Registry::new(8, 8));
    let now = Instant::now();
    let place = registry.take(&id("a"), &id("1"), now).unwrap();
    assert_eq!(registry.list()[0].generation, None);
    place.connected(4);
    assert_eq!(registry.list()[0].generation, Some(4));
    let moved = Arc::clone(&registry);
    let _ = std::thread::spawn(move || {
        let _place = moved.take(&id("a"), &id("2"), now).unwrap();
        panic!("a session that panics");
    })
    .join();
    assert_eq!((registry.count(), registry.list().len()), (1, 1));
    drop(place);
    assert_eq!((registry.count(), registry.list().len()), (0, 0));
    assert!(registry.lock().by_sandbox.is_empty());
}
