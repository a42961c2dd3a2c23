//! The facts, on logs in streams of a real server, and what only a server has to stand. Where no
//! `nats-server` is installed they show as ignored.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of a test module")]

mod faults;
#[path = "../it/model.rs"]
mod model;
mod server;
#[path = "../it/suite/mod.rs"]
mod suite;

use libtest_mimic::{Arguments, Failed, Trial};
use proptest::test_runner::{Config, TestRunner};
use server::Server;

macro_rules! trials {
    ($backend:expr, $($fact:ident,)+) => {
        vec![$((stringify!($fact), || run(suite::$fact(&mut $backend)))),+]
    };
}

fn run(test: impl Future<Output = ()>) {
    let workers =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    workers.unwrap().block_on(test);
}

/// Each case is a server of its own, so there are fewer of them.
fn agrees_with_a_plain_list() {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(&model::ops(), |ops| {
        run(model::agrees_with_a_plain_list(&mut Server::new(), ops));
        Ok(())
    });
    checked.unwrap();
}

fn main() {
    let arguments = Arguments::from_args();
    let mut tests: Vec<(&str, fn())> = suite::with_facts!(trials, Server::new());
    tests.push(("agrees_with_a_plain_list", agrees_with_a_plain_list));
    tests.extend_from_slice(faults::TESTS);
    let missing = server::program().is_none();
    let trial = |(name, test): (&str, fn())| {
        let test = move || {
            test();
            Ok::<(), Failed>(())
        };
        let kind = if missing { "needs nats-server: cargo xtask setup" } else { "" };
        Trial::test(name, test).with_kind(kind).with_ignored_flag(missing)
    };
    libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).exit();
}
