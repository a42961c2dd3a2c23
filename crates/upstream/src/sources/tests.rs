use tokio::task::JoinSet;

use super::{Fixed, HttpPoll, LogFollow, PortFile, Timing};
use crate::announce::PrefixForm;
use crate::publish::Publisher;
use crate::state::{Cause, Phase};
use crate::testing::{World, line, ready, url};
use crate::url::UrlPolicy;

#[tokio::test(start_paused = true)]
async fn an_owner_can_run_a_source_as_a_task_and_end_it() {
    let world = World::default();
    world.browser(9222, "a");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    std::fs::write(&log, line(9222, "a")).unwrap();
    let port_file = folder.path().join("port");
    std::fs::write(&port_file, "9222\n/devtools/browser/a").unwrap();

    let (policy, timing) = (UrlPolicy::default(), Timing::default());
    let mut by_setting = Fixed::new(url(9222, "a"), timing);
    let mut by_poll = HttpPoll::new("127.0.0.1", 9222, timing).unwrap();
    let mut by_log = LogFollow::new(log, PrefixForm::None, policy.clone(), timing);
    let mut by_file = PortFile::new(port_file, "127.0.0.1", policy, timing);
    let publishers: [Publisher; 4] = std::array::from_fn(|_| world.publisher());
    let upstreams = publishers.each_ref().map(Publisher::upstream);
    let mut tasks = JoinSet::new();
    let [first, second, third, fourth] = publishers;
    tasks.spawn(async move { by_setting.run(&first).await });
    tasks.spawn(async move { by_poll.run(&second).await });
    tasks.spawn(async move { by_log.run(&third).await });
    tasks.spawn(async move { by_file.run(&fourth).await });
    for upstream in &upstreams {
        assert_eq!(ready(upstream, 1).await, "a");
    }
    tasks.shutdown().await;
    for upstream in &upstreams {
        // The task owned the publisher.
        assert_eq!(upstream.current().phase, Phase::Gone { cause: Cause::UnknownExit });
        assert_eq!(upstream.subscribers(), 0);
    }
}
