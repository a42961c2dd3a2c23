use super::*;

#[test]
fn every_word_reads_back_as_itself() {
    for detail in Detail::ALL {
        assert_eq!(detail.as_str().parse(), Ok(*detail));
        let json = serde_json::to_string(detail).unwrap();
        assert_eq!(serde_json::from_str::<Detail>(&json).unwrap(), *detail);
    }
}

#[test]
fn an_unknown_word_names_the_known_ones() {
    let error = "cpd".parse::<EndedBy>().unwrap_err();
    assert_eq!(error.to_string(), "`cpd` is not one of: client, upstream, context");
}

#[test]
fn a_context_detail_keeps_its_word_as_a_detail() {
    for detail in ContextDetail::ALL {
        assert_eq!(Detail::from(*detail).as_str(), detail.as_str());
    }
}

#[test]
fn an_exit_has_only_the_number_that_belongs_to_it() {
    let json = |exit: Exit| serde_json::to_string(&exit).unwrap();
    assert_eq!(json(Exit::exited(0)), r#"{"kind":"exited","code":0}"#);
    assert_eq!(json(Exit::signalled(9)), r#"{"kind":"signalled","signal":9}"#);
    assert_eq!(json(Exit::of(ExitKind::OomKilled)), r#"{"kind":"oom_killed"}"#);
}

#[test]
fn only_what_clients_do_and_api_calls_are_off_by_default() {
    let off: Vec<_> = Category::ALL.iter().filter(|c| !c.on_by_default()).collect();
    assert_eq!(off, [&Category::Control, &Category::Api]);
}
