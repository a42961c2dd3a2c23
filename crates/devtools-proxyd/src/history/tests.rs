use std::time::Duration;

use upstream::{Fact, Model, step};

use super::*;

/// A model of the browser and the history that is told of it.
struct World {
    model: Model,
    history: History,
    start: Instant,
}

impl World {
    fn new() -> Self {
        let history = History::new("life".into(), UpstreamSource::LogFollow);
        Self { model: Model::new(), history, start: Instant::now() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Something happens and nobody looks.
    fn unseen(&mut self, ms: u64, fact: Fact) {
        self.model = step(self.model.clone(), fact, self.at(ms)).0;
    }

    fn see(&mut self, ms: u64, fact: Fact) -> Vec<Told> {
        self.unseen(ms, fact);
        let now = self.at(ms);
        self.history.handle(self.model.state(), now, |generation| generation * 10)
    }
}

fn ready(id: &str) -> Fact {
    Fact::Ready { url: format!("ws://127.0.0.1:1/devtools/browser/{id}").parse().expect("a url") }
}

const LOST: Fact = Fact::Ended { cause: Cause::UnknownExit };

#[test]
fn a_restart_is_an_exit_a_start_and_a_restart() {
    let mut world = World::new();
    let told = world.see(0, ready("a"));
    let [Told::Started(started)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((started.generation, started.adopted), (1, true));

    let told = world.see(1000, LOST);
    let [Told::Exited(exited)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((exited.generation, exited.sessions, exited.expected), (1, 10, false));
    assert_eq!(exited.exit, Exit::of(ExitKind::UnknownExit));
    assert_eq!(exited.uptime_ms, Some(Millis(Duration::from_secs(1))));

    let told = world.see(4000, ready("b"));
    let [Told::Started(started), Told::Restarted(restarted)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(started.generation, 2);
    assert_eq!((restarted.generation, restarted.previous_generation), (2, 1));
    assert_eq!(restarted.down_ms, Millis(Duration::from_secs(3)));
    assert_eq!(restarted.sessions_cut, 10);
    assert_eq!(restarted.exit, Some(Exit::of(ExitKind::UnknownExit)));
}

#[test]
fn a_browser_that_took_over_from_a_living_one_has_no_exit() {
    let mut world = World::new();
    world.see(0, ready("a"));
    let told = world.see(500, ready("b"));
    let [Told::Started(_), Told::Restarted(restarted)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((restarted.exit, restarted.down_ms), (None, Millis(Duration::ZERO)));
}

#[test]
fn an_end_that_nobody_saw_in_time_is_told_before_the_next_start() {
    let mut world = World::new();
    world.see(0, ready("a"));
    world.unseen(1000, LOST);
    let told = world.see(1500, ready("b"));
    let [Told::Exited(exited), Told::Started(_), Told::Restarted(restarted)] = told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert_eq!(exited.uptime_ms, Some(Millis(Duration::from_secs(1))));
    assert_eq!(restarted.down_ms, Millis(Duration::from_millis(500)));
}

#[test]
fn a_browser_that_lives_after_all_is_told_again_and_not_as_a_restart() {
    let mut world = World::new();
    world.see(0, ready("a"));
    world.see(1000, LOST);
    let told = world.see(2000, ready("a"));
    let [Told::Started(started)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(started.generation, 1);
}

#[test]
fn nothing_new_tells_nothing() {
    let mut world = World::new();
    assert_eq!(world.see(0, Fact::Starting), []);
    world.see(1, ready("a"));
    assert_eq!(world.see(2, Fact::Alive), []);
    world.see(3, LOST);
    assert_eq!(world.see(4, LOST), []);
}

#[test]
fn sessions_that_ended_with_their_browser_count_though_they_are_over() {
    for (later, counted) in [(900, 30), (1100, 0)] {
        let mut world = World::new();
        world.see(0, ready("a"));
        let now = world.at(2000);
        world.history.handle_lost(now, |_| 30);
        world.history.handle_lost(now, |_| 29);
        world.unseen(2000 + later, ready("b"));
        let now = world.at(2000 + later);
        let told = world.history.handle(world.model.state(), now, |_| 0);
        let [Told::Started(_), Told::Restarted(restarted)] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(restarted.sessions_cut, counted, "{later} ms later");
    }
}
