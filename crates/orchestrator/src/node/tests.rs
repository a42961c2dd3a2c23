use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn fit() -> Node {
    let mut node = Node::new();
    node.judge(Ok(()));
    node
}

#[test]
fn nothing_is_admitted_before_the_start_has_finished() {
    let mut node = Node::new();
    node.starting("reclaiming");
    assert_eq!(node.admit(), Err(DoorRefusal::NotReady("reclaiming")));
    node.set_status(NodeStatus::Healthy).unwrap();
    assert!(!node.accepting(), "a status call finished the start");
    node.judge(Ok(()));
    assert!(node.ready() && node.accepting());
}

#[test]
fn a_draining_node_is_opened_by_healthy_and_not_by_standby() {
    let mut node = fit();
    node.set_status(NodeStatus::Draining).unwrap();
    assert_eq!(node.admit(), Err(DoorRefusal::Draining));
    assert_eq!(node.set_status(NodeStatus::Standby), Err(StatusError::Transition));
    assert_eq!(node.admit(), Err(DoorRefusal::Draining));
    node.set_status(NodeStatus::Healthy).unwrap();
    assert!(node.accepting());
}

#[test]
fn an_announced_drain_lets_work_in_until_its_time() {
    let start = Instant::now();
    let until = start + Duration::from_secs(15);
    let mut node = fit();
    node.announce(until).unwrap();
    assert_eq!(node.status(), NodeStatus::Draining);
    assert!(node.accepting() && !node.ready());
    node.expire(start + Duration::from_secs(14));
    assert!(node.accepting());
    node.expire(until);
    assert!(!node.accepting());
    node.announce(until + Duration::from_secs(60)).unwrap();
    assert!(!node.accepting(), "an announcement opened a closed door");
}

#[test]
fn draining_closes_the_door_even_while_announcing() {
    let mut node = fit();
    node.announce(Instant::now() + Duration::from_secs(15)).unwrap();
    node.set_status(NodeStatus::Draining).unwrap();
    assert!(!node.accepting());
}

#[test]
fn after_the_first_signal_no_call_changes_the_status() {
    for announce in [true, false] {
        let mut node = fit();
        if announce {
            node.shutdown_announce()
        } else {
            node.shutdown_close()
        }
        assert_eq!(node.accepting(), announce);
        for (_, status) in NodeStatus::WORDS {
            assert_eq!(node.set_status(*status), Err(StatusError::ShuttingDown));
        }
        assert_eq!(node.announce(Instant::now()), Err(StatusError::ShuttingDown));
        assert_eq!(node.accepting(), announce);
    }
}

#[test]
fn a_shutdown_does_not_open_what_an_operator_closed() {
    let mut node = fit();
    node.set_status(NodeStatus::Draining).unwrap();
    node.shutdown_announce();
    assert!(!node.accepting());
}

#[derive(Debug, Clone)]
enum Op {
    Set(NodeStatus),
    Announce(u64),
    Pass(u64),
    Judge(bool),
    ShutdownAnnounce,
    ShutdownClose,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => prop::sample::select(NodeStatus::WORDS).prop_map(|(_, status)| Op::Set(status)),
        3 => (0_u64..20).prop_map(Op::Announce),
        3 => (0_u64..20).prop_map(Op::Pass),
        3 => any::<bool>().prop_map(Op::Judge),
        1 => Just(Op::ShutdownAnnounce),
        1 => Just(Op::ShutdownClose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// 10,000 random steps: status, `accepting`, readiness and admission never disagree.
    #[test]
    fn status_and_admission_agree(ops in prop::collection::vec(op(), 50)) {
        let mut now = Instant::now();
        let mut node = fit();
        let mut signalled = false;
        for op in ops {
            let before = node.clone();
            match op {
                Op::Set(status) => {
                    let outcome = node.set_status(status);
                    prop_assert_eq!(outcome == Err(StatusError::ShuttingDown), signalled);
                    match outcome {
                        Err(_) => prop_assert_eq!(&node, &before),
                        Ok(()) => prop_assert_eq!(node.status(), status),
                    }
                    if status == NodeStatus::Draining {
                        prop_assert!(signalled || !node.accepting());
                    }
                    if before.status() == status && before.door() == Door::Open {
                        prop_assert_eq!(&node, &before);
                    }
                }
                Op::Announce(secs) => {
                    let outcome = node.announce(now + Duration::from_secs(secs));
                    prop_assert_eq!(outcome.is_err(), signalled);
                }
                Op::Pass(secs) => {
                    now += Duration::from_secs(secs);
                    node.expire(now);
                }
                Op::Judge(fit) => node.judge(if fit { Ok(()) } else { Err("disk".to_owned()) }),
                Op::ShutdownAnnounce if !signalled => {
                    node.shutdown_announce();
                    signalled = true;
                }
                Op::ShutdownAnnounce => {}
                Op::ShutdownClose => {
                    node.shutdown_close();
                    signalled = true;
                }
            }
            prop_assert_eq!(node.accepting(), node.admit().is_ok());
            prop_assert!(!node.ready() || node.accepting());
            prop_assert_eq!(node.ready(), node.status() == NodeStatus::Healthy && node.accepting());
            if !before.accepting() && before.shutting_down() && *before.verdict() == Verdict::Fit {
                prop_assert!(!node.accepting(), "a closed node was opened");
            }
            if matches!(before.door(), Door::Closed { by: ClosedBy::Shutdown }) {
                prop_assert!(!node.accepting(), "the door came open again");
            }
        }
    }
}
