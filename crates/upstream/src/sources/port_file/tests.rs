use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::sleep;

use super::{PortFile, parse};
use crate::publish::{Publisher, Upstream};
use crate::sources::Timing;
use crate::state::{Cause, Phase};
use crate::testing::{World, ready, until, url};
use crate::url::{UrlError, UrlPolicy};

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

    fn write(&self, content: &str) {
        fs::write(self.folder.path().join("DevToolsActivePort"), content).unwrap();
    }

    fn browser(&self, port: u16, guid: &str) {
        self.world.browser(port, guid);
        self.write(&format!("{port}\n/devtools/browser/{guid}"));
    }

    async fn play(&self, script: impl Future<Output = ()>) {
        let path = self.folder.path().join("DevToolsActivePort");
        let mut source = PortFile::new(path, "127.0.0.1", UrlPolicy::default(), Timing::default());
        tokio::select! {
            () = source.run(&self.publisher) => panic!("the source ended by itself"),
            () = script => {}
        }
    }

    fn is_down(&self) -> bool {
        matches!(self.upstream.current().phase, Phase::Down { .. })
    }
}

#[test]
fn two_lines_are_an_address_with_or_without_a_last_newline() {
    let policy = UrlPolicy::default();
    let read = |content: &str| parse(content.as_bytes(), "127.0.0.1", &policy);
    for content in
        ["1\n/devtools/browser/a", "1\n/devtools/browser/a\n", "1\r\n/devtools/browser/a\r\n"]
    {
        assert_eq!(read(content), Some(Ok(url(1, "a"))), "{content:?}");
    }
    for content in ["", "1", "1\n", "\n\n"] {
        assert_eq!(read(content), None, "{content:?}");
    }
    for (content, why) in [
        ("x\n/devtools/browser/a", UrlError::Port),
        ("0\n/devtools/browser/a", UrlError::Port),
        ("70000\n/devtools/browser/a", UrlError::Port),
        ("+1\n/devtools/browser/a", UrlError::Port),
        ("922\n2/devtools/browser/a", UrlError::Path),
        ("1\n@evil.example/devtools/browser/a", UrlError::Path),
        ("1\n/devtools/page/a", UrlError::Path),
        ("1\n/devtools/browser/a\nmore", UrlError::Malformed),
    ] {
        assert_eq!(read(content), Some(Err(why)), "{content:?}");
    }
    let v6 = parse(b"1\n/devtools/browser/a", "::1", &policy).unwrap().unwrap();
    assert_eq!(v6.authority(), "[::1]:1");
    let elsewhere = parse(b"1\n/devtools/browser/a", "browser", &policy);
    assert_eq!(elsewhere, Some(Err(UrlError::Host)));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_left_behind_proves_nothing() {
    let scene = Scene::new();
    scene.browser(40_000, "old");
    scene.world.nothing(40_000);
    scene
        .play(async {
            sleep(Duration::from_secs(30)).await;
            assert_eq!(scene.upstream.current().phase, Phase::Starting);
            scene.world.browser(40_000, "of-another-sandbox");
            sleep(Duration::from_secs(10)).await;
            assert_eq!(scene.upstream.current().phase, Phase::Starting);
            let refused = scene.upstream.counts().refused_urls;
            assert_eq!((refused.no_answer, refused.other_instance), (1, 1));
            scene.browser(40_001, "new");
            assert_eq!(ready(&scene.upstream, 1).await, "new");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_written_in_pieces_is_taken_when_it_is_whole() {
    let scene = Scene::new();
    scene.world.browser(40_000, "abcdef");
    scene
        .play(async {
            for content in ["", "40000", "40000\n", "40000\n/devtools/browser/abc"] {
                scene.write(content);
                sleep(Duration::from_millis(600)).await;
                assert_eq!(scene.upstream.current().phase, Phase::Starting, "{content:?}");
            }
            scene.write("40000\n/devtools/browser/abcdef");
            assert_eq!(ready(&scene.upstream, 1).await, "abcdef");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn new_content_is_the_next_generation_and_a_removed_file_is_no_news() {
    let scene = Scene::new();
    scene.browser(40_000, "a");
    scene
        .play(async {
            ready(&scene.upstream, 1).await;
            fs::remove_file(scene.folder.path().join("DevToolsActivePort")).unwrap();
            sleep(Duration::from_secs(30)).await;
            assert_eq!(scene.upstream.current().phase, Phase::Ready);
            scene.world.nothing(40_000);
            scene.browser(40_001, "b");
            assert_eq!(ready(&scene.upstream, 2).await, "b");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_stops_answering_is_down() {
    let scene = Scene::new();
    scene.browser(40_000, "a");
    scene
        .play(async {
            ready(&scene.upstream, 1).await;
            scene.world.nothing(40_000);
            let state = until(&scene.upstream, "down", |_| scene.is_down()).await;
            assert_eq!(state.last_end.map(|end| end.cause), Some(Cause::UnknownExit));
        })
        .await;
}
