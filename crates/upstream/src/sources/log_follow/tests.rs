use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::sleep;

use super::LogFollow;
use crate::announce::PrefixForm;
use crate::publish::{Publisher, Upstream};
use crate::sources::Timing;
use crate::state::{Cause, Fact, Phase};
use crate::testing::{Place, World, line, ready, until};
use crate::url::UrlPolicy;

/// A log in a real folder, the browsers it speaks of, and who reads it.
struct Scene {
    folder: TempDir,
    world: World,
    publisher: Publisher,
    upstream: Upstream,
}

impl Scene {
    fn new() -> Self {
        let world = World::default();
        let publisher = world.publisher();
        let upstream = publisher.upstream();
        Self { folder: tempfile::tempdir().unwrap(), world, publisher, upstream }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("browser.log")
    }

    fn append(&self, text: &str) {
        append(&self.log(), text);
    }

    /// A browser starts and says so.
    fn browser(&self, port: u16, guid: &str) {
        self.world.browser(port, guid);
        self.append(&line(port, guid));
    }

    async fn play(&self, policy: UrlPolicy, script: impl Future<Output = ()>) {
        let mut source = self.source(policy);
        self.play_with(&mut source, script).await;
    }

    fn source(&self, policy: UrlPolicy) -> LogFollow {
        LogFollow::new(self.log(), PrefixForm::None, policy, Timing::default())
    }

    async fn play_with(&self, source: &mut LogFollow, script: impl Future<Output = ()>) {
        tokio::select! {
            () = source.run(&self.publisher) => panic!("the source ended by itself"),
            () = script => {}
        }
    }

    fn is_down(&self) -> bool {
        matches!(self.upstream.current().phase, Phase::Down { .. })
    }
}

fn append(path: &Path, text: &str) {
    let mut log = OpenOptions::new().append(true).create(true).open(path).unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_last_of_many_announcements_is_published_once() {
    let scene = Scene::new();
    for n in 0..100 {
        scene.browser(9222, &n.to_string());
    }
    scene
        .play(UrlPolicy::default(), async {
            assert_eq!(ready(&scene.upstream, 1).await, "99");
            assert_eq!(scene.upstream.counts().published, 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_old_announcement_that_no_browser_confirms_leaves_the_phase_starting() {
    for place in [None, Some(Place::Silent), Some(Place::Browser("another".into()))] {
        let scene = Scene::new();
        scene.browser(9222, "a");
        match place {
            None => scene.world.nothing(9222),
            Some(place) => scene.world.set(9222, place),
        }
        scene
            .play(UrlPolicy::default(), async {
                sleep(Duration::from_secs(59)).await;
                assert_eq!(scene.upstream.current().phase, Phase::Starting);
                assert_eq!(scene.upstream.counts().refused_urls.total(), 1);
                scene.browser(9222, "b");
                assert_eq!(ready(&scene.upstream, 1).await, "b");
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_browser_is_asked_again() {
    let scene = Scene::new();
    scene.browser(9222, "a");
    scene.world.set(9222, Place::Silent);
    scene
        .play(UrlPolicy::default(), async {
            sleep(Duration::from_secs(10)).await;
            assert_eq!(scene.upstream.current().phase, Phase::Starting);
            scene.world.browser(9222, "a");
            assert_eq!(ready(&scene.upstream, 1).await, "a");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_comes_later_is_found() {
    let scene = Scene::new();
    scene
        .play(UrlPolicy::default(), async {
            sleep(Duration::from_secs(20)).await;
            scene.browser(9222, "a");
            assert_eq!(ready(&scene.upstream, 1).await, "a");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_the_next_generation_with_and_without_a_gap() {
    let scene = Scene::new();
    scene.browser(9222, "a");
    scene
        .play(UrlPolicy::default(), async {
            ready(&scene.upstream, 1).await;
            scene.browser(9223, "b");
            assert_eq!(ready(&scene.upstream, 2).await, "b");
            scene.world.nothing(9223);
            scene.upstream.hint();
            until(&scene.upstream, "down", |_| scene.is_down()).await;
            scene.browser(9223, "c");
            assert_eq!(ready(&scene.upstream, 3).await, "c");
            let end = scene.upstream.current().last_end.unwrap();
            assert_eq!((end.generation, end.cause), (2, Cause::UnknownExit));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn rotation_and_truncation_kick_nobody_and_hide_no_restart() {
    let scene = Scene::new();
    scene.browser(9222, "0");
    scene
        .play(UrlPolicy::default(), async {
            ready(&scene.upstream, 1).await;
            for round in 0..4 {
                let published = scene.upstream.counts().published;
                scene.append("noise\nDevTools lis");
                sleep(Duration::from_millis(600)).await;
                match round {
                    0 => fs::rename(scene.log(), scene.folder.path().join("old")).unwrap(),
                    1 => fs::write(scene.log(), "").unwrap(),
                    2 => fs::write(scene.log(), "x\n".repeat(400_000)).unwrap(),
                    _ => {
                        fs::rename(scene.log(), scene.folder.path().join("older")).unwrap();
                        fs::write(scene.log(), "new file\n").unwrap();
                    }
                }
                scene.append(&"y".repeat(1024 * 1024));
                scene.append("\nmore noise\n");
                sleep(Duration::from_millis(600)).await;
                assert_eq!(scene.upstream.counts().published, published, "round {round}");
                assert_eq!(scene.upstream.counts().long_lines, round + 1);
                scene.browser(9222, &format!("after-{round}"));
                assert_eq!(ready(&scene.upstream, round + 2).await, format!("after-{round}"));
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_run_again_replays_nothing() {
    let scene = Scene::new();
    let mut source = scene.source(UrlPolicy::default());
    scene.browser(9222, "a");
    scene.play_with(&mut source, async { assert_eq!(ready(&scene.upstream, 1).await, "a") }).await;
    // While nobody reads: a browser that has come and gone, and a rotation.
    scene.append(&line(9229, "gone"));
    fs::rename(scene.log(), scene.folder.path().join("old")).unwrap();
    scene.append("new file\n");
    let before = scene.upstream.counts();
    scene
        .play_with(&mut source, async {
            sleep(Duration::from_secs(30)).await;
            assert_eq!(scene.upstream.current().generation, 1);
            assert_eq!(scene.upstream.counts().published, before.published);
            scene.browser(9223, "b");
            assert_eq!(ready(&scene.upstream, 2).await, "b");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_a_page_prints_are_counted_and_change_nothing() {
    let scene = Scene::new();
    scene.browser(9222, "a");
    scene
        .play(UrlPolicy::loopback_port(9222), async {
            ready(&scene.upstream, 1).await;
            for (n, url) in [
                "ws://evil.example:9222/devtools/browser/x",
                "ws://127.0.0.1:9223/devtools/browser/x",
                "ws://127.0.0.1:9222/devtools/browser/wrong-id",
            ]
            .into_iter()
            .enumerate()
            {
                scene.append(&format!("DevTools listening on {url}\n"));
                sleep(Duration::from_secs(1)).await;
                let counts = scene.upstream.counts();
                assert_eq!(counts.refused_urls.total(), n as u64 + 1, "{counts:?}");
            }
            sleep(Duration::from_secs(60)).await;
            let counts = scene.upstream.counts();
            let refused = counts.refused_urls;
            assert_eq!((refused.host, refused.port, refused.other_instance), (1, 1, 1));
            assert_eq!((counts.published, scene.upstream.current().generation), (1, 1));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn with_an_expected_port_a_lost_line_hides_no_restart() {
    let scene = Scene::new();
    scene.browser(9222, "a");
    scene
        .play(UrlPolicy::loopback_port(9222), async {
            ready(&scene.upstream, 1).await;
            scene.world.browser(9222, "b");
            assert_eq!(ready(&scene.upstream, 2).await, "b");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn on_a_free_port_another_browser_is_not_taken() {
    let scene = Scene::new();
    scene.browser(40_000, "a");
    scene
        .play(UrlPolicy::default(), async {
            ready(&scene.upstream, 1).await;
            scene.world.browser(40_000, "of-another-sandbox");
            until(&scene.upstream, "down", |_| scene.is_down()).await;
            sleep(Duration::from_secs(60)).await;
            assert!(scene.is_down());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_the_process_adds_the_cause_in_either_order() {
    let killed = Cause::Signalled { signal: 9 };
    for notice_first in [true, false] {
        let scene = Scene::new();
        scene.browser(9222, "a");
        scene
            .play(UrlPolicy::default(), async {
                ready(&scene.upstream, 1).await;
                scene.world.nothing(9222);
                if notice_first {
                    scene.publisher.apply(Fact::EndedOf { generation: 1, cause: killed });
                    scene.browser(9222, "b");
                } else {
                    scene.browser(9222, "b");
                    ready(&scene.upstream, 2).await;
                    scene.publisher.apply(Fact::EndedOf { generation: 1, cause: killed });
                }
                assert_eq!(ready(&scene.upstream, 2).await, "b");
                let end = scene.upstream.current().end_of(1);
                assert_eq!(end.map(|end| end.cause), Some(killed));
            })
            .await;
    }
}

#[tokio::test]
async fn a_notice_is_faster_than_the_tick() {
    let scene = Scene::new();
    scene.append("start\n");
    scene
        .play(UrlPolicy::default(), async {
            sleep(Duration::from_millis(100)).await;
            let start = std::time::Instant::now();
            let mut fastest = Duration::MAX;
            for n in 0..5 {
                let announced = std::time::Instant::now();
                scene.browser(9222, &n.to_string());
                ready(&scene.upstream, n + 1).await;
                fastest = fastest.min(announced.elapsed());
            }
            assert!(fastest < Duration::from_millis(250), "{fastest:?} of {:?}", start.elapsed());
        })
        .await;
}
