use super::*;

#[test]
fn a_fast_stop_is_never_made_slow_again() {
    let mut orders = Orders::default();
    orders.stop(StopHow::Graceful);
    assert_eq!(orders.grace(Duration::from_secs(10)), Duration::from_secs(10));
    orders.stop(StopHow::Fast);
    orders.stop(StopHow::Graceful);
    assert_eq!(orders.grace(Duration::from_secs(10)), FAST_GRACE);
    assert_eq!(orders.grace(Duration::from_secs(1)), Duration::from_secs(1));
    orders.killed = true;
    assert_eq!(orders.grace(Duration::from_secs(10)), Duration::ZERO);
}

#[tokio::test]
async fn every_caller_gets_the_report_of_an_attempt_that_ended_after_its_call() {
    let instance = Instance::new(LifecycleId::new("a"), None);
    let mut orders = instance.orders();
    let work = async {
        for attempt in 1..=2 {
            orders.wait_for(|orders| orders.attempts >= attempt).await.unwrap();
            let report = StopReport { errors: vec![attempt.to_string()], ..StopReport::default() };
            instance.outcome.send_replace(Some(Outcome { attempt, report, over: attempt == 2 }));
        }
    };
    let calls = async {
        let (a, b) =
            tokio::join!(instance.stop(StopHow::Fast, false), instance.stop(StopHow::Fast, false));
        assert_eq!((&a.errors, &b.errors), (&vec!["1".to_owned()], &vec!["1".to_owned()]));
        assert_eq!(instance.stop(StopHow::Fast, false).await.errors, ["2"]);
        // Nothing more will come.
        assert_eq!(instance.stop(StopHow::Fast, false).await.errors, ["2"]);
    };
    tokio::join!(work, calls);
}

#[tokio::test]
async fn a_task_that_panics_still_answers() {
    let instance = Instance::new(LifecycleId::new("a"), None);
    drop(Farewell(Arc::clone(&instance)));
    assert_eq!(instance.stop(StopHow::Fast, false).await.errors.len(), 1);
}
