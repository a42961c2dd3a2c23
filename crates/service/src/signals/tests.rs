use std::time::{Duration, Instant};

use super::*;

fn heard(sent: &[(SignalName, u64)]) -> Vec<Heard> {
    let start = Instant::now();
    let mut counter = SignalCounter::new();
    sent.iter()
        .map(|(name, ms)| counter.handle(*name, start + Duration::from_millis(*ms)))
        .collect()
}

#[test]
fn second_and_third_escalate_whichever_of_the_two_signals_they_are() {
    use SignalName::{Interrupt, Terminate};
    let got = heard(&[(Terminate, 0), (Interrupt, 1500), (Terminate, 4000), (Interrupt, 9000)]);
    assert_eq!(got, [Heard::First, Heard::Second, Heard::Third, Heard::Third]);
}

#[test]
fn signals_less_than_a_second_apart_are_one() {
    use SignalName::{Interrupt, Terminate};
    let got = heard(&[(Terminate, 0), (Interrupt, 5), (Terminate, 999), (Terminate, 1000)]);
    assert_eq!(got, [Heard::First, Heard::Repeat, Heard::Repeat, Heard::Second]);
}

#[test]
fn two_presses_of_a_user_count_as_two() {
    use SignalName::Interrupt;
    assert_eq!(heard(&[(Interrupt, 0), (Interrupt, 1200)]), [Heard::First, Heard::Second]);
}

#[test]
fn pressing_again_and_again_is_heard_once_a_second() {
    let presses: Vec<_> = (0..6).map(|n| (SignalName::Interrupt, n * 400)).collect();
    use Heard::{First, Repeat, Second};
    assert_eq!(heard(&presses), [First, Repeat, Repeat, Second, Repeat, Repeat]);
}

#[test]
fn sigusr1_starts_and_never_escalates() {
    use SignalName::{Terminate, User1};
    let got = heard(&[(User1, 0), (User1, 2000), (User1, 4000), (Terminate, 4100), (User1, 9000)]);
    assert_eq!(got, [Heard::Start, Heard::Start, Heard::Start, Heard::First, Heard::Start]);
}

#[test]
fn sighup_means_nothing_and_is_no_reason_to_forget_the_next_one() {
    use SignalName::{Hangup, Terminate};
    assert_eq!(heard(&[(Hangup, 0), (Terminate, 10)]), [Heard::Ignored, Heard::First]);
}

#[tokio::test]
async fn real_signals_arrive_also_those_sent_before_anyone_waits() {
    let mut signals = Signals::install().expect("handlers");
    let me = rustix::process::getpid();
    for signal in [rustix::process::Signal::HUP, rustix::process::Signal::TERM] {
        rustix::process::kill_process(me, signal).expect("kill");
    }
    let heard = tokio::time::timeout(Duration::from_secs(10), signals.next()).await;
    assert_eq!(heard, Ok(Heard::First), "SIGHUP is waited past");
    rustix::process::kill_process(me, rustix::process::Signal::USR1).expect("kill");
    let heard = tokio::time::timeout(Duration::from_secs(10), signals.next()).await;
    assert_eq!(heard, Ok(Heard::Start));
}
