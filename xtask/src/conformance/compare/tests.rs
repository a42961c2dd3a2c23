use super::*;

fn results(direct: (&str, &str), relayed: (&str, &str)) -> Results {
    let case = |(behavior, close): (&str, &str)| serde_json::json!({ "9.1": { "behavior": behavior, "behaviorClose": close } });
    let both = serde_json::json!({ "direct": case(direct), "relayed": case(relayed) });
    serde_json::from_value(both).unwrap()
}

#[test]
fn what_is_worse_relayed_is_counted_and_what_is_better_is_not() {
    for (direct, relayed, worse) in [
        (("OK", "OK"), ("OK", "OK"), 0),
        (("OK", "OK"), ("NON-STRICT", "OK"), 1),
        (("OK", "OK"), ("OK", "UNCLEAN"), 1),
        (("FAILED", "UNCLEAN"), ("OK", "OK"), 0),
        (("NON-STRICT", "OK"), ("FAILED", "OK"), 1),
    ] {
        let compared = compared(&results(direct, relayed)).unwrap();
        assert_eq!(compared.worse(), worse, "{direct:?} {relayed:?}: {compared}");
    }
}

#[test]
fn a_case_that_was_not_run_on_both_is_an_error() {
    let mut some = results(("OK", "OK"), ("OK", "OK"));
    some.get_mut("relayed").unwrap().clear();
    assert!(compared(&some).is_err());
    some.remove("relayed");
    assert!(compared(&some).is_err());
}

#[test]
fn what_is_meant_is_no_worse_than_it_says() {
    let told = |case: &str, relayed: &str| {
        let of = |behavior: &str| serde_json::json!({ case: { "behavior": behavior, "behaviorClose": "OK" } });
        let both = serde_json::json!({ "direct": of("OK"), "relayed": of(relayed) });
        let compared = compared(&serde_json::from_value(both).unwrap()).unwrap();
        (compared.meant, compared.worse)
    };
    assert_eq!(told("2.10", "FAILED"), (0, 1));
    assert_eq!(told("3.2", "NON-STRICT"), (1, 0));
    assert_eq!(told("3.2", "FAILED"), (0, 1));
}
