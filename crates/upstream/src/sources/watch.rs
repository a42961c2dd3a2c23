//! The loop that all asking sources share: it carries questions out and applies what they mean.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::restart::{End, Progress};
use crate::checker::{Checker, Plan};
use crate::publish::Publisher;
use crate::url::WsUrl;

/// The newest announcement, for the loop to check; more than one only where it is not certain what
/// was announced. One slot: what was there before is history.
pub(crate) type Newest = watch::Sender<Vec<WsUrl>>;

/// Runs until nobody will start another browser.
pub(crate) async fn watch(
    publisher: &Publisher,
    checker: &mut Checker,
    announced: Option<&Newest>,
    progress: &Progress,
) -> End {
    let upstream = publisher.upstream();
    let mut changes = upstream.changes();
    let mut hints = publisher.hints();
    let mut announced = announced.map(|newest| {
        let mut receiver = newest.subscribe();
        // What an earlier run has not come to is looked at again.
        receiver.mark_changed();
        receiver
    });
    loop {
        changes.current();
        let model = publisher.model();
        match checker.plan(&model, now()) {
            Plan::Stop => return End::Gone,
            Plan::Report(fact) => {
                publisher.apply_if(model.state(), fact);
            }
            Plan::Ask(question) => {
                let (host, port) = question.place();
                let answer = publisher.probe().ask(host, port).await;
                let verdict = checker.handle_answer(&model, question, answer, now());
                if let Some((why, url)) = verdict.refused {
                    publisher.refused_url(why, url.host(), 1);
                }
                if let Some(fact) = verdict.fact {
                    publisher.apply_if(model.state(), fact);
                }
                progress.made();
            }
            Plan::Wait(until) => {
                let timer = async {
                    match until {
                        Some(until) => sleep_until(Instant::from_std(until)).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = changes.changed() => {}
                    () = hints.hinted() => checker.handle_hint(now()),
                    urls = next(&mut announced) => {
                        checker.handle_candidates(urls, &publisher.model(), now());
                    }
                    () = timer => {}
                }
            }
        }
    }
}

async fn next(announced: &mut Option<watch::Receiver<Vec<WsUrl>>>) -> Vec<WsUrl> {
    if let Some(announced) = announced {
        while announced.changed().await.is_ok() {
            let urls = announced.borrow_and_update().clone();
            if !urls.is_empty() {
                return urls;
            }
        }
    }
    std::future::pending().await
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
