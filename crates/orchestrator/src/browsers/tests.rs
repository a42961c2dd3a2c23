use upstream::WsUrl;

use super::*;

fn url(port: u16) -> WsUrl {
    let guid = "00000000-0000-4000-8000-000000000000";
    WsUrl::from_parts("127.0.0.1", port, guid).unwrap()
}

fn starting(generation: u64) -> DriverEvent {
    DriverEvent::Starting { generation }
}

fn ready(generation: u64) -> DriverEvent {
    DriverEvent::Ready {
        generation,
        url: url(9000 + generation as u16),
        product: format!("Chrome/{generation}"),
        pid: Some(7),
        start_time: Duration::from_millis(90),
    }
}

const KILLED: Cause = Cause::Signalled { signal: 9 };

fn exited(generation: u64, relaunch: bool) -> DriverEvent {
    DriverEvent::BrowserExited {
        generation,
        cause: KILLED,
        expected: false,
        uptime: Duration::from_secs(3),
        relaunch_in: relaunch.then_some(Duration::ZERO),
    }
}

fn names(told: &[Told]) -> Vec<&'static str> {
    told.iter()
        .map(|one| match one {
            Told::Fact(fact) => fact.kind(),
            Told::Started(_) => "+started",
            Told::Restarted(_) => "+restarted",
            Told::OutOfMemory(OomScope::Renderer, _) => "+page_oom",
            Told::OutOfMemory(..) => "+oom",
            Told::Exited(_) => "+exited",
            Told::Relaunching => "+relaunching",
            Told::RunnerReady(_) => "+runner_ready",
            Told::RunnerExited(_) => "+runner_exited",
            Told::Gone(_) => "+gone",
        })
        .collect()
}

/// Feeds all reports and collects what is passed on.
fn feed(
    browsers: &mut Browsers,
    events: impl IntoIterator<Item = DriverEvent>,
) -> Vec<&'static str> {
    let now = Instant::now();
    events.into_iter().flat_map(|event| names(&browsers.handle(event, now, 2))).collect()
}

#[test]
fn a_crash_and_its_relaunch_are_told_in_order() {
    let mut browsers = Browsers::new();
    let start = Instant::now();
    assert_eq!(feed(&mut browsers, [starting(1), ready(1)]), ["starting", "ready", "+started"]);
    assert!(browsers.is_ready());
    let told = browsers.handle(exited(1, true), start, 2);
    assert_eq!(names(&told), ["ended", "+exited", "+relaunching"]);
    assert!(!browsers.is_ready());
    browsers.handle(starting(2), start, 0);
    let told = browsers.handle(ready(2), start + Duration::from_millis(300), 0);
    assert_eq!(names(&told), ["ready", "+started", "+restarted"]);
    let Told::Restarted(restarted) = &told[2] else { panic!("{told:?}") };
    assert_eq!((restarted.generation, restarted.previous), (2, 1));
    assert_eq!((restarted.down.as_millis(), restarted.sessions_cut), (300, 2));
    assert_eq!((browsers.record().generation, browsers.record().crashes), (2, 1));
}

#[test]
fn a_report_that_comes_twice_or_late_is_told_once() {
    let mut browsers = Browsers::new();
    feed(&mut browsers, [starting(1), ready(1), exited(1, true), starting(2)]);
    assert_eq!(feed(&mut browsers, [exited(1, true), ready(1), starting(1), starting(2)]), [""; 0]);
    assert_eq!(feed(&mut browsers, [ready(2), ready(2)]), ["ready", "+started", "+restarted"]);
    assert_eq!(browsers.record().crashes, 1);
}

#[test]
fn an_exit_before_its_start_was_reported_is_not_undone_by_the_late_ready() {
    let mut browsers = Browsers::new();
    assert_eq!(
        feed(&mut browsers, [exited(1, true)]),
        ["starting", "ended", "+exited", "+relaunching"]
    );
    assert_eq!(feed(&mut browsers, [starting(1), ready(1)]), [""; 0]);
    assert!(!browsers.is_ready());
}

#[test]
fn a_late_end_of_an_older_one_leaves_the_newer_one_ready() {
    let mut browsers = Browsers::new();
    feed(&mut browsers, [starting(1), ready(1)]);
    assert_eq!(
        feed(&mut browsers, [starting(2), ready(2)]),
        ["ended", "starting", "ready", "+started"]
    );
    assert_eq!(feed(&mut browsers, [exited(1, true)]), ["ended_of", "+exited", "+relaunching"]);
    assert!(browsers.is_ready());
}

#[test]
fn what_memory_ran_out_for_is_told_beside_what_became_of_it() {
    let mut browsers = Browsers::new();
    feed(&mut browsers, [starting(1), ready(1)]);
    assert_eq!(feed(&mut browsers, [DriverEvent::RendererOom { killed: 2 }]), ["+page_oom"]);
    assert!(browsers.is_ready(), "the browser lives");
    let end = DriverEvent::BrowserExited {
        generation: 1,
        cause: Cause::OomKilled,
        expected: false,
        uptime: Duration::from_secs(3),
        relaunch_in: None,
    };
    let gave_up = Fact::GaveUp { cause: Cause::OomKilled }.kind();
    assert_eq!(feed(&mut browsers, [end]), [gave_up, "+oom", "+exited"]);
}

#[test]
fn after_gone_nothing_is_told() {
    let mut browsers = Browsers::new();
    let gone = DriverEvent::Gone { cause: KILLED, why: GoneWhy::Crashed };
    feed(&mut browsers, [starting(1), ready(1), exited(1, false)]);
    assert_eq!(feed(&mut browsers, [gone.clone()]), ["+gone"]);
    assert_eq!(feed(&mut browsers, [gone, starting(2), ready(2)]), [""; 0]);
    assert!(!browsers.is_ready());
}

#[test]
fn the_reason_of_an_end_comes_from_its_fact() {
    let table = [
        (Cause::Exited { code: 0 }, GoneWhy::Closed, StopReason::BrowserClosed),
        (KILLED, GoneWhy::Crashed, StopReason::BrowserCrashed),
        (Cause::OomKilled, GoneWhy::Crashed, StopReason::Oom),
        (KILLED, GoneWhy::GaveUp(vec![KILLED; 5]), StopReason::BrowserGaveUp),
    ];
    for (cause, why, reason) in table {
        assert_eq!(gone_stop(cause, &why).reason, reason, "{cause} {why:?}");
    }
    let stop = gone_stop(KILLED, &GoneWhy::GaveUp(vec![KILLED, Cause::Exited { code: 1 }]));
    assert_eq!(stop.detail, "2 ends in a row: killed: signal 9, exited: code 1");
}

#[test]
fn the_facts_fit_the_steps_of_the_upstream() {
    let publisher = upstream::Publisher::new(true);
    let mut browsers = Browsers::new();
    let now = Instant::now();
    let life = [
        starting(1),
        ready(1),
        exited(1, true),
        starting(2),
        exited(2, true),
        starting(3),
        ready(3),
        starting(4),
        ready(4),
        exited(4, false),
        DriverEvent::Gone { cause: KILLED, why: GoneWhy::Crashed },
    ];
    for event in life {
        for told in browsers.handle(event, now, 0) {
            if let Told::Fact(fact) = told {
                let applied = publisher.apply(fact.clone());
                assert_eq!(applied, upstream::Applied::Published, "{fact:?}");
            }
        }
        let generation = publisher.current().generation;
        assert_eq!(generation, browsers.record().generation);
    }
    assert!(publisher.current().is_gone());
}

#[test]
fn an_exit_for_good_is_never_told_as_one_that_may_come_back() {
    let mut browsers = Browsers::new();
    feed(&mut browsers, [starting(1), ready(1)]);
    let gone = DriverEvent::Gone { cause: KILLED, why: GoneWhy::Crashed };
    let told = feed(&mut browsers, [exited(1, false), gone]);
    assert_eq!(told, [Fact::GaveUp { cause: KILLED }.kind(), "+exited", "+gone"]);
}
